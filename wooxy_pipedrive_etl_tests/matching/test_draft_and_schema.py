"""Before the first Import, and what changes to Pipedrive's fields do to a matching in force."""

from __future__ import annotations

from typing import Any

import pytest

from wooxy_pipedrive_etl.errors import NotImported
from wooxy_pipedrive_etl.matching import view
from wooxy_pipedrive_etl_tests.scenario import Connected, Target, connected, small_account

ROWS: dict[str, Target] = {"emails": "email", "name": "name", "colour": "shade", "city": "town"}


def _row(acme: Connected, key: str) -> dict[str, Any]:
    table, _ = view.show_matching(acme.store, acme.name)
    (row,) = (row for row in table if row.pipedrive == key)
    return row._asdict()


def _changes(acme: Connected) -> list[tuple[str, str]]:
    return [(change.kind, change.field_code) for change in acme.status().schema_changes]


def test_a_draft_writes_nothing(database_url: str) -> None:
    with connected(database_url, small_account()) as acme:
        assert (acme.status().state, acme.status().last_run) == ("draft", None)
        columns = list(acme.dump())
        acme.server.clear_requests()
        for act in (acme.sync, acme.remap):
            with pytest.raises(NotImported, match="match acme --import FILE"):
                act()
        view.suggest_matching(acme.store, acme.name)
        with pytest.raises(NotImported):
            acme.sync()
        assert acme.requests() == []
        assert acme.dump() == columns == []
        assert _row(acme, "city")["wooxy"] == "city"
        # A suggestion is not a column yet.
        report = view.import_matching(acme.store, acme.name, view.export_matching(acme.store, acme.name))
        assert "city" in report.added
        assert acme.status().state == "active"
        assert acme.dump() == []


def test_a_draft_does_not_affect_an_active_connection(database_url: str) -> None:
    with connected(database_url, small_account()) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        before = acme.dump()
        assert view.suggest_matching(acme.store, acme.name) > 0
        acme.remap()
        acme.sync()
        assert acme.dump() == before
        assert acme.status().state == "active"


def test_a_new_field_waits_for_import(database_url: str) -> None:
    with connected(database_url, small_account()) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        columns = set(acme.contacts()[0])
        acme.account.add_field("Size", "varchar", code="size")
        # It would match automatically, to a variable of the list that nothing feeds.
        acme.account.add_field("Source name", "varchar", code="source")
        acme.account.edit_person(1, custom_fields={"size": "XL", "source": "Fair"})
        acme.sync()
        assert set(_changes(acme)) == {("new_field", "size"), ("new_field", "source")}
        assert set(acme.contacts()[0]) == columns
        assert set(acme.column("sourceName").values()) == {None}
        size, source = _row(acme, "size"), _row(acme, "source")
        assert (size["status"], size["wooxy"], size["suggestion"], size["preview"]) == (
            "gray",
            None,
            "size",
            "XL",
        )
        assert (source["status"], source["wooxy"]) == ("gray", "sourceName")
        assert "New in Pipedrive" in source["reason"]
        acme.import_rows({**ROWS, "size": "size", "source": "sourceName"})
        acme.remap()
        contact = acme.contact(email="person1@example.com")
        assert (contact["size"], contact["sourceName"]) == ("XL", "Fair")


def test_a_re_map_applies_a_renamed_option(database_url: str) -> None:
    with connected(database_url, small_account()) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        gold = acme.account.custom_field("colour").options[0]
        acme.account.rename_option("colour", gold.id, "Golden")
        acme.server.clear_requests()
        counts = acme.remap()
        assert acme.requests("/api/v2/persons") == []
        assert (counts["updated"], counts["unchanged"]) == (2, 1)
        assert sorted(acme.column("shade").values()) == ["Golden", "Golden", "Silver"]
        assert _changes(acme) == [("renamed_option", "colour")]


def test_a_renamed_field_keeps_its_column(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account()) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        acme.account.rename_field("city", "Home town")
        assert acme.remap()["updated"] == 0
        row = _row(acme, "city")
        assert (row["label"], row["wooxy"], row["status"]) == ("Home town", "town", "green")
        assert _changes(acme) == [("renamed_field", "city")]


def test_a_deleted_option_keeps_its_label(database_url: str) -> None:
    with connected(database_url, small_account()) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        shades = acme.column("shade")
        acme.account.delete_option("colour", acme.account.custom_field("colour").options[0].id)
        assert acme.sync()["updated"] == 0
        assert acme.column("shade") == shades
        assert acme.issues() == []
        assert _changes(acme) == [("gone_option", "colour")]


@pytest.mark.parametrize("ignore_empty", [True, False])
def test_a_deleted_field_is_red_and_keeps_values(database_url: str, ignore_empty: bool) -> None:
    with connected(database_url, small_account()) as acme:
        acme.import_rows(ROWS, ignore_empty=ignore_empty)
        acme.sync()
        before = acme.dump()
        acme.account.delete_field("city")
        assert acme.sync()["updated"] == 0
        assert acme.dump() == before
        row = _row(acme, "city")
        assert (row["status"], row["wooxy"]) == ("red", "town")
        assert "no longer in Pipedrive" in row["reason"]
        assert _changes(acme) == [("gone_field", "city")]


def test_previews_can_be_masked(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with connected(sqlite_url, small_account(1)) as acme:
        assert _row(acme, "city")["preview"] == "City 1"
        monkeypatch.setenv("WOOXY_PIPEDRIVE_PREVIEW", "masked")
        table, _ = view.show_matching(acme.store, acme.name)
        shown = " ".join(row.preview for row in table if row.preview)
        assert shown
        for value in ("City", "Person", "person1", "100001"):
            assert value not in shown
