"""The first page: the state of each connection, in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from wooxy_pipedrive_etl.automation import nightly
from wooxy_pipedrive_etl.connections import settings
from wooxy_pipedrive_etl.connections.run_requests import requested_run
from wooxy_pipedrive_etl.failures import code_of
from wooxy_pipedrive_etl.sandbox.pipedrive import Account
from wooxy_pipedrive_etl.settings import KEY_VARIABLE
from wooxy_pipedrive_etl.store import Store, keys, tables
from wooxy_pipedrive_etl.sync.run import begin
from wooxy_pipedrive_etl.web.formats import moment
from wooxy_pipedrive_etl.web.words import FAILURES, State, state_of
from wooxy_pipedrive_etl_tests.scenario import Connected, Refused, add_person, connected, small_account
from wooxy_pipedrive_etl_tests.state import change_stored

from .served import serving
from .visitor import HOSTILE, PASSWORD, Visitor, text_of, visiting


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


@pytest.fixture
def account() -> Account:
    return small_account()


@pytest.fixture
def acme(account: Account, database_url: str) -> Iterator[Connected]:
    with connected(database_url, account) as acme:
        yield acme


@pytest.fixture
def store(acme: Connected) -> Store:
    return acme.store


def front(visitor: Visitor) -> str:
    return text_of(visitor.get("/"))


def test_without_a_connection(sqlite_url: str) -> None:
    store = Store.open(sqlite_url)
    with serving(store) as url, visiting(url) as visitor:
        page = visitor.sign_in().get("/")
        assert "No Pipedrive account is connected yet." in text_of(page)
        assert 'href="/integrations/new"' in page.text
    store.close()


def test_a_draft(acme: Connected, visitor: Visitor) -> None:
    page = visitor.get("/")
    for said in (
        "○ Draft: match variables",
        "Domain shop.example.com, 0 contacts",
        f"Pipedrive account {acme.server.url.removeprefix('http://')}",
        "Last good sync None yet.",
        "Not in the list Not known before the first sync.",
        "Next run After the first Import.",
    ):
        assert said in text_of(page)
    assert "Sync now" not in page.text


def test_an_active_connection(acme: Connected, account: Account, visitor: Visitor) -> None:
    add_person(account, 4, emails=[], phones=[])
    acme.import_all()
    assert "Next run Soon: the list does not have what was imported yet" in front(visitor)
    acme.sync()
    page = visitor.get("/")
    budget = acme.status().budget
    assert budget.limit is not None
    assert budget.left is not None
    for said in (
        "● Active",
        "3 contacts",
        ": 3 created, 0 updated, 0 deleted.",
        "Not in the list 1 rejected, 0 duplicates, 0 conflicts, 0 values skipped",
        f"Next run {moment(nightly.next_night(datetime.now(UTC)))}, and when something changes.",
        "Pipedrive API use today under 1 %",
        f"{budget.limit - budget.left:,} of {budget.limit:,} tokens used",
        f"{budget.left:,} left as of",
        f"Syncs leave {budget.reserve:,} of them to the others.",
    ):
        assert said in text_of(page)
    assert 'href="/integrations/acme/issues"' in page.text


def test_standing_issues_are_shown_after_any_run(acme: Connected, account: Account, visitor: Visitor) -> None:
    add_person(account, 4, emails=[], phones=[])
    acme.import_all()
    acme.sync()
    # A run of changes that finds none, as happens every few minutes.
    acme.sync(kind="changes")
    assert "0 created, 0 updated, 0 deleted." in front(visitor)
    assert "1 rejected" in front(visitor)
    account.delete_person(4)
    acme.sync()
    assert "Nothing: every person is in the list, with every value." in front(visitor)


def test_runs_that_fail(acme: Connected, visitor: Visitor) -> None:
    acme.import_all()
    acme.sync()
    token, acme.account.token = acme.account.token, "another"
    for _ in range(2):
        with pytest.raises(Exception, match="401"):
            acme.sync()
    first = acme.rows(tables.runs)[1]["started_at"]
    page = front(visitor)
    assert f"✗ Failing since {moment(first)}" in page
    assert "● Active" not in page
    assert "Pipedrive doesn’t accept the API token." in page
    # Details for developers are folded away.
    assert (
        "<details><summary>Details</summary>Pipedrive answered GET /api/v1/users/me with 401"
        in visitor.get("/").text
    )
    assert f"Last good sync {moment(acme.rows(tables.runs)[0]['finished_at'])}" in page
    answer = visitor.post("/integrations/acme/progress", {"again": "1"})
    assert "Waiting for Dagster to start it" in text_of(visitor.follow(answer))
    acme.account.token = token
    acme.sync()
    assert "● Active" in front(visitor)
    # From an old page: nothing is failing any more.
    visitor.post("/integrations/acme/progress", {"again": "1"})
    assert requested_run(acme.record()) is None


def test_a_failed_dry_run_leaves_the_connection_active(acme: Connected, visitor: Visitor) -> None:
    acme.import_all()
    acme.sync()
    token, acme.account.token = acme.account.token, "another"
    with pytest.raises(Exception, match="401"):
        acme.sync(dry_run=True)
    assert "● Active" in front(visitor)
    acme.account.token = token


def test_deletions_waiting_for_permission(acme: Connected, account: Account, visitor: Visitor) -> None:
    for number in range(4, 34):
        add_person(account, number)
    acme.import_all()
    acme.sync()
    for number in range(1, 31):
        account.delete_person(number)
    with pytest.raises(Refused):
        acme.sync()
    assert "▲ Needs you: 30 deletions wait" in front(visitor)


def test_sync_now(acme: Connected, visitor: Visitor) -> None:
    acme.import_all()
    visitor.get("/")
    answer = visitor.post("/integrations/acme/sync", {"kind": "changes"})
    assert answer.headers["location"] == "/integrations/acme/progress"
    request = acme.status().requested_run
    assert request is not None
    assert request.kind == "changes"
    page = visitor.get("/")
    assert "One was asked for and is about to start" in text_of(page)
    assert 'href="/integrations/acme/progress"' in page.text
    acme.sync()
    assert "One was asked for" not in front(visitor)


def test_a_run_under_way(acme: Connected, visitor: Visitor) -> None:
    acme.import_all()
    with begin(acme.store, acme.name, "run-x"):
        page = visitor.get("/")
        assert "A run is under way" in text_of(page)
        assert 'href="/integrations/acme/progress"' in page.text
        running = acme.status().running
        assert running is not None
        assert running.run_id == "run-x"
    assert "A run is under way" not in front(visitor)


def test_a_pause(acme: Connected, visitor: Visitor) -> None:
    acme.import_all()
    settings.pause(acme.store, acme.name)
    assert "‖ Paused" in front(visitor)
    assert "None: it is paused." in front(visitor)
    assert acme.status().next_full_run is None


def test_waiting_fields_and_red_rows(acme: Connected, account: Account, visitor: Visitor) -> None:
    acme.import_all()
    account.add_field(HOSTILE, "varchar", code="hostile")
    account.delete_field("city")
    acme.sync()
    page = visitor.get("/")
    assert f"New fields 1 waiting to be matched: {HOSTILE}" in text_of(page)
    assert "1 variable can’t be imported: City" in text_of(page)
    assert 'href="/integrations/acme/match?show=new"' in page.text
    assert 'href="/integrations/acme/match?show=problems"' in page.text
    assert "<script>alert" not in page.text


def test_a_disconnected_connection(acme: Connected, visitor: Visitor) -> None:
    with acme.store.engine.begin() as db:
        change_stored(db, acme.record().id, state="disconnected")
    page = visitor.get("/")
    assert "○ Disconnected" in text_of(page)
    assert "Next run None." in text_of(page)
    assert "Sync now" not in page.text


def test_states(acme: Connected) -> None:
    acme.import_all()
    acme.sync()
    last = acme.last_run()
    failing = {"failing_since": datetime(2026, 11, 27, 7, 22)}
    refused = replace(last, state="failed", refused_by="mass_delete", deleted=1_035)
    access_lost = State("✗ Access lost: access was revoked or has expired", "red")
    uninstalled = State("✗ Access lost: the app was uninstalled in Pipedrive", "red")
    cases: list[tuple[dict[str, Any], State]] = [
        ({}, State("● Active", "green")),
        ({"paused": True}, State("‖ Paused", "amber")),
        (failing, State("✗ Failing since 2026-11-27 07:22 UTC", "red")),
        ({**failing, "last_run": refused}, State("▲ Needs you: 1,035 deletions wait", "amber")),
        ({"state": "draft", "paused": True}, State("○ Draft: match variables", "amber")),
        ({"state": "disconnected"}, State("○ Disconnected", "gray")),
        ({"access_lost": "revoked"}, access_lost),
        ({"state": "disconnected", "access_lost": "uninstalled"}, uninstalled),
    ]
    for changed, state in cases:
        assert state_of(replace(acme.status(), **changed)) == state


def test_pages_show_a_changed_key_until_accepted(acme: Connected, monkeypatch: pytest.MonkeyPatch) -> None:
    acme.import_all()
    acme.sync()
    acme.execute('UPDATE {list} SET "smsSubscribe" = false')
    acme.sync()
    monkeypatch.setenv(KEY_VARIABLE, "A" * 43 + "=")
    store = Store.open(acme.store.engine.url.render_as_string(hide_password=False), any_key=True)
    with serving(store) as url, visiting(url) as visitor:
        assert visitor.get("/").status_code == 303
        # The first page says so already.
        visitor.get("/sign-in")
        assert visitor.post("/sign-in", {"password": PASSWORD}).status_code == 303
        for path in (
            "/",
            "/integrations/acme/match",
            "/integrations/acme/contacts",
            "/integrations/acme/settings",
        ):
            page = visitor.get(path)
            assert page.status_code == 503
            assert "The key is not the one that the opt-outs in the database were stored with" in text_of(
                page
            )
            assert "key accept --new-numbers-opted-out" in text_of(page)
        keys.accept(store.engine, store.secrets, forget_opt_outs=False)
        assert "numbers that are new to the list are not subscribed" in text_of(visitor.get("/"))
    store.close()


def test_every_explained_failure_is_one_of_ours() -> None:
    """A code is the name of an error class; one that is never raised would explain nothing."""
    codes = {code_of(each) for each in _all_errors(Exception)}
    assert FAILURES.keys() <= codes


def _all_errors(root: type[BaseException]) -> set[type[BaseException]]:
    return {root, *(each for child in root.__subclasses__() for each in _all_errors(child))}
