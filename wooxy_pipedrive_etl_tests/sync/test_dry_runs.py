"""Dry runs of a draft: what they report is what the Import and its run then do, and until then nothing happens."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from wooxy_pipedrive_etl.automation import due as automation
from wooxy_pipedrive_etl.automation.due import Due
from wooxy_pipedrive_etl.contact_list import ContactList
from wooxy_pipedrive_etl.errors import InvalidMatching, NotImported, SyncError
from wooxy_pipedrive_etl.mapping.matching import Matching, version_of
from wooxy_pipedrive_etl.store import runs, tables
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.store.issues import read_issues
from wooxy_pipedrive_etl.store.matchings import latest_matching
from wooxy_pipedrive_etl.sync.run import begin
from wooxy_pipedrive_etl.sync.selection import Kind
from wooxy_pipedrive_etl_tests import sensing
from wooxy_pipedrive_etl_tests.matching.test_matching_edits import BEFORE, EDITS, IDENTITY
from wooxy_pipedrive_etl_tests.scenario import Connected, Target, connected, email, small_account

PLANNED = ["fetched", *runs.PLANNED_COUNTS]
ANOTHER_FORMAT = "another format, and another field for a variable"
# The new matching, and how many of the seven contacts then differ.
DRAFTS: dict[str, tuple[dict[str, Target], int]] = {
    "A is renamed to B, and its values stay": ({**BEFORE, "colour": "tint"}, 0),
    "one takes the name of another, which takes a new one": (
        {**BEFORE, "colour": "town", "city": "place"},
        0,
    ),
    "a new one that not everybody has": ({**BEFORE, "note": "remark"}, 5),
    ANOTHER_FORMAT: (EDITS[ANOTHER_FORMAT][0], 7),
}


def _columns(acme: Connected) -> list[str]:
    with reading(acme.store.engine) as db:
        return list(ContactList.of_domain(db, acme.domain).stored(db))


def _untouched(acme: Connected) -> list[Any]:
    """What a dry run never writes."""
    record = acme.record()
    return [
        acme.dump(),
        _columns(acme),
        acme.rows(tables.links),
        acme.rows(tables.opt_outs),
        acme.issues(),
        (record.state, record.sync_state.watermark, record.sync_state.applied_revision),
    ]


@pytest.mark.parametrize("draft", DRAFTS)
def test_a_dry_run_predicts_the_import_and_run(database_url: str, draft: str) -> None:
    rows, differing = DRAFTS[draft]
    with connected(database_url, small_account(7)) as acme:
        acme.import_rows(BEFORE, ignore_empty=False)
        acme.sync()
        before = _untouched(acme)
        acme.draft_rows(rows, ignore_empty=False)
        told = acme.sync("re-map", dry_run=True, draft=True)
        assert (told["updated"], told["unchanged"]) == (differing, 7 - differing)
        assert _untouched(acme) == before
        acme.import_rows(rows, ignore_empty=False)
        done = acme.remap()
        assert {name: done[name] for name in PLANNED} == told


@pytest.mark.parametrize("kind", ["changes", "re-map", "full"])
def test_an_abandoned_draft_does_not_affect_later_runs(database_url: str, kind: Kind) -> None:
    with connected(database_url, small_account(4)) as acme:
        acme.import_rows(BEFORE, ignore_empty=False)
        acme.sync()
        acme.execute('UPDATE {list} SET "smsSubscribe" = false WHERE contact_id = 1')
        acme.account.edit_person(2, name="Somebody Else", emails=[email("person1@example.com")])
        acme.account.edit_person(3, custom_fields={"city": None})
        before = _untouched(acme)
        acme.draft_rows({"emails": "email", "colour": "tint", "city": "shade", "note": "remark"})
        told = acme.sync("changes", dry_run=True, draft=True)
        assert (told["updated"], told["unchanged"], told["duplicates"]) == (2, 1, 1)
        assert _untouched(acme) == before
        # What was read is not in the list yet.
        assert acme.record().sync_state.unapplied
        acme.sync(kind)
        fresh = replace(acme, name="fresh", domain="fresh.example.com")
        fresh.connect()
        fresh.import_rows(BEFORE, ignore_empty=False)
        fresh.sync()
        names = ["email", "phoneNumber", "name", "shade", "town"]
        assert [[contact[name] for name in names] for contact in acme.contacts()] == [
            [contact[name] for name in names] for contact in fresh.contacts()
        ]
        assert acme.issues() == fresh.issues()
        assert acme.sync()["updated"] == 0


def test_a_dry_run_before_the_first_import(database_url: str) -> None:
    with connected(database_url, small_account(3)) as acme:
        acme.account.create_person(name="Nobody")
        acme.draft_rows(BEFORE)
        before = _untouched(acme)
        told = acme.sync(dry_run=True, draft=True)
        assert (told["created"], told["rejected"]) == (3, 1)
        assert _untouched(acme) == before
        report = acme.newest_run()
        with reading(acme.store.engine) as db:
            draft = latest_matching(db, acme.record().id)
            found = read_issues(db, acme.record().id, pending=True)
        assert draft is not None
        assert (report.state, report.kind, report.created) == ("dry_run", "full", 3)
        version = version_of(Matching(draft.ignore_empty_values, draft.rows))
        assert (report.matching_version or "").startswith(version)
        assert [(issue["person_id"], issue["reason"]) for issue in found] == [(4, "no_identifier")]
        acme.import_rows(BEFORE)
        done = acme.sync()
        assert {name: done[name] for name in PLANNED} == told
        # A run that writes uses the matching in force.
        assert acme.newest_run().matching_version is None


def test_an_invalid_draft_cannot_be_tried(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account(1)) as acme:
        acme.draft_rows({**IDENTITY, "colour": "Wrong name", "city": "town", "note": "town"})
        acme.server.clear_requests()
        with pytest.raises(InvalidMatching, match="“Wrong name” is not a valid name"):
            acme.sync(dry_run=True, draft=True)
        assert acme.requests("/api/v2/persons") == []
        report = acme.newest_run()
        assert report.state == "failed"
        assert "“town” is fed by more than one row" in (report.message or "")


def test_a_draft_is_tried_with_the_new_types(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account(2)) as acme:
        acme.import_rows(BEFORE)
        acme.sync()
        acme.account.custom_field("city").field_type = "text"
        acme.account.edit_person(1, custom_fields={"city": "Elsewhere"})
        # Until someone accepts the new type, stored values stay.
        assert acme.sync("changes", dry_run=True)["updated"] == 0
        assert acme.sync("changes", dry_run=True, draft=True)["updated"] == 1


def test_what_trying_a_draft_requires(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account(1)) as acme:
        with pytest.raises(NotImported, match="has no matching yet that could be tried"):
            acme.sync(dry_run=True, draft=True)
        acme.draft_rows(BEFORE)
        with (
            pytest.raises(SyncError, match="A draft can only be tried"),
            begin(acme.store, "acme", "run", draft=True),
        ):
            pass
        # The command line's dry run uses the matching in force.
        with pytest.raises(NotImported):
            acme.sync(dry_run=True)


def test_a_dry_run_does_not_hide_renamed_options(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account(2)) as acme:
        acme.import_rows(BEFORE)
        acme.sync()
        acme.account.rename_option("colour", acme.account.custom_field("colour").options[0].id, "Golden")
        assert acme.remap(dry_run=True)["updated"] == 1
        due = automation.schema_due(acme.store, acme.record(), sensing.moment())
        assert isinstance(due, Due)
        assert due.kind == "re-map"
        assert acme.remap()["updated"] == 1
