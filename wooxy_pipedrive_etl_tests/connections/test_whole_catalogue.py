"""An empty or incomplete catalogue is read again, then refused: no row turns red, and nothing is emptied."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from wooxy_pipedrive_etl.connections import accounts
from wooxy_pipedrive_etl.connections.catalogue import store_catalogue
from wooxy_pipedrive_etl.connections.credentials import pipedrive_client
from wooxy_pipedrive_etl.connections.whole_catalogue import read_whole_catalogue
from wooxy_pipedrive_etl.errors import BrokenCatalogue, WrongAccount
from wooxy_pipedrive_etl.guards import Permissions
from wooxy_pipedrive_etl.matching import view
from wooxy_pipedrive_etl.matching.attention import WaitingField
from wooxy_pipedrive_etl.pipedrive import ApiToken, PipedriveClient
from wooxy_pipedrive_etl.sandbox.pipedrive import Account, Fault
from wooxy_pipedrive_etl.store import tables
from wooxy_pipedrive_etl.store.catalogue import SchemaChange, read_fields, save_fields
from wooxy_pipedrive_etl.sync.selection import Kind
from wooxy_pipedrive_etl_tests.http_api.scripted import Reply, Request, host
from wooxy_pipedrive_etl_tests.patience import http_client
from wooxy_pipedrive_etl_tests.pipedrive.scripted import listed
from wooxy_pipedrive_etl_tests.scenario import ANY_DELETIONS, Connected, Target, connected, small_account

ROWS: dict[str, Target] = {"emails": "email", "name": "name", "city": "town"}
FIELDS = "/api/v2/personFields"
EXTRA = 22


def _wide_account() -> Account:
    """60 fields: Pipedrive's 35, the small account's 3, and these."""
    account = small_account()
    for number in range(EXTRA):
        account.add_field(f"Extra {number}", "varchar", code=f"extra{number}")
    return account


def _delete_fields(account: Account, count: int) -> None:
    """`city`, which is matched, is deleted first."""
    for code in ["city", *(f"extra{number}" for number in range(EXTRA))][:count]:
        account.delete_field(code)


def _state(acme: Connected) -> tuple[Any, ...]:
    """What a rejected catalogue must leave unchanged."""
    table, _ = view.show_matching(acme.store, acme.name)
    status = acme.status()
    return (
        acme.dump(),
        sorted(acme.rows(tables.fields), key=lambda row: row["position"]),
        acme.rows(tables.schema_changes),
        [row.status for row in table],
        status.fields_waiting,
        status.red_rows,
    )


@contextmanager
def _imported(database_url: str, account: Account) -> Iterator[Connected]:
    with connected(database_url, account) as acme:
        # An empty value would overwrite.
        acme.import_rows(ROWS, ignore_empty=False)
        acme.sync()
        acme.server.clear_requests()
        yield acme


@pytest.mark.parametrize("kind", ["full", "changes", "re-map"])
def test_many_fields_missing_at_once_stop_the_run(database_url: str, kind: Kind) -> None:
    with _imported(database_url, _wide_account()) as acme:
        before = _state(acme)
        _delete_fields(acme.account, 13)
        with pytest.raises(BrokenCatalogue) as refused:
            acme.sync(kind)
        assert str(refused.value) == (
            "Pipedrive's field catalogue lacks 13 of the 60 known fields, so it was not used and nothing was changed. "
            "See whether the token's user still sees all fields."
        )
        assert refused.value.guard == acme.last_run().refused_by == "lost_fields"
        assert acme.last_run().message == str(refused.value)
        assert len(acme.requests(FIELDS)) == 2
        assert acme.requests("/api/v2/persons") == []
        assert _state(acme) == before
        # Allowing deletions does not cover this.
        with pytest.raises(BrokenCatalogue):
            acme.sync(kind, allowed=ANY_DELETIONS)
        # A user confirms that the fields were deleted.
        towns = acme.column("town")
        assert acme.sync(kind, allowed=Permissions(lost_fields=True))["updated"] == 0
        assert acme.column("town") == towns
        assert [row.pipedrive for row in acme.status().red_rows] == ["city"]
        assert len(acme.status().schema_changes) == 13
        acme.sync(kind)


@pytest.mark.parametrize("count", [5, 12])
def test_a_few_missing_fields_count_as_deleted(sqlite_url: str, count: int) -> None:
    """Five are never too many; twelve of sixty are not more than 20 %."""
    with _imported(sqlite_url, _wide_account()) as acme:
        _delete_fields(acme.account, count)
        acme.sync()
        assert len(acme.requests(FIELDS)) == 1
        assert {change.kind for change in acme.status().schema_changes} == {"gone_field"}
        assert len(acme.status().schema_changes) == count


def test_a_second_read_recovers_missing_fields(database_url: str) -> None:
    with _imported(database_url, _wide_account()) as acme:
        before = _state(acme)
        whole = dict(acme.account.custom_fields)

        def show(account: Account) -> None:
            account.custom_fields.clear()
            account.custom_fields.update(whole)
            account.rename_field("city", "City")

        for fault in (
            Fault("on_page", FIELDS, on_page=lambda account: _delete_fields(account, 15)),
            Fault("on_page", FIELDS, after=1, on_page=show),
        ):
            acme.server.faults.add(fault)
        acme.sync()
        assert len(acme.requests(FIELDS)) == 2
        assert _state(acme) == before


def test_fields_deleted_earlier_do_not_count_again(sqlite_url: str) -> None:
    """Only fields present at the last reading count, on either side."""
    with _imported(sqlite_url, _wide_account()) as acme:
        for number in range(EXTRA):
            acme.account.delete_field(f"extra{number}")
            if number % 5 == 4:
                acme.sync()
        assert acme.last_run().state == "success"


@pytest.mark.parametrize("spelling", ["v1", "v2"])
def test_another_field_spelling_is_not_a_loss(sqlite_url: str, spelling: str) -> None:
    with _imported(sqlite_url, _wide_account()) as acme:
        acme.server.account.behaviours = acme.account.behaviours.__class__(system_codes=spelling)  # type: ignore[arg-type]
        _delete_fields(acme.account, 12)
        acme.sync()


def test_reconnecting_is_as_careful(database_url: str) -> None:
    with _imported(database_url, _wide_account()) as acme:
        accounts.disconnect(acme.store, acme.name, forget=False)
        before = _state(acme)
        _delete_fields(acme.account, 13)
        with pytest.raises(BrokenCatalogue, match=r"lacks 13 of the 60 "):
            acme.connect()
        assert _state(acme) == before
        assert acme.status().state == "disconnected"
        acme.settings["allow_lost_fields"] = True
        acme.connect()
        assert acme.status().state == "active"
        assert [row.pipedrive for row in acme.status().red_rows] == ["city"]
        assert acme.sync()["unchanged"] == 3


def test_a_new_connection_has_no_field_changes(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account(1)) as acme:
        assert acme.status().schema_changes == []


# Answers that the sandbox never gives ----------------------------------------------------------------------


class _Catalogues:
    """A host that shows the account's catalogue with entries that the test changes, reading by reading."""

    def __init__(self, acme: Connected) -> None:
        with http_client(headers={"x-api-token": acme.account.token}) as client:
            answer = client.get(f"{acme.server.url}{FIELDS}", params={"limit": 500})
        self.entries: list[dict[str, Any]] = answer.json()["data"]
        self.readings: list[list[Any]] = []
        self.company_id = acme.account.company_id
        self.read = 0

    def __call__(self, request: Request, _: int) -> Reply:
        if request.path != FIELDS:
            return Reply({"success": True, "data": {"id": 1, "company_id": self.company_id}})
        self.read += 1
        return listed(self.readings[min(self.read, len(self.readings)) - 1])

    def without(self, *codes: str) -> list[dict[str, Any]]:
        return [entry for entry in self.entries if entry["field_code"] not in codes]

    def store(self, acme: Connected, *, allow_lost_fields: bool = False) -> list[SchemaChange]:
        with (
            host(self) as pipedrive,
            PipedriveClient(pipedrive.url, ApiToken(acme.account.token)) as client,
        ):
            record = acme.record()
            if not allow_lost_fields:
                return store_catalogue(acme.store, record, client).changes
            with acme.store.engine.begin() as db:
                known = read_fields(db, record.id)
                fields = read_whole_catalogue(client, known, allow_lost_fields=True)
                return save_fields(db, record.id, fields)


def test_a_missing_field_may_be_a_malformed_entry(database_url: str) -> None:
    with _imported(database_url, small_account()) as acme:
        before = _state(acme)
        pipedrive = _Catalogues(acme)
        pipedrive.readings = [[*pipedrive.without("city"), {"field_name": "City"}]]
        with pytest.raises(BrokenCatalogue, match=r"entries that can't be read \(1\) and lacks 1 of the 38"):
            pipedrive.store(acme)
        assert pipedrive.read == 2
        assert _state(acme) == before
        # Really deleted, with a malformed entry beside it: a user has to decide.
        changes = pipedrive.store(acme, allow_lost_fields=True)
        assert [(change.kind, change.field_code) for change in changes] == [("gone_field", "city")]
        assert pipedrive.store(acme) == []


def test_malformed_entries_alone_do_no_harm(sqlite_url: str) -> None:
    with _imported(sqlite_url, small_account()) as acme:
        before = _state(acme)
        pipedrive = _Catalogues(acme)
        cases: list[list[list[Any]]] = [
            [[*pipedrive.entries, None, "city"]],
            [[*pipedrive.without("city"), {}], pipedrive.entries],
            # An entry without a type has not changed its type.
            [[{**each, "field_type": None} for each in pipedrive.entries]],
        ]
        for readings in cases:
            pipedrive.readings, pipedrive.read = readings, 0
            assert pipedrive.store(acme) == []
            assert pipedrive.read == len(readings)
            assert _state(acme) == before


@pytest.mark.parametrize("allowed", [True, False])
def test_an_empty_catalogue_is_never_used(database_url: str, allowed: bool) -> None:
    with _imported(database_url, small_account()) as acme:
        before = _state(acme)
        pipedrive = _Catalogues(acme)
        for reading in ([], pipedrive.without("name")):
            pipedrive.readings = [reading]
            with pytest.raises(BrokenCatalogue, match="without the name"):
                pipedrive.store(acme, allow_lost_fields=allowed)
        pipedrive.readings, pipedrive.read = [[], pipedrive.entries], 0
        assert pipedrive.store(acme) == []
        assert _state(acme) == before


# Outside a run ---------------------------------------------------------------------------------------------


def test_the_catalogue_is_stored_even_during_a_run(database_url: str) -> None:
    with _imported(database_url, small_account()) as acme:
        acme.account.add_field("Size", "varchar", code="size")
        with pipedrive_client(acme.store, acme.record()) as client:
            report = store_catalogue(acme.store, acme.record(), client)
            assert [(each.kind, each.field_code) for each in report.changes] == [("new_field", "size")]
            assert "size" in [field.field_code for field in report.fields]
            assert store_catalogue(acme.store, acme.record(), client).changes == []
            assert acme.status().fields_waiting == [WaitingField("size", "Size")]
            acme.account.company_id = 4711
            acme.account.add_field("Other", "varchar", code="other")
            with pytest.raises(WrongAccount):
                store_catalogue(acme.store, acme.record(), client)
        assert len(acme.status().schema_changes) == 1


def test_concurrent_catalogue_reads_report_each_change_once(database_url: str) -> None:
    with _imported(database_url, small_account()) as acme:
        acme.account.add_field("Size", "varchar", code="size")
        acme.account.delete_field("note")
        told: list[list[SchemaChange]] = []

        def store() -> None:
            with pipedrive_client(acme.store, acme.record()) as client:
                together.wait()
                told.append(store_catalogue(acme.store, acme.record(), client).changes)

        for _ in range(3):
            together = threading.Barrier(4)
            threads = [threading.Thread(target=store) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert len(told) == 12
        assert sorted(change.kind for changes in told for change in changes) == ["gone_field", "new_field"]
        assert len(acme.status().schema_changes) == 2
