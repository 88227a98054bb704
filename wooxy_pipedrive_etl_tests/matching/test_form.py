"""The Match variables page without its HTML: what it shows, what is saved of the input, and who saves first."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from wooxy_pipedrive_etl.connections import accounts
from wooxy_pipedrive_etl.errors import InvalidMatching, MatchingChanged, SyncError
from wooxy_pipedrive_etl.mapping.matching import ColumnChanges
from wooxy_pipedrive_etl.matching import form, view
from wooxy_pipedrive_etl.matching.form import MatchPage, PageRow, TypedRow
from wooxy_pipedrive_etl.matching.previews import PREVIEW_PERSONS, SampleCache
from wooxy_pipedrive_etl.matching.view import ImportReport, RenamesNotAllowed
from wooxy_pipedrive_etl.settings import PREVIEW_VARIABLE
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.store.matchings import confirmed_matching
from wooxy_pipedrive_etl_tests.scenario import Connected, Target, connected, small_account

ROWS: dict[str, Target] = {"emails": "email", "name": "name", "colour": "shade", "city": "town"}
NONE = TypedRow("none", "", "String")

Typed = dict[str, TypedRow]


def _page(
    acme: Connected, rows: Typed | None = None, /, *, samples: SampleCache | None = None, **typed: TypedRow
) -> MatchPage:
    """The page with these rows typed, by key."""
    return form.read_page(acme.store, acme.name, samples or SampleCache(), {**(rows or {}), **typed})


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
    return form.save_draft(acme.store, acme.name, {**(rows or {}), **typed}, ignore_empty, version)


def _import(acme: Connected, rows: Typed | None = None, /, **typed: TypedRow) -> ImportReport:
    given = {**(rows or {}), **typed}
    version = _page(acme).version
    return form.import_rows(acme.store, acme.name, given, True, version, allowed_renames=None)


def _stored(acme: Connected) -> dict[str, tuple[str | None, str]]:
    _, latest = view.show_matching(acme.store, acme.name)
    return {row.pipedrive: (row.wooxy, row.format) for row in latest.rows}


def _in_force(acme: Connected) -> list[dict[str, Any]]:
    with reading(acme.store.engine) as db:
        found = confirmed_matching(db, acme.record().id)
    assert found is not None
    return [row._asdict() for row in found.rows]


def _by_key(rows: list[dict[str, Any]]) -> dict[str, tuple[Any, ...]]:
    """What the rows in force say, unordered; the format of an unmatched row does not matter."""
    return {
        row["pipedrive"]: (row["wooxy"], row["wooxy"] and row["format"], row["field_type"]) for row in rows
    }


def _new(wooxy: str, format_: str = "String") -> TypedRow:
    return TypedRow("new", wooxy, format_)


def _existing(wooxy: str, format_: str = "String") -> TypedRow:
    return TypedRow("existing", wooxy, format_)


def test_a_draft_shows_automatic_matches_and_suggestions(sqlite_url: str) -> None:
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
        assert "emailSubscribe" not in page.targets
        assert not {"active", "createdAt", "smsSubscribe"} & page.targets.keys()
        assert not any(row.new for row in page.rows)


CHOICES: dict[str, tuple[TypedRow, str | None]] = {
    "none": (TypedRow("none", " ", "String"), None),
    "existing without a name": (_existing(" "), "Choose one of the list's variables"),
    "new without a name": (_new(""), "Give the new variable a name"),
    "other capitals": (_new("SourceName"), "in capitals only"),
    "an invalid name": (_new("2nd town"), "“2nd town” is not a valid name"),
    "kept by Wooxy": (_existing("active"), "kept by Wooxy itself"),
    "blanks around": (_new(" town "), None),
    "the list's format counts": (_existing("sourceName", "DateTime"), None),
}


@pytest.mark.parametrize("case", CHOICES)
def test_input_is_validated_and_shown_as_typed(sqlite_url: str, case: str) -> None:
    typed, problem = CHOICES[case]
    with connected(sqlite_url, small_account(1)) as acme:
        page = _page(acme, city=typed)
        row = _rows(page)["city"]
        assert (row.choice, row.wooxy, row.typed) == (typed.choice, typed.wooxy, True)
        assert row.refused == (problem is not None)
        assert row.status == ("red" if problem else "gray" if typed.choice == "none" else "green")
        assert (problem or "") in (row.reason or "")
        assert _rows(_page(acme))["city"].choice == "none"
        checked = form.check_rows(acme.store, acme.name, {"city": typed})
        assert [(each.key, each.status, each.reason) for each in checked] == [
            (each.key, each.status, each.reason) for each in page.rows
        ]


def test_drafts_keep_invalid_names_but_not_empty_ones(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account(1)) as acme:
        acme.import_rows(ROWS)
        before = _stored(acme)
        with pytest.raises(InvalidMatching, match=r"“City” \(city\): Give the new variable a name"):
            _save(acme, city=_new(" "), note=_new("remark"))
        assert _stored(acme) == before
        _save(acme, note=_new("2nd Note"), city=_existing("sourceName", "DateTime"))
        assert _stored(acme) == before | {"note": ("2nd Note", "String"), "city": ("sourceName", "String")}
        row = _rows(_page(acme))["note"]
        assert (row.status, row.choice, row.wooxy, row.refused) == ("red", "new", "2nd Note", True)
        assert row.suggestion == "note"
        with pytest.raises(InvalidMatching, match="is not a valid name"):
            _import(acme)
        assert acme.record().state == "active"


def test_a_draft_contains_only_changes(sqlite_url: str) -> None:
    """Setting an automatically matched variable to none is a change; leaving an unmatched one is not."""
    with connected(sqlite_url, small_account(1)) as acme:
        acme.import_rows(ROWS)
        acme.account.add_field("Source name", "varchar", code="source")
        acme.account.add_field("Size", "varchar", code="size")
        form.fetch_fields(acme.store, acme.name)
        _save(acme, size=NONE)
        assert _page(acme).confirmed
        _save(acme, source=TypedRow("none", "", "String"))
        assert _rows(_page(acme))["source"].choice == "none"
        assert _page(acme).drafted


def test_a_double_names_both_rows(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account(1)) as acme:
        rows = _rows(_page(acme, city=_new("place"), note=_new("Place".lower())))
        assert rows["city"].reason == rows["note"].reason
        for name in ("“City” (city)", "“Note” (note)"):
            assert name in (rows["city"].reason or "")


def test_a_partial_form_keeps_the_other_rows(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account(1)) as acme:
        _save(acme, city=_new("place"))
        # Before the first Import, automatic matches are part of it.
        assert _stored(acme)["emails"] == ("email", "String")
        version = _save(acme, note=_new("remark"), ignore_empty=False)
        assert (_stored(acme)["city"], _stored(acme)["note"]) == (("place", "String"), ("remark", "String"))
        assert not _page(acme).ignore_empty_values
        assert version == _page(acme).version
        # Nothing changed: no new draft, no new version.
        assert _save(acme, ignore_empty=False) == version
        report = _import(acme)
        assert set(report.added) == {"place", "remark"}
        assert _stored(acme)["emails"] == ("email", "String")
        assert _page(acme).confirmed


def test_an_unseen_new_field_is_not_imported(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account(1)) as acme:
        acme.import_rows(ROWS)
        acme.account.add_field("Source name", "varchar", code="source")
        acme.account.add_field("Size", "varchar", code="size")
        changes = form.fetch_fields(acme.store, acme.name)
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


def test_importing_a_form_equals_importing_a_file(database_url: str) -> None:
    """The same rows in force and the same columns: a row's own column gets its new name."""
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


def test_a_concurrent_edit_is_refused(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account(1)) as acme:
        seen = _page(acme).version
        _save(acme, version=seen, city=_new("place"))
        before = _stored(acme)
        for act in (form.save_draft, form.import_rows):
            with pytest.raises(MatchingChanged, match="Someone else changed this matching"):
                act(acme.store, acme.name, {"city": _new("town")}, True, seen)
        assert (_stored(acme), acme.record().state) == (before, "draft")
        seen = _page(acme).version
        view.set_ignore_empty_values(acme.store, acme.name, False)
        with pytest.raises(MatchingChanged):
            _save(acme, version=seen, city=_new("town"))


def test_only_one_of_many_concurrent_edits_wins(database_url: str) -> None:
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


def test_unknown_variables_are_refused(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account(1)) as acme:
        acme.import_rows(ROWS)
        acme.account.delete_field("city")
        acme.account.delete_field("note")
        form.fetch_fields(acme.store, acme.name)
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
        # Input for rows that are only displayed is ignored.
        assert "no such key" not in _rows(_page(acme, {"no such key": NONE}))
        row = _rows(_page(acme))["city"]
        assert (row.status, row.choice, row.wooxy, row.refused) == ("red", "existing", "town", False)
        _save(acme, city=_existing("town"))
        assert _stored(acme) == before
        _save(acme, city=NONE)
        assert "city" not in _rows(_page(acme))


def test_editing_or_importing_accepts_a_retyped_field(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account(1)) as acme:
        acme.import_rows(ROWS)
        acme.account.custom_field("city").field_type = "text"
        form.fetch_fields(acme.store, acme.name)
        row = _rows(_page(acme, city=_existing("town")))["city"]
        assert (row.status, row.refused) == ("red", False)
        assert "changed its type from varchar to text" in (row.reason or "")
        assert _rows(_page(acme, city=_new("place")))["city"].status == "green"
        _save(acme, city=_new("place"))
        assert _rows(_page(acme))["city"].status == "green"
        _import(acme, city=_existing("town"))
        assert _rows(_page(acme))["city"].status == "green"


def test_fields_can_be_refreshed_in_a_draft(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account(1)) as acme:
        acme.account.rename_field("city", "Home town")
        acme.account.delete_field("note")
        noted = acme.record().budget.noted_at
        changes = form.fetch_fields(acme.store, acme.name)
        assert {(change.kind, change.field_code) for change in changes} == {
            ("renamed_field", "city"),
            ("gone_field", "note"),
        }
        rows = _rows(_page(acme))
        assert rows["city"].label == "Home town"
        assert "note" not in rows
        assert acme.record().budget.noted_at != noted
        assert form.fetch_fields(acme.store, acme.name) == []


def test_a_disconnected_connection_cannot_refresh_or_import(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account(1)) as acme:
        accounts.disconnect(acme.store, acme.name, forget=False)
        acme.server.clear_requests()
        with pytest.raises(SyncError, match="disconnected"):
            form.fetch_fields(acme.store, acme.name)
        with pytest.raises(SyncError, match="disconnected"):
            _import(acme)
        assert (acme.record().state, acme.requests()) == ("disconnected", [])


def test_the_sample_is_reused_until_persons_change(database_url: str) -> None:
    with connected(database_url, small_account(20)) as acme:
        samples = SampleCache()
        acme.import_rows(ROWS)
        acme.sync()
        first = _rows(_page(acme, samples=samples))
        assert _rows(_page(acme, samples=samples)) == first
        # Mapped differently, a variable is previewed for the same persons.
        typed = _rows(_page(acme, samples=samples, city=_existing("contactScore"), colour=_new("tint")))
        assert typed["city"].preview.filled == 0
        assert typed["colour"].preview == first["colour"].preview
        acme.account.edit_person(1, custom_fields={"note": None})
        acme.sync()
        assert first["note"].preview.filled == 14
        assert _rows(_page(acme, samples=samples))["note"].preview.filled == 13
        found = form.another_preview(acme.store, acme.name, samples, "name")
        assert found == _rows(_page(acme, samples=samples))["name"].preview
        with pytest.raises(SyncError, match="no longer has this variable"):
            form.another_preview(acme.store, acme.name, samples, "no such key")


def test_the_sample_size_is_limited(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account(0)) as acme:
        for number in range(PREVIEW_PERSONS + 20):
            acme.account.create_person(name=f"Person {number}")
        acme.import_rows({"name": "name", "emails": "email"})
        acme.sync()
        page = _page(acme)
        assert page.sampled == _rows(page)["name"].preview.filled == PREVIEW_PERSONS


MEANT: dict[str, tuple[TypedRow, str]] = {
    "a name in a row of none": (TypedRow("none", "place", "String"), "new"),
    "the list's name in a row of none": (TypedRow("none", "sourceName", "String"), "existing"),
    "a new one that the list has": (_new("sourceName"), "existing"),
    "an existing one that the list lacks": (_existing("place"), "new"),
}


@pytest.mark.parametrize("case", MEANT)
def test_the_name_decides_between_new_and_existing(sqlite_url: str, case: str) -> None:
    typed, choice = MEANT[case]
    with connected(sqlite_url, small_account(1)) as acme:
        row = _rows(_page(acme, city=typed))["city"]
        assert (row.choice, row.status, row.refused) == (choice, "green", False)
        _save(acme, city=typed)
        assert _stored(acme)["city"][0] == typed.wooxy


@pytest.mark.parametrize("name", ["createdAt", "active", "smsSubscribe"])
@pytest.mark.parametrize("make", [_new, _existing])
def test_columns_that_wooxy_maintains_cannot_be_matched(
    sqlite_url: str, name: str, make: Callable[[str], TypedRow]
) -> None:
    with connected(sqlite_url, small_account(1)) as acme:
        row = _rows(_page(acme, city=make(name)))["city"]
        assert (row.status, row.refused) == ("red", True)
        assert row.reason == f"“{name}” is kept by Wooxy itself and cannot be matched."


def test_only_the_marketing_status_feeds_email_consent(sqlite_url: str) -> None:
    account = small_account(1)
    account.add_field("Marketing status", "enum", ["Subscribed"], code="marketing_status")
    with connected(sqlite_url, account) as acme:
        rows = _rows(_page(acme, city=_new("emailSubscribe"), marketing_status=_existing("emailSubscribe")))
        assert [key for key, row in rows.items() if row.own_targets] == ["marketing_status"]
        # The wrong row is red, and the right one is not.
        assert rows["city"].reason == "“emailSubscribe” is fed from marketing_status only."
        assert rows["marketing_status"].status == "green"


def test_a_deleted_field_keeps_its_latest_name(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account(1)) as acme:
        acme.import_rows(ROWS)
        acme.account.rename_field("city", "Home town")
        form.fetch_fields(acme.store, acme.name)
        acme.account.delete_field("city")
        form.fetch_fields(acme.store, acme.name)
        assert _rows(_page(acme))["city"].label == "Home town"
        assert [field.label for field in acme.status().red_rows] == ["Home town"]


def test_some_values_that_do_not_fit_are_counted(sqlite_url: str) -> None:
    account = small_account(3)
    account.edit_person(2, custom_fields={"city": "2026-01-31"})
    with connected(sqlite_url, account) as acme:
        row = _rows(_page(acme, city=_new("visited", "DateTime")))["city"]
        assert (row.status, row.preview.filled, row.preview.skipped) == ("green", 1, 2)
        assert row.reason is not None
        assert "Of your 3 persons, 2 values do not fit and will be skipped: “City" in row.reason
        # As a String, it is valid again.
        assert _rows(_page(acme, city=_new("visited")))["city"].preview.skipped == 0


def test_examples_of_unfit_values_can_be_masked(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PREVIEW_VARIABLE, "masked")
    with connected(sqlite_url, small_account(1)) as acme:
        row = _rows(_page(acme, city=_new("visited", "DateTime")))["city"]
        assert row.reason is not None
        assert "1 of your 1 person has a value and it does not fit: “xxxx 0” is not" in row.reason


def test_renames_must_be_allowed(database_url: str) -> None:
    with connected(database_url, small_account(1)) as acme:
        acme.import_rows(ROWS)
        version = _page(acme).version
        typed = {"city": _new("place"), "colour": _new("tint")}
        act = partial(form.import_rows, acme.store, acme.name, typed, True, version)
        for allowed in ((), {("town", "place")}):
            with pytest.raises(RenamesNotAllowed) as asked:
                act(allowed_renames=allowed)
            assert set(asked.value.renames) == {("town", "place"), ("shade", "tint")}
        assert _page(acme).version == version
        assert act(allowed_renames=asked.value.renames).changed
