"""Runs that users request: when they are due, and which run fulfils the request."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from wooxy_pipedrive_etl.automation.due import Due
from wooxy_pipedrive_etl.automation.waiting import Waiting
from wooxy_pipedrive_etl.connections import accounts, run_requests, settings
from wooxy_pipedrive_etl.errors import NotImported, SyncError
from wooxy_pipedrive_etl.guards import Permissions
from wooxy_pipedrive_etl.store.secrets import KeyUnusable
from wooxy_pipedrive_etl.sync.run import begin
from wooxy_pipedrive_etl.sync.selection import Kind, Selection
from wooxy_pipedrive_etl_tests import sensing
from wooxy_pipedrive_etl_tests.scenario import (
    ANY_DELETIONS,
    RESERVE,
    Connected,
    Target,
    connected,
    small_account,
)
from wooxy_pipedrive_etl_tests.state import change_stored

ROWS: dict[str, Target] = {"emails": "email", "name": "name"}


def _request(acme: Connected, kind: Kind = "changes", **options: Any) -> run_requests.RequestedRun:
    return run_requests.request_run(acme.store, acme.name, kind, **options)


def test_a_requested_run_is_due_first(database_url: str) -> None:
    with connected(database_url, small_account()) as acme:
        acme.import_rows(ROWS)
        first = _request(acme, "re-map")
        due = sensing.due(acme)
        assert isinstance(due, Due)
        # Nothing that could be mapped has been read yet.
        assert (due.kind, due.key, due.dry_run) == ("full", first.key, False)
        acme.sync()
        assert sensing.due(acme) is None
        acme.import_rows({**ROWS, "city": "town"})
        request = _request(acme, permissions=RESERVE)
        assert request == run_requests.requested_run(acme.record())
        assert sensing.due(acme) == Due(
            "changes",
            "A user requested a run.",
            request.key,
            requested=True,
            permissions=RESERVE,
        )
        newer = _request(acme, "full", dry_run=True)
        assert newer.key != request.key
        assert sensing.due(acme) == Due(
            "full", "A user requested a dry run.", newer.key, requested=True, dry_run=True
        )
        acme.execute("DELETE FROM sync_run_requests")
        due = sensing.due(acme)
        assert isinstance(due, Due)
        assert due.reason.startswith("Revision 2 of the matching was imported")


def test_neither_failures_nor_a_pause_delay_it(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account()) as acme:
        acme.import_rows(ROWS)
        sensing.fail(acme, 3)
        assert isinstance(sensing.due(acme), Waiting)
        settings.pause(acme.store, acme.name)
        assert sensing.due(acme) is None
        request = _request(acme, "full")
        due = sensing.due(acme)
        assert isinstance(due, Due)
        assert due.key == request.key


def test_which_runs_can_be_requested(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account(1)) as acme:
        with pytest.raises(NotImported, match="save one as a draft first"):
            _request(acme, dry_run=True)
        acme.draft_rows(ROWS)
        with pytest.raises(NotImported, match="has not been imported yet"):
            _request(acme)
        assert acme.record().requested_run is None
        request = _request(acme, dry_run=True)
        due = sensing.due(acme)
        assert isinstance(due, Due)
        assert (due.kind, due.key, due.dry_run) == ("full", request.key, True)
        accounts.disconnect(acme.store, acme.name, forget=False)
        assert acme.record().requested_run is None
        with pytest.raises(SyncError, match="The connection acme is disconnected"):
            _request(acme, dry_run=True)


DRY = {"dry_run": True}
DRAFT = {"dry_run": True, "draft": True}
OF_A = Permissions(deletions_of="a")
ONLY_FIELDS = Selection(frozenset(["person_fields"]))


@pytest.mark.parametrize(
    ("asked", "kind", "options", "done"),
    [
        (("changes", {}), "changes", {}, True),
        (("changes", {}), "full", {"allowed": RESERVE}, True),
        (("changes", {}), "re-map", {}, False),
        (("re-map", {}), "changes", {}, False),
        (("re-map", {}), "re-map", {}, True),
        (("full", {}), "changes", {}, False),
        (("full", {}), "full", {"selection": ONLY_FIELDS}, False),
        (("full", {}), "full", DRY, False),
        (("full", {"permissions": ANY_DELETIONS}), "full", {"allowed": RESERVE}, False),
        (("full", {"permissions": RESERVE}), "full", {}, False),
        (
            ("full", {"permissions": RESERVE}),
            "full",
            {"allowed": replace(RESERVE, deletions=30, deletions_of="a")},
            True,
        ),
        (("full", {"permissions": OF_A}), "full", {"allowed": OF_A}, True),
        (("full", {"permissions": OF_A}), "full", {"allowed": replace(OF_A, deletions_of="b")}, False),
        (("full", {"permissions": OF_A}), "full", {"allowed": ANY_DELETIONS}, False),
        (("re-map", DRY), "re-map", {}, False),
        # The matching in force differs from the draft.
        (("re-map", DRY), "re-map", DRY, False),
        (("re-map", DRY), "full", DRAFT, True),
    ],
)
def test_a_run_that_fulfils_the_request_clears_it(
    imported: Connected, asked: tuple[Kind, dict[str, Any]], kind: Kind, options: dict[str, Any], done: bool
) -> None:
    kind_asked, how = asked
    _request(imported, kind_asked, **how)
    selection = Selection.of(kind, dry_run=bool(options.get("dry_run")))
    options = {name: value for name, value in options.items() if name != "dry_run"}
    with begin(imported.store, imported.name, "run", **{"selection": selection, **options}):
        assert (imported.record().requested_run is None) is done


@pytest.fixture
def imported(sqlite_url: str) -> Any:
    with connected(sqlite_url, small_account(1)) as acme:
        acme.import_rows(ROWS)
        with acme.store.engine.begin() as db:
            # As if a run had taken place.
            change_stored(db, acme.record().id, watermark=0, null_update_times=False)
        yield acme


def test_a_run_that_cannot_start_keeps_the_request(
    imported: Connected, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = _request(imported)
    with (
        begin(imported.store, imported.name, "busy", Selection.of("full", dry_run=True)),
        pytest.raises(Exception, match="Another run"),
    ):
        imported.sync()
    assert run_requests.requested_run(imported.record()) == request
    with imported.store.engine.begin() as db:
        change_stored(db, imported.record().id, encrypted_api_token="unreadable")
    with pytest.raises(KeyUnusable):
        imported.sync()
    assert run_requests.requested_run(imported.record()) == request


def test_an_abandoned_request_is_recorded_as_a_failure(imported: Connected) -> None:
    older = _request(imported)
    newer = _request(imported)
    run_requests.give_up(imported.store, imported.name, older.key, "died", "It died.")
    assert run_requests.requested_run(imported.record()) == newer
    run_requests.give_up(imported.store, imported.name, newer.key, "died", "It died.")
    assert imported.record().requested_run is None
    last = imported.last_run()
    assert (last.run_id, last.kind, last.state, last.message) == (
        "died",
        "changes",
        "failed",
        "It died.",
    )
