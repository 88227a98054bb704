"""The Match variables page without its looks: what it shows, what is saved of what was typed, and who comes first."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from wooxy_pipedrive_etl.mapping.matching import ColumnChanges
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.store.matchings import confirmed_matching
from wooxy_pipedrive_etl.sync import accounts, match_page, matching
from wooxy_pipedrive_etl.sync.errors import InvalidMatching, MatchingChanged, SyncError
from wooxy_pipedrive_etl.sync.match_page import MatchPage, PageRow, TypedRow
from wooxy_pipedrive_etl.sync.matching import ImportReport
from wooxy_pipedrive_etl.sync.previews import PREVIEW_PERSONS, SampleCache
from wooxy_pipedrive_etl_tests.scenario import Connected, Target, connected, small_account

ROWS: dict[str, Target] = {"emails": "email", "name": "name", "colour": "shade", "city": "town"}
NONE = TypedRow("none", "", "String")

Typed = dict[str, TypedRow]


def _page(
    acme: Connected, rows: Typed | None = None, /, *, samples: SampleCache | None = None, **typed: TypedRow
) -> MatchPage:
    """The page with these rows typed, by key."""
    return match_page.read_page(acme.store, acme.name, samples or SampleCache(), {**(rows or {}), **typed})


def _rows(page: MatchPage) -> dict[str, PageRow]:
    return {row.key: row for row in page.rows}


def _save(
    acme: Connected,
    rows: Typed | None = None,
    /,
    *,
    version: str | None = None,
    ignore_empty: bool = True,
    **typed: TypedRow,
) -> str:
    version = version or _page(acme).version
    return match_page.save_draft(acme.store, acme.name, {**(rows or {}), **typed}, ignore_empty, version)


def _import(acme: Connected, rows: Typed | None = None, /, **typed: TypedRow) -> ImportReport:
    given = {**(rows or {}), **typed}
    return match_page.import_rows(acme.store, acme.name, given, True, _page(acme).version)


def _stored(acme: Connected) -> dict[str, tuple[str | None, str]]:
    _, latest = matching.show_matching(acme.store, acme.name)
    rows = latest.variables
    return {
        key: (wooxy, format_)
        for key, wooxy, format_ in zip(rows["pipedrive"], rows["wooxy"], rows["format"], strict=True)
    }


def _in_force(acme: Connected) -> list[dict[str, Any]]:
    with reading(acme.store.engine) as connection:
        found = confirmed_matching(connection, acme.record().id)
    assert found is not None
    return [{str(name): value for name, value in row.items()} for row in found.variables.to_dict("records")]


def _by_key(rows: list[dict[str, Any]]) -> dict[str, tuple[Any, ...]]:
    """What rows in force say, in no order; the format of a row of none says nothing."""
    return {
        row["pipedrive"]: (row["wooxy"], row["wooxy"] and row["format"], row["field_type"]) for row in rows
    }


def _new(wooxy: str, format_: str = "String") -> TypedRow:
    return TypedRow("new", wooxy, format_)


def _existing(wooxy: str, format_: str = "String") -> TypedRow:
    return TypedRow("existing", wooxy, format_)


def test_a_draft_shows_what_is_matched_by_itself_and_what_could_be(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account(6)) as acme:
        page = _page(acme)
        rows = _rows(page)
        assert (page.confirmed, page.in_force, page.sampled) == (False, False, 6)
        emails, city, note = rows["emails"], rows["city"], rows["note"]
        assert (emails.status, emails.choice, emails.wooxy, emails.fixed_format) == (
            "green",
            "existing",
            "email",
            True,
        )
        assert (city.status, city.choice, city.wooxy, city.suggestion) == ("gray", "none", "", "city")
        assert (city.preview.filled, note.preview.filled) == (6, 4)
        assert set(city.preview.texts) < {f"City {number}" for number in range(1, 7)}
        assert (rows["add_time"].format, rows["add_time"].fixed_format) == ("DateTime", False)
        assert page.targets["contactBirthday"] == "DateTime"
        assert "emailSubscribe" in page.targets
        assert not {"active", "createdAt", "smsSubscribe"} & page.targets.keys()
        assert not any(row.new for row in page.rows)


CHOICES: dict[str, tuple[TypedRow, str | None]] = {
    "none wins over any text": (TypedRow("none", "No such thing", "String"), None),
    "an unknown variable of the list": (_existing("town"), "The list has no variable “town”: choose it"),
    "a new one that the list has": (_new("sourceName"), "The list has a variable “sourceName” already"),
    "existing without a name": (_existing(" "), "Choose one of the list's variables"),
    "new without a name": (_new(""), "Give the new variable a name"),
    "other capitals": (_existing("SourceName"), "in capitals only"),
    "an invalid name": (_new("2nd town"), "“2nd town” is not a valid name"),
    "kept by Wooxy": (_existing("active"), "kept by Wooxy itself"),
    "blanks around": (_new(" town "), None),
    "the list's format counts": (_existing("sourceName", "DateTime"), None),
}


@pytest.mark.parametrize("case", CHOICES)
def test_what_was_typed_is_judged_and_shown_as_it_was_typed(sqlite_url: str, case: str) -> None:
    typed, problem = CHOICES[case]
    with connected(sqlite_url, small_account(1)) as acme:
        page = _page(acme, city=typed)
        row = _rows(page)["city"]
        assert (row.choice, row.wooxy, row.typed) == (typed.choice, typed.wooxy, True)
        assert row.refused == (problem is not None)
        assert row.status == ("red" if problem else "gray" if typed.choice == "none" else "green")
        assert (problem or "") in (row.reason or "")
        assert _rows(_page(acme))["city"].choice == "none"
        version, checked = match_page.check_rows(acme.store, acme.name, {"city": typed})
        assert version == page.version
        assert [(each.key, each.status, each.reason) for each in checked] == [
            (each.key, each.status, each.reason) for each in page.rows
        ]


def test_a_draft_keeps_names_that_are_not_valid_but_must_be_clear(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account(1)) as acme:
        acme.import_rows(ROWS)
        before = _stored(acme)
        with pytest.raises(InvalidMatching, match=r"“City” \(city\): The list has no variable “place”"):
            _save(acme, city=_existing("place"), note=_new("remark"))
        assert _stored(acme) == before
        _save(acme, note=_new("2nd Note"), city=_existing("sourceName", "DateTime"))
        assert _stored(acme) == before | {"note": ("2nd Note", "String"), "city": ("sourceName", "String")}
        row = _rows(_page(acme))["note"]
        assert (row.status, row.choice, row.wooxy, row.refused) == ("red", "new", "2nd Note", True)
        assert row.suggestion == "note"
        with pytest.raises(InvalidMatching, match="is not a valid name"):
            _import(acme)
        assert acme.record().state == "active"


def test_a_double_names_both_rows(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account(1)) as acme:
        rows = _rows(_page(acme, city=_new("place"), note=_new("Place".lower())))
        assert rows["city"].reason == rows["note"].reason
        for name in ("“City” (city)", "“Note” (note)"):
            assert name in (rows["city"].reason or "")


def test_a_form_of_some_rows_leaves_the_others(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account(1)) as acme:
        _save(acme, city=_new("place"))
        # Before the first Import, what is matched by itself belongs to it.
        assert _stored(acme)["emails"] == ("email", "String")
        version = _save(acme, note=_new("remark"), ignore_empty=False)
        assert (_stored(acme)["city"], _stored(acme)["note"]) == (("place", "String"), ("remark", "String"))
        assert not _page(acme).ignore_empty_values
        assert version == _page(acme).version
        # Nothing is changed: no new draft, no other version.
        assert _save(acme, ignore_empty=False) == version
        report = _import(acme)
        assert set(report.added) == {"place", "remark"}
        assert _stored(acme)["emails"] == ("email", "String")
        assert _page(acme).confirmed


def test_a_new_field_is_imported_by_nobody_who_has_not_seen_it(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account(1)) as acme:
        acme.import_rows(ROWS)
        acme.account.add_field("Source name", "varchar", code="source")
        acme.account.add_field("Size", "varchar", code="size")
        changes = match_page.fetch_fields(acme.store, acme.name)
        assert {change.kind for change in changes} == {"new_field"}
        for _ in range(2):
            rows = _rows(_page(acme))
            assert (rows["source"].status, rows["source"].wooxy) == ("gray", "sourceName")
            assert "waits for Import" in (rows["source"].reason or "")
            assert [row.key for row in rows.values() if row.new] == ["source", "size"]
            _save(acme, city=_new("place"))
        assert _import(acme, size=_new("size")).added == ["size"]
        assert "source" not in {row["pipedrive"] for row in _in_force(acme)}
        assert [row.key for row in _page(acme).rows if row.new] == ["source"]
        _import(acme, source=_existing("sourceName"))
        assert not any(row.new for row in _page(acme).rows)


def test_import_is_the_import_of_a_file(database_url: str) -> None:
    """The same rows in force, and the same columns: a row's own column goes along to its new name."""
    with connected(database_url, small_account(2)) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        towns = acme.column("town")
        typed = {"city": _new("place"), "note": _new("noted", "DateTime"), "colour": NONE}
        assert _page(acme, typed).columns == ColumnChanges([("town", "place")], [("noted", "DateTime")])
        report = _import(acme, typed)
        assert (report.renamed, report.added, report.changed) == ([("town", "place")], ["noted"], True)
        assert acme.column("place") == towns
        by_form = _in_force(acme)
        acme.import_rows(ROWS)
        renamed: dict[str, Target] = {"city": "place", "note": ("noted", "DateTime"), "colour": None}
        again = acme.import_rows(ROWS | renamed)
        assert again.renamed == [("town", "place")]
        assert _by_key(by_form) == _by_key(_in_force(acme))


def test_of_two_who_edit_at_once_the_second_is_told(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account(1)) as acme:
        seen = _page(acme).version
        _save(acme, version=seen, city=_new("place"))
        before = _stored(acme)
        for act in (match_page.save_draft, match_page.import_rows):
            with pytest.raises(MatchingChanged, match="Somebody else has changed this matching"):
                act(acme.store, acme.name, {"city": _new("town")}, True, seen)
        assert (_stored(acme), acme.record().state) == (before, "draft")
        seen = _page(acme).version
        matching.set_ignore_empty_values(acme.store, acme.name, False)
        with pytest.raises(MatchingChanged):
            _save(acme, version=seen, city=_new("town"))


def test_of_many_at_the_same_moment_one_comes_first(database_url: str) -> None:
    with connected(database_url, small_account(1)) as acme:
        seen = _page(acme).version

        def save(number: int) -> bool:
            try:
                _save(acme, version=seen, city=_new(f"place{number}"))
                return True
            except MatchingChanged:
                return False

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(save, range(8))) == 1


def test_variables_that_are_not_there_are_refused(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account(1)) as acme:
        acme.import_rows(ROWS)
        acme.account.delete_field("city")
        acme.account.delete_field("note")
        match_page.fetch_fields(acme.store, acme.name)
        before = _stored(acme)
        wrong: list[Typed] = [
            {"no such key": NONE},
            {"city": _new("elsewhere")},
            {"emails": TypedRow("new", "email", "Number")},
            {"emails": TypedRow("some", "email", "String")},  # type: ignore[arg-type]
        ]
        for typed in wrong:
            with pytest.raises(InvalidMatching):
                _save(acme, typed)
        assert _stored(acme) == before
        # What was typed for them is passed over where it is only shown.
        assert "no such key" not in _rows(_page(acme, {"no such key": NONE}))
        row = _rows(_page(acme))["city"]
        assert (row.status, row.choice, row.wooxy, row.refused) == ("red", "existing", "town", False)
        _save(acme, city=_existing("town"))
        assert _stored(acme) == before
        _save(acme, city=NONE)
        assert "city" not in _rows(_page(acme))


def test_a_row_of_a_re_typed_field_is_agreed_upon_by_changing_or_importing_it(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account(1)) as acme:
        acme.import_rows(ROWS)
        acme.account.custom_field("city").field_type = "text"
        match_page.fetch_fields(acme.store, acme.name)
        row = _rows(_page(acme, city=_existing("town")))["city"]
        assert (row.status, row.refused) == ("red", False)
        assert "changed its type from varchar to text" in (row.reason or "")
        assert _rows(_page(acme, city=_new("place")))["city"].status == "green"
        _save(acme, city=_new("place"))
        assert _rows(_page(acme))["city"].status == "green"
        _import(acme, city=_existing("town"))
        assert _rows(_page(acme))["city"].status == "green"


def test_fields_are_fetched_anew_in_a_draft_too(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account(1)) as acme:
        acme.account.rename_field("city", "Home town")
        acme.account.delete_field("note")
        noted = acme.record().budget_noted_at
        changes = match_page.fetch_fields(acme.store, acme.name)
        assert {(change.kind, change.field_code) for change in changes} == {
            ("renamed_field", "city"),
            ("gone_field", "note"),
        }
        rows = _rows(_page(acme))
        assert rows["city"].label == "Home town"
        assert "note" not in rows
        assert acme.record().budget_noted_at != noted
        assert match_page.fetch_fields(acme.store, acme.name) == []


def test_nothing_is_fetched_or_imported_for_a_disconnected_connection(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account(1)) as acme:
        accounts.disconnect(acme.store, acme.name, forget=False)
        acme.server.clear_requests()
        with pytest.raises(SyncError, match="disconnected"):
            match_page.fetch_fields(acme.store, acme.name)
        with pytest.raises(SyncError, match="disconnected"):
            _import(acme)
        assert (acme.record().state, acme.requests()) == ("disconnected", [])


def test_a_sample_is_kept_until_persons_may_have_changed(database_url: str) -> None:
    with connected(database_url, small_account(20)) as acme:
        samples = SampleCache()
        acme.import_rows(ROWS)
        acme.sync()
        first = _rows(_page(acme, samples=samples))
        assert _rows(_page(acme, samples=samples)) == first
        # Fed another way, a variable is looked up for the same persons.
        typed = _rows(_page(acme, samples=samples, city=_existing("contactScore"), colour=_new("tint")))
        assert typed["city"].preview.filled == 0
        assert typed["colour"].preview == first["colour"].preview
        acme.account.edit_person(1, custom_fields={"note": None})
        acme.sync()
        assert first["note"].preview.filled == 14
        assert _rows(_page(acme, samples=samples))["note"].preview.filled == 13
        found = match_page.another_preview(acme.store, acme.name, samples, "name")
        assert found == _rows(_page(acme, samples=samples))["name"].preview
        with pytest.raises(SyncError, match="no such variable"):
            match_page.another_preview(acme.store, acme.name, samples, "no such key")


def test_at_most_so_many_persons_are_looked_at(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account(0)) as acme:
        for number in range(PREVIEW_PERSONS + 20):
            acme.account.create_person(name=f"Person {number}")
        acme.import_rows({"name": "name", "emails": "email"})
        acme.sync()
        page = _page(acme)
        assert page.sampled == _rows(page)["name"].preview.filled == PREVIEW_PERSONS
