"""What a user presses in Dagster's UI, through the real webserver, daemon and launcher: a few cases of
`benchmarks.materialize`, which has them all, and also runs on PostgreSQL, with separate processes and a host's own
keys."""

from __future__ import annotations

from playwright.sync_api import Browser

from . import cases
from .cases import LIST, Outcome
from .world import World

# Milliseconds, for a page on a busy machine and for the run it follows.
_BROWSER_PATIENCE = 120_000


def _right(outcome: Outcome) -> None:
    assert outcome.wrong == [], outcome.came_out


def test_re_executing_from_failure_repeats_the_whole_run(world: World) -> None:
    _right(cases.reexecuted_from_failure(world, "bolt"))


def test_a_terminated_run_leaves_nothing_half_done(world: World) -> None:
    """And the next run starts automatically when something changes."""
    _right(cases.terminated(world, "acme"))
    world.syncs_automatically("acme")


def test_an_unknown_connection_is_explained_in_a_sentence(world: World) -> None:
    _right(cases.for_an_unknown_partition(world))


def test_the_materialize_button_works(world: World, browser: Browser) -> None:
    """In Chromium: the asset graph, *Materialize all*, one connection, *Launch 1 run*, then the run's page."""
    name = "bolt"
    with world.by_hand(name):
        before = world.connections[name].dump()
        known = world.ui.run_ids(name)
        page = browser.new_page()
        page.set_default_timeout(_BROWSER_PATIENCE)
        page.goto(f"{world.services.url}/locations/__repository__@{world.location}/asset-groups/list")
        page.get_by_role("button", name="Materialize all").click()
        page.get_by_text("Select a partition").click()
        page.get_by_text(name, exact=True).first.click()
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Launch 1 run").click()
        world.services.wait_until(lambda: world.ui.run_ids(name) != known, "No run was launched")
        run_id = world.ui.run_ids(name)[0]
        page.goto(f"{world.services.url}/runs/{run_id}")
        page.get_by_text("Success", exact=True).first.wait_for()
        page.close()
        run = world.ui.ended(run_id)
        assert world.disagreements(name, run, ("contact_plan", LIST), before) == []
