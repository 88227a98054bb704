"""The first page: how each connection stands, in words."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from wooxy_pipedrive_etl.sandbox import Account
from wooxy_pipedrive_etl.store import Store
from wooxy_pipedrive_etl.store.connections import update_connection
from wooxy_pipedrive_etl.sync import nightly, settings
from wooxy_pipedrive_etl.sync.run import begin
from wooxy_pipedrive_etl.web.templates import moment
from wooxy_pipedrive_etl.web.words import State, state_of
from wooxy_pipedrive_etl_tests.scenario import Connected, add_person, connected, small_account

from .served import serving
from .visitor import HOSTILE, Visitor, text_of, visiting


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
        "Last sync None yet.",
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
    budget = acme.status()["budget"]
    for said in (
        "● Active",
        "3 contacts",
        ": 3 created, 0 updated, 0 deleted.",
        "1 rejected, 0 duplicates, 0 conflicts, 0 values dropped",
        f"Next run {moment(nightly.next_night(datetime.now(UTC)))}, and when something changes.",
        f"{budget['limit'] - budget['left']:,} of {budget['limit']:,} tokens used, {budget['left']:,} left as of",
        f"{budget['reserve']:,} are kept in reserve",
    ):
        assert said in text_of(page)
    assert 'href="/integrations/acme/issues"' in page.text
    # Nothing but what was told of the last run when it is the next one's turn.
    account.delete_person(4)
    acme.sync()
    assert "0 created, 0 updated, 0 deleted. Nothing was rejected." in front(visitor)


def test_a_run_that_failed(acme: Connected, visitor: Visitor) -> None:
    acme.import_all()
    acme.account.token = "another"
    with pytest.raises(Exception, match="401"):
        acme.sync()
    assert "Last sync ✗ Failed at" in front(visitor)
    assert "401" in front(visitor)


def test_sync_now(acme: Connected, visitor: Visitor) -> None:
    acme.import_all()
    visitor.get("/")
    answer = visitor.post("/integrations/acme/sync", {"kind": "changes"})
    assert answer.headers["location"] == "/integrations/acme/progress"
    assert acme.status()["requested_run"]["kind"] == "changes"
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
        assert acme.status()["running"]["run_id"] == "run-x"
    assert "A run is under way" not in front(visitor)


def test_a_pause(acme: Connected, visitor: Visitor) -> None:
    acme.import_all()
    settings.pause(acme.store, acme.name)
    assert "‖ Paused" in front(visitor)
    assert "None by itself: it is paused." in front(visitor)
    assert acme.status()["next_full_run"] is None


def test_fields_that_wait_and_rows_that_are_red(acme: Connected, account: Account, visitor: Visitor) -> None:
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
    with acme.store.engine.begin() as connection:
        update_connection(connection, acme.record().id, state="disconnected")
    page = visitor.get("/")
    assert "○ Disconnected" in text_of(page)
    assert "Next run None." in text_of(page)
    assert "Sync now" not in page.text


@pytest.mark.parametrize(
    ("changed", "state"),
    [
        ({}, State("● Active", "green")),
        ({"paused": True}, State("‖ Paused", "amber")),
        ({"state": "draft", "paused": True}, State("○ Draft: match variables", "amber")),
        ({"state": "disconnected"}, State("○ Disconnected", "gray")),
        ({"access_lost": "revoked"}, State("✗ Access lost: access was revoked or has expired", "red")),
        (
            {"state": "disconnected", "access_lost": "uninstalled"},
            State("✗ Access lost: the app was uninstalled in Pipedrive", "red"),
        ),
    ],
)
def test_states(changed: dict[str, Any], state: State) -> None:
    assert state_of({"state": "active", "paused": False, "access_lost": None, **changed}) == state
