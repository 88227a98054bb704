"""Editing a matching after its first Import, and the re-map that follows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from wooxy_pipedrive_etl.mapping.errors import MatchingFileError
from wooxy_pipedrive_etl.mapping.matching import Matching, version_of
from wooxy_pipedrive_etl.matching import view
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.store.matchings import latest_matching
from wooxy_pipedrive_etl_tests.scenario import (
    Connected,
    Target,
    add_person,
    connected,
    seeded_account,
    small_account,
)

IDENTITY: dict[str, Target] = {"emails": "email", "phones": "phoneNumber", "name": "name"}
BEFORE: dict[str, Target] = {**IDENTITY, "colour": "shade", "city": "town"}


def _fresh(acme: Connected) -> Connected:
    """Another connection of the same account, which never had another matching."""
    fresh = replace(acme, name="fresh", domain="fresh.example.com")
    fresh.connect()
    return fresh


def _values(connection: Connected, *without: str) -> list[dict[str, Any]]:
    """The contacts without what is specific to each list."""
    own = {"contact_id", "createdAt", "updatedAt", *without}
    rows = [{key: value for key, value in each.items() if key not in own} for each in connection.contacts()]
    return sorted(rows, key=lambda row: str(row["email"]))


# The new matching, and the columns that a fresh list would not have.
EDITS: dict[str, tuple[dict[str, Target], set[str]]] = {
    "A is renamed to B, and a row is new": (
        {**BEFORE, "colour": "tint", "add_time": ("personCreated", "DateTime")},
        set(),
    ),
    "A to the existing B, and another to a built-in one": (
        {**IDENTITY, "colour": "town", "city": "sourceName"},
        {"shade"},
    ),
    "a swap of two": ({**BEFORE, "colour": "town", "city": "shade"}, set()),
    "one takes the name that another leaves": ({**BEFORE, "colour": "town", "city": "place"}, set()),
    "another format, and another field for a variable": (
        {**IDENTITY, "note": "shade", "city": ("townDate", "DateTime")},
        {"town"},
    ),
}


@pytest.mark.parametrize("edit", EDITS)
def test_a_re_map_equals_a_fresh_connection(database_url: str, edit: str) -> None:
    after, left_behind = EDITS[edit]
    with connected(database_url, small_account(7)) as acme:
        acme.import_rows(BEFORE, ignore_empty=False)
        acme.sync()
        ids = acme.column("contact_id")
        acme.server.clear_requests()
        acme.import_rows(after, ignore_empty=False)
        acme.remap()
        assert acme.requests("/api/v2/persons") == []
        assert acme.column("contact_id") == ids
        fresh = _fresh(acme)
        fresh.import_rows(after, ignore_empty=False)
        fresh.sync()
        assert _values(acme, *left_behind) == _values(fresh)
        assert acme.issues() == fresh.issues()


def test_renaming_a_variable_renames_its_column(database_url: str) -> None:
    with connected(database_url, small_account()) as acme:
        acme.import_rows(BEFORE)
        acme.sync()
        acme.execute("""UPDATE {list} SET "shade" = 'kept'""")
        report = acme.import_rows({**BEFORE, "colour": "tint"})
        assert (report.renamed, report.added) == ([("shade", "tint")], [])
        assert set(acme.column("tint").values()) == {"kept"}
        assert "shade" not in acme.contacts()[0]


def test_an_unmatched_variable_keeps_its_old_values(database_url: str) -> None:
    with connected(database_url, small_account()) as acme:
        acme.import_rows(BEFORE)
        acme.sync()
        towns = acme.column("town")
        acme.import_rows({**BEFORE, "city": None})
        assert acme.remap()["updated"] == 0
        acme.account.edit_person(1, custom_fields={"city": "Elsewhere"})
        add_person(acme.account, 4)
        acme.sync()
        assert acme.column("town") == {**towns, "person4@example.com": None}


def test_only_columns_created_by_sync_are_renamed(database_url: str) -> None:
    with connected(database_url, small_account()) as acme:
        acme.execute('ALTER TABLE {list} ADD COLUMN "theirs" TEXT')
        acme.import_rows({**BEFORE, "note": "theirs"})
        acme.sync()
        report = acme.import_rows({**BEFORE, "note": "ours"})
        assert (report.renamed, report.added) == ([], ["ours"])
        acme.remap()
        assert acme.column("theirs") == acme.column("ours")


def test_a_realistic_account_is_re_mapped_completely(database_url: str) -> None:
    with connected(database_url, seeded_account(60), default_region="FI") as acme:
        acme.import_rows(IDENTITY, ignore_empty=False)
        acme.sync()
        acme.import_all()
        acme.server.clear_requests()
        acme.remap()
        assert acme.requests("/api/v2/persons") == []
        fresh = _fresh(acme)
        fresh.import_rows(IDENTITY, ignore_empty=False)
        fresh.import_all()
        fresh.sync()
        assert _values(acme) == _values(fresh)
        assert acme.issues() == fresh.issues()


def test_a_re_map_applies_the_empty_values_setting(database_url: str) -> None:
    with connected(database_url, small_account()) as acme:
        acme.import_rows(BEFORE, ignore_empty=True)
        acme.sync()
        acme.account.edit_person(1, custom_fields={"city": None})
        assert acme.sync()["updated"] == 0
        assert acme.contact(email="person1@example.com")["town"] == "City 1"
        view.set_ignore_empty_values(acme.store, acme.name, False)
        assert acme.remap()["updated"] == 1
        assert acme.contact(email="person1@example.com")["town"] is None


@pytest.mark.parametrize("drafted", [True, False])
def test_a_draft_leaves_the_empty_values_setting_alone(database_url: str, drafted: bool) -> None:
    """And the draft's Import does not undo it."""
    with connected(database_url, small_account()) as acme:
        acme.import_rows(BEFORE, ignore_empty=True)
        acme.sync()
        acme.draft_rows({**BEFORE, "note": "remark"}, ignore_empty=drafted)
        assert view.ignores_empty_values(acme.store, acme.name)
        assert view.set_ignore_empty_values(acme.store, acme.name, False)
        assert not view.ignores_empty_values(acme.store, acme.name)
        acme.account.edit_person(1, custom_fields={"city": None})
        acme.sync("changes")
        assert acme.contact(email="person1@example.com")["town"] is None
        _, latest = view.show_matching(acme.store, acme.name)
        assert (latest.ignore_empty_values, "remark" in {row.wooxy for row in latest.rows}) == (False, True)
        # Setting what is already so has no effect.
        assert not view.set_ignore_empty_values(acme.store, acme.name, False)


BROKEN: list[tuple[dict[str, Target], list[str]]] = [
    ({"colour": "town", "city": "town"}, ["colour", "city"]),
    ({"colour": "createdAt", "city": "active", "note": "smsSubscribe"}, ["colour", "city", "note"]),
    ({"colour": "Bad Name", "city": "xmin"}, ["colour", "city"]),
    ({"colour": "shade", "city": "Shade"}, ["colour", "city"]),
    ({"colour": ("shade", "DateTime")}, ["colour"]),
    ({"first_name": "town", "nowhere": "other"}, ["nowhere"]),
]


def test_an_invalid_matching_names_rows_and_changes_nothing(database_url: str) -> None:
    with connected(database_url, small_account()) as acme:
        acme.import_rows(BEFORE)
        acme.sync()
        before, export, shown = acme.dump(), acme.export(), view.export_matching(acme.store, acme.name)
        for rows, named in BROKEN:
            with pytest.raises(MatchingFileError) as refused:
                acme.import_rows({**IDENTITY, **rows})
            for key in named:
                assert f"({key})" in str(refused.value) or f"“{key}”" in str(refused.value)
            assert len(refused.value.errors) == len(named)
        assert (acme.dump(), acme.export()) == (before, export)
        assert view.export_matching(acme.store, acme.name) == shown


def test_the_version_depends_only_on_the_users_choices(sqlite_url: str) -> None:
    def version(connection: Connected) -> str:
        with reading(connection.store.engine) as db:
            stored = latest_matching(db, connection.record().id)
        assert stored is not None
        return version_of(Matching(stored.ignore_empty_values, stored.rows))

    with connected(sqlite_url, small_account()) as acme:
        acme.import_rows(BEFORE)
        before = version(acme)
        view.set_ignore_empty_values(acme.store, acme.name, False)
        overwriting = version(acme)
        acme.import_rows({**BEFORE, "city": "place"})
        assert len({before, overwriting, version(acme)}) == 3
        acme.import_rows(BEFORE)
        assert version(acme) == before
