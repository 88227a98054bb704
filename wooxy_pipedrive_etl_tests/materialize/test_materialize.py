"""What a user presses in Dagster's UI, through the real webserver, daemon and launcher: a few of the cases of
`benchmarks.materialize`, which has them all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from wooxy_pipedrive_etl.sync.selection import PRODUCTS, Product
from wooxy_pipedrive_etl_tests.conformance.databases import PostgresDatabases
from wooxy_pipedrive_etl_tests.scenario import closing_databases, isolate

from . import cases
from .cases import LIST, Outcome
from .conftest import Shared
from .hosts import write_host
from .world import World, running_world

# Milliseconds, for a page on a busy machine, and for the run that it follows.
_BROWSER_PATIENCE = 120_000


def _right(outcome: Outcome) -> None:
    assert outcome.wrong == [], outcome.came_out


@pytest.mark.parametrize(
    "products",
    [PRODUCTS, (LIST,), ("contact_plan",), ("pipedrive_persons",)],
    ids=lambda each: "+".join(each),
)
def test_any_selection_means_what_it_says(world: World, products: tuple[Product, ...]) -> None:
    """And whatever it was, the next run starts by itself when something changes."""
    _right(cases.selected(world, "acme", products))
    world.arrives_by_itself("acme")


def test_a_backfill_makes_a_run_for_each_connection(world: World) -> None:
    _right(cases.backfilled(world))


def test_a_run_from_its_failure_is_the_whole_run_again(world: World) -> None:
    _right(cases.reexecuted_from_failure(world, "bolt"))
    world.arrives_by_itself("bolt")


def test_a_run_that_is_terminated_leaves_nothing_half_done(world: World) -> None:
    _right(cases.terminated(world, "cord"))
    world.arrives_by_itself("cord")


def test_an_asset_in_another_code_location_follows_by_partition(shared: Shared) -> None:
    _right(cases.with_a_downstream_asset(shared.world, "bolt", shared.audience))


def test_a_connection_that_nobody_has_made_gets_a_sentence(world: World) -> None:
    _right(cases.for_an_unknown_partition(world))


def test_materialize_is_a_button_that_works(world: World, browser: Browser) -> None:
    """In Chromium: the graph of the assets, *Materialize all*, one connection, *Launch 1 run*; then the run's page."""
    name = "cord"
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


@pytest.fixture
def storage_url(postgres_server: str) -> Iterator[str]:
    """A PostgreSQL database for Dagster's own storage, in the words of its driver."""
    databases = PostgresDatabases(postgres_server)
    url = databases.new()
    yield url.replace("+psycopg:", "+psycopg2:")
    databases.drop(url)


def test_a_host_with_processes_of_its_own_and_postgresql(
    postgres_url: str, storage_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step in a process of its own, keys with a prefix, and Dagster's storage on PostgreSQL as well."""
    isolate(monkeypatch, tmp_path)
    with (
        closing_databases(),
        running_world(
            tmp_path,
            postgres_url,
            location=write_host(tmp_path, key_prefix="crm"),
            prefix=["crm"],
            names=["acme"],
            storage_url=storage_url,
        ) as world,
    ):
        _right(cases.selected(world, "acme", PRODUCTS))
        _right(cases.selected(world, "acme", (LIST,)))
        world.arrives_by_itself("acme")
