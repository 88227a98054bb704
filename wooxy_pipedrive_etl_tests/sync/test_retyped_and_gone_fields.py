"""A field that changes type, is deleted or comes back under a matching in force: what it fed is never emptied."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from wooxy_pipedrive_etl.errors import SyncError
from wooxy_pipedrive_etl.matching import view
from wooxy_pipedrive_etl.sandbox.pipedrive import Account
from wooxy_pipedrive_etl.sync.selection import Kind
from wooxy_pipedrive_etl_tests.scenario import Connected, Target, add_person, connected, small_account

ROWS: dict[str, Target] = {"emails": "email", "name": "name", "colour": "shade", "city": "town"}
KINDS: list[Kind] = ["full", "changes", "re-map"]


def _retype(acme: Connected, code: str, field_type: str) -> None:
    field = acme.account.custom_field(code)
    field.field_type = field_type
    acme.account.rename_field(code, field.name)


def _row(acme: Connected, key: str) -> dict[str, Any]:
    table, _ = view.show_matching(acme.store, acme.name)
    (row,) = (row for row in table if row.pipedrive == key)
    return row._asdict()


def _kinds(acme: Connected) -> list[str]:
    return [change.kind for change in acme.status().schema_changes]


@pytest.mark.parametrize("ignore_empty", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_a_retyped_field_is_red_and_feeds_nothing(database_url: str, kind: Kind, ignore_empty: bool) -> None:
    with connected(database_url, small_account()) as acme:
        acme.import_rows(ROWS, ignore_empty=ignore_empty)
        acme.sync()
        before = acme.dump()
        # As an amount, text is malformed and would be empty.
        _retype(acme, "city", "monetary")
        assert acme.sync(kind)["updated"] == 0
        assert acme.dump() == before
        row = _row(acme, "city")
        assert (row["status"], row["wooxy"]) == ("red", "town")
        assert "changed its type from varchar to monetary" in row["reason"]
        assert _kinds(acme) == ["retyped_field"]
        # It stays that way, and a new person has none of its values either.
        add_person(acme.account, 4, custom_fields={"city": {"value": 5, "currency": "EUR"}})
        assert acme.sync()["created"] == 1
        assert acme.column("town")["person4@example.com"] is None
        assert acme.column("town")["person1@example.com"] == "City 1"


def test_importing_again_accepts_the_new_type(database_url: str) -> None:
    with connected(database_url, small_account()) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        _retype(acme, "city", "text")
        acme.account.edit_person(1, custom_fields={"city": "Elsewhere"})
        acme.sync()
        assert acme.column("town")["person1@example.com"] == "City 1"
        report = acme.import_rows(ROWS)
        assert (report.changed, report.added, report.renamed) == (True, [], [])
        assert not acme.status().matching_applied
        assert _row(acme, "city")["status"] == "green"
        assert acme.remap()["updated"] == 1
        assert acme.column("town")["person1@example.com"] == "Elsewhere"
        # Once is enough.
        assert not acme.import_rows(ROWS).changed
        assert acme.status().matching_applied


def test_a_field_with_its_old_type_feeds_again(database_url: str) -> None:
    with connected(database_url, small_account()) as acme:
        acme.import_rows(ROWS, ignore_empty=False)
        acme.sync()
        before = acme.dump()
        _retype(acme, "colour", "varchar")
        assert acme.sync()["updated"] == 0
        _retype(acme, "colour", "enum")
        assert acme.sync()["updated"] == 0
        assert acme.dump() == before
        assert _row(acme, "colour")["status"] == "green"
        acme.account.edit_person(1, custom_fields={"colour": None})
        assert acme.sync()["updated"] == 1
        assert acme.column("shade")["person1@example.com"] is None


def test_all_parts_of_a_retyped_field_are_red(sqlite_url: str) -> None:
    account = small_account(1)
    account.add_field("Budget", "monetary", code="budget")
    account.edit_person(1, custom_fields={"budget": {"value": 5, "currency": "EUR"}})
    with connected(sqlite_url, account) as acme:
        acme.import_rows(
            {**ROWS, "budget": "budget", "budget/currency": "budgetCurrency"}, ignore_empty=False
        )
        acme.sync()
        before = acme.dump()
        _retype(acme, "budget", "double")
        assert acme.sync()["updated"] == 0
        assert acme.dump() == before
        for key in ("budget", "budget/currency"):
            row = _row(acme, key)
            assert row["status"] == "red"
            assert "from monetary to double" in row["reason"]


def _suggest(acme: Connected) -> None:
    view.suggest_matching(acme.store, acme.name)


def _set_ignore(acme: Connected) -> None:
    view.set_ignore_empty_values(acme.store, acme.name, False)


@pytest.mark.parametrize("edit", [_suggest, _set_ignore])
@pytest.mark.parametrize("retyped_first", [True, False])
def test_only_an_import_accepts_a_new_type(
    sqlite_url: str, edit: Callable[[Connected], None], retyped_first: bool
) -> None:
    with connected(sqlite_url, small_account()) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        towns = acme.column("town")
        if retyped_first:
            _retype(acme, "city", "monetary")
            acme.sync()
            edit(acme)
        else:
            edit(acme)
            _retype(acme, "city", "monetary")
        acme.sync()
        assert acme.column("town") == towns
        assert _row(acme, "city")["status"] == "red"
        acme.import_rows(ROWS)
        # Matched again; the persons stored have no amount yet.
        assert _row(acme, "city")["status"] == "amber"


def test_changing_empty_values_does_not_import_new_fields(database_url: str) -> None:
    with connected(database_url, small_account()) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        # It would match automatically, to a variable of the list that nothing feeds.
        acme.account.add_field("Source name", "varchar", code="source")
        acme.account.edit_person(1, custom_fields={"source": "Fair"})
        acme.sync()
        view.set_ignore_empty_values(acme.store, acme.name, False)
        acme.sync()
        assert set(acme.column("sourceName").values()) == {None}
        assert _row(acme, "source")["new"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_restored_field_feeds_again(database_url: str, kind: Kind) -> None:
    with connected(database_url, small_account()) as acme:
        acme.import_rows(ROWS, ignore_empty=False)
        acme.sync()
        before = acme.dump()
        gone = acme.account.custom_field("city")
        acme.account.delete_field("city")
        assert acme.sync(kind)["updated"] == 0
        assert acme.dump() == before
        acme.account.custom_fields["city"] = gone
        acme.account.rename_field("city", gone.name)
        assert acme.sync(kind)["updated"] == 0
        acme.account.edit_person(1, custom_fields={"city": "Elsewhere"})
        assert acme.sync()["updated"] == 1
        assert acme.column("town")["person1@example.com"] == "Elsewhere"
        assert _kinds(acme) == ["returned_field", "gone_field"]


def test_a_field_restored_with_another_type_stays_red(database_url: str) -> None:
    with connected(database_url, small_account()) as acme:
        acme.import_rows(ROWS, ignore_empty=False)
        acme.sync()
        before = acme.dump()
        acme.account.delete_field("city")
        acme.sync()
        acme.account.add_field("City", "monetary", code="city")
        assert acme.sync()["updated"] == 0
        assert acme.dump() == before
        assert "changed its type" in _row(acme, "city")["reason"]
        assert _kinds(acme) == ["retyped_field", "returned_field", "gone_field"]


def _members() -> tuple[Account, dict[str, Target]]:
    """Persons identified only by a custom field, and a matching for it."""
    account = small_account()
    account.add_field("Member", "varchar", code="member")
    for person_id in (1, 2, 3):
        account.edit_person(person_id, emails=[], custom_fields={"member": f"m{person_id}"})
    return account, {"member": "userId", "emails": "email", "name": "name"}


def test_a_retyped_identifier_stops_runs_that_could_delete(database_url: str) -> None:
    account, rows = _members()
    with connected(database_url, account) as acme:
        acme.import_rows(rows, ignore_empty=False)
        assert acme.sync()["created"] == 3
        before = acme.dump()
        _retype(acme, "member", "text")
        for kind in KINDS:
            with pytest.raises(SyncError, match=r"“Member” \(member\).*It feeds userId.*nothing was written"):
                acme.sync(kind)
        assert acme.dump() == before
        assert acme.status().red_rows[0].pipedrive == "member"
        # With "ignore empty", a contact keeps its identifiers.
        view.set_ignore_empty_values(acme.store, acme.name, True)
        assert acme.sync()["deleted"] == 0
        assert acme.dump() == before
        acme.import_rows(rows, ignore_empty=False)
        assert acme.sync()["unchanged"] == 3


def test_a_deleted_identifier_stops_runs_that_could_delete(database_url: str) -> None:
    account, rows = _members()
    with connected(database_url, account) as acme:
        acme.import_rows(rows, ignore_empty=False)
        assert acme.sync()["created"] == 3
        before = acme.dump()
        account.delete_field("member")
        for kind in KINDS:
            with pytest.raises(
                SyncError, match=r"\(member\): The field is no longer in Pipedrive.*It feeds userId"
            ):
                acme.sync(kind)
        assert acme.dump() == before
        # A user who imports a matching without it has decided.
        del rows["member"]
        acme.import_rows(rows, ignore_empty=False)
        assert acme.sync()["deleted"] == 3
