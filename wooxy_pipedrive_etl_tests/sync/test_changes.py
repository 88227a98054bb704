"""The run of changes: what it asks for, what it may know, and that the list is right afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

import pytest

from wooxy_pipedrive_etl.connections import accounts
from wooxy_pipedrive_etl.errors import SyncError
from wooxy_pipedrive_etl.http_api.errors import ApiError
from wooxy_pipedrive_etl.matching import view
from wooxy_pipedrive_etl.pipedrive.errors import DailyBudgetSpent
from wooxy_pipedrive_etl.sandbox.pipedrive import Account, Behaviours, Fault, Limits
from wooxy_pipedrive_etl.store import inbox, tables
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.sync import catalogue, contacts, flow, names, persons, staging
from wooxy_pipedrive_etl.sync import run as run_module
from wooxy_pipedrive_etl.sync.feed import feed_plan_of
from wooxy_pipedrive_etl.sync.run import begin
from wooxy_pipedrive_etl.sync.selection import Kind
from wooxy_pipedrive_etl_tests.scenario import (
    ANY_DELETIONS,
    RESERVE,
    Connected,
    Refused,
    Target,
    add_person,
    connected,
    email,
    empty_account,
    everything,
    small_account,
)

ROWS: dict[str, Target] = {"emails": "email", "phones": "phoneNumber", "name": "name", "city": "town"}


class Time:
    """The account's clock, moved by the test."""

    def __init__(self, account: Account) -> None:
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)
        account.clock = lambda: self.now

    def passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def account() -> Account:
    """Three persons of ten o'clock and one of eleven: the newest is always read again."""
    account = empty_account()
    account.clock = lambda: datetime(2026, 3, 1, 10, tzinfo=UTC)
    account.add_field("Colour", "enum", ["Gold", "Silver"], code="colour")
    account.add_field("City", "varchar", code="city")
    account.add_field("Note", "varchar", code="note")
    for number in range(1, 4):
        add_person(account, number)
    account.clock = lambda: datetime(2026, 3, 1, 11, tzinfo=UTC)
    add_person(account, 4)
    return account


@pytest.fixture
def time(account: Account) -> Time:
    return Time(account)


def _hint(acme: Connected, person_id: int, *, deleted: bool = False) -> None:
    inbox.add_event(acme.store.inbox, acme.record().id, person_id, deleted=deleted)


def _persons_asked(acme: Connected) -> list[dict[str, str]]:
    return [dict(each.query) for each in acme.server.requests if each.path == "/api/v2/persons"]


def test_only_persons_updated_since_the_watermark_are_read(
    database_url: str, account: Account, time: Time
) -> None:
    with connected(database_url, account) as acme:
        acme.import_rows(ROWS)
        assert acme.sync("changes")["fetched"] == 4, "the first run reads everybody"
        assert acme.last_run().kind == "full"
        time.passes(300)
        account.edit_person(2, custom_fields={"city": "Elsewhere"})
        add_person(account, 5)
        time.passes(5)
        acme.server.clear_requests()
        counts = acme.sync("changes")
        assert [counts[name] for name in ("fetched", "created", "updated", "unchanged")] == [3, 1, 1, 1]
        (asked,) = _persons_asked(acme)
        # From the newest person's time, eleven o'clock, minus a minute, inclusive.
        assert asked["updated_since"] == "2026-03-01T10:59:00Z"
        assert (asked["sort_by"], asked["sort_direction"]) == ("update_time", "asc")
        assert acme.contact(name="Person 2")["town"] == "Elsewhere"
        assert acme.status().watermark == "2026-03-01T12:05:00Z"
        assert acme.last_run().kind == "changes"


def test_an_unchanged_account_touches_nothing(database_url: str, account: Account, time: Time) -> None:
    with connected(database_url, account) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        acme.forbid_touching()
        assert acme.sync("changes")["updated"] == 0
        time.passes(1_000)
        counts = acme.sync("changes")
        assert (counts["created"], counts["updated"], counts["deleted"]) == (0, 0, 0)


def test_issues_of_unread_persons_still_stand(database_url: str, account: Account, time: Time) -> None:
    nobody = account.create_person(name="Nobody")
    account.edit_person(3, phones=[{"value": "call me", "primary": True, "label": "work"}])
    twin = add_person(account, 9, emails=[email("person1@example.com")])
    with connected(database_url, account) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        before = acme.issues()
        assert {(each["person_id"], each["reason"]) for each in before} == {
            (nobody, "no_identifier"),
            (3, "invalid_phone"),
            (1, "duplicate_of"),
        }
        time.passes(300)
        account.edit_person(4, custom_fields={"city": "Elsewhere"})
        counts = acme.sync("changes")
        # Persons of the last minute before the watermark are read again, the rejected person among them.
        assert [counts[name] for name in ("fetched", "updated", "rejected", "duplicates")] == [4, 1, 1, 0]
        assert acme.issues() == before
        # The dropped value is fixed, so its issue goes too.
        time.passes(300)
        account.edit_person(3, phones=[])
        acme.sync("changes")
        assert [each for each in acme.issues() if each["person_id"] == 3] == []
        # When the owner changes address, the duplicate it displaced comes back, although nobody read it.
        time.passes(300)
        account.edit_person(twin, emails=[email("elsewhere@example.com")])
        counts = acme.sync("changes")
        assert (counts["created"], counts["updated"]) == (1, 1)
        assert acme.contact(email="person1@example.com")["name"] == "Person 1"


def test_persons_without_an_update_time_are_found(database_url: str, time: Time, account: Account) -> None:
    behaviours = Behaviours(update_time_on_create="null")
    with connected(database_url, account, behaviours=behaviours) as acme:
        new = add_person(account, 5)
        acme.import_rows(ROWS)
        assert acme.sync()["created"] == 5
        time.passes(300)
        add_person(account, 6)
        add_person(account, 7)
        # This one has an update_time by now and would be found anyway; the one before it would not.
        account.edit_person(7, custom_fields={"city": "Elsewhere"})
        acme.server.clear_requests()
        assert acme.sync("changes")["created"] == 2
        # The newest ids are requested, down to the first known one.
        assert [each["sort_by"] for each in _persons_asked(acme)] == ["id", "update_time"]
        # Everyone has an update_time now, so from here on that request is skipped.
        for person_id in (new, new + 1, new + 2):
            account.edit_person(person_id, custom_fields={"city": "Elsewhere"})
        acme.sync()
        acme.server.clear_requests()
        acme.sync("changes")
        assert [each["sort_by"] for each in _persons_asked(acme)] == ["update_time"]


def test_a_deletion_reported_by_webhook_is_verified(database_url: str, account: Account, time: Time) -> None:
    with connected(database_url, account) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        time.passes(300)
        account.delete_person(2)
        assert acme.sync("changes")["deleted"] == 0, "lists omit deleted persons without a word"
        _hint(acme, 2, deleted=True)
        _hint(acme, 3, deleted=True)  # wrongly: a replay from before it was restored, say
        _hint(acme, 4)
        _hint(acme, 77, deleted=True)  # unknown
        acme.server.clear_requests()
        counts = acme.sync("changes")
        assert (counts["deleted"], counts["fetched"], counts["unchanged"]) == (1, 2, 2)
        assert [each["ids"] for each in _persons_asked(acme) if "ids" in each] == ["2,3,77"]
        assert acme.snapshot_ids() == [1, 3, 4]
        assert [row["person_id"] for row in acme.rows(tables.tombstones)] == [2]
        assert inbox.count_hints(acme.store.inbox, acme.record().id) == 0
        account.restore_person(2)
        assert acme.sync("changes")["created"] == 1


def test_a_pending_change_does_not_delete_hidden_persons(
    database_url: str, account: Account, time: Time
) -> None:
    with connected(database_url, account) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        account.hide_person(2)
        _hint(acme, 2)
        assert acme.sync("changes")["deleted"] == 0


def test_many_announced_deletions_need_permission(sqlite_url: str, time: Time, account: Account) -> None:
    for number in range(5, 41):
        add_person(account, number)
    with connected(sqlite_url, account) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        before = acme.dump()
        for person_id in range(1, 26):
            account.delete_person(person_id)
            _hint(acme, person_id, deleted=True)
        with pytest.raises(Refused, match=r"^25 of the 40 contacts would be deleted at once"):
            acme.sync("changes")
        assert acme.dump() == before
        assert acme.sync("changes", allowed=ANY_DELETIONS)["deleted"] == 25


def test_renamed_organisations_and_owners_are_applied_without_walking(
    database_url: str, account: Account, time: Time
) -> None:
    acme_oy, other = account.add_organization("Acme Oy"), account.add_organization("Other Oy")
    maija = account.add_user("Maija")
    account.edit_person(1, org_id=acme_oy, owner_id=maija)
    account.edit_person(2, org_id=other)
    rows: dict[str, Target] = {**ROWS, "org_id": "company", "owner_id": "owner"}
    with connected(database_url, account) as acme:
        acme.import_rows(rows)
        acme.sync()
        assert acme.contact(name="Person 1")["company"] == "Acme Oy"
        time.passes(300)
        account.rename_organization(acme_oy, "Acme Ltd")
        account.rename_user(maija, "Maija V.")
        time.passes(300)
        acme.server.clear_requests()
        counts = acme.sync("changes")
        assert (counts["updated"], counts["created"], counts["deleted"]) == (1, 0, 0)
        first = acme.contact(name="Person 1")
        assert (first["company"], first["owner"]) == ("Acme Ltd", "Maija V.")
        assert acme.contact(name="Person 2")["company"] == "Other Oy"
        # An organisation new to the list is requested by its id.
        account.clock = lambda: datetime(2026, 1, 1, tzinfo=UTC)
        old = account.add_organization("Old Oy")
        account.clock = lambda: time.now
        time.passes(300)
        account.edit_person(3, org_id=old)
        acme.sync("changes")
        assert acme.contact(name="Person 3")["company"] == "Old Oy"
        # An unreadable organisation is not requested again because of others.
        account.hide_organization(other)
        account.edit_person(3, org_id=account.add_organization("Hidden Oy"))
        account.hide_organization(max(account.organizations))
        acme.sync("changes")
        time.passes(300)
        account.edit_person(1, custom_fields={"city": "Elsewhere"})
        acme.server.clear_requests()
        acme.sync("changes")
        asked_for = [each.query for each in acme.server.requests if each.path == "/api/v2/organizations"]
        assert ["updated_since" in each for each in asked_for] == [True]
        assert acme.contact(name="Person 2")["company"] == "Other Oy"


def test_renames_of_unused_organisations_are_applied_later(
    database_url: str, account: Account, time: Time
) -> None:
    left, other = account.add_organization("Left Oy"), account.add_organization("Other Oy")
    account.edit_person(1, org_id=left)
    account.edit_person(2, org_id=other)
    with connected(database_url, account) as acme:
        acme.import_rows({**ROWS, "org_id": "company"})
        acme.sync()
        time.passes(300)
        account.edit_person(1, org_id=other)
        acme.sync("changes")
        account.rename_organization(left, "Found Oy")
        time.passes(300)
        acme.sync("changes")
        time.passes(300)
        account.edit_person(2, org_id=left)
        acme.sync("changes")
        assert acme.contact(name="Person 2")["company"] == "Found Oy"


def test_a_renamed_option_is_applied_to_everybody(database_url: str, account: Account, time: Time) -> None:
    with connected(database_url, account) as acme:
        acme.import_rows({**ROWS, "colour": "shade"})
        acme.sync()
        time.passes(300)
        gold = account.custom_field("colour").options[0].id
        account.rename_option("colour", gold, "Golden")
        counts = acme.sync("changes")
        assert counts["updated"] == 2
        assert sorted(set(acme.column("shade").values())) == ["Golden", "Silver"]


def test_an_absurd_future_time_does_not_hide_changes(database_url: str, account: Account, time: Time) -> None:
    account.edit_person(1, update_time=datetime(2099, 1, 1, tzinfo=UTC))
    with connected(database_url, account) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        assert acme.status().watermark == "2026-03-01T11:00:00Z"
        time.passes(300)
        account.edit_person(2, custom_fields={"city": "Elsewhere"})
        assert acme.sync("changes")["updated"] == 1


def test_a_clock_set_back_loses_nobody(database_url: str, account: Account, time: Time) -> None:
    with connected(database_url, account) as acme:
        acme.import_rows(ROWS)
        account.edit_person(1, custom_fields={"city": "Later"})
        acme.sync()
        time.now = datetime(2026, 2, 1, tzinfo=UTC)
        account.edit_person(2, custom_fields={"city": "Elsewhere"})
        assert acme.sync("changes")["updated"] == 1


def test_edits_during_a_full_walk_are_synced_later(database_url: str, account: Account, time: Time) -> None:
    """The walk read the person before the edit, and also reads others that were edited even later."""
    for number in range(5, 600):
        add_person(account, number)

    def edit(account: Account) -> None:
        account.edit_person(1, custom_fields={"city": "Edited behind the walk"})
        time.passes(600)
        account.edit_person(598, custom_fields={"city": "Edited before it"})

    with connected(database_url, account) as acme:
        acme.import_rows(ROWS)
        # A first walk begins with the newest persons, which tell how many there are.
        acme.server.faults.add(Fault("on_page", "/api/v2/persons", after=2, on_page=edit))
        acme.sync()
        towns = acme.column("town")
        assert towns["person1@example.com"] == "City 1"
        assert towns["person598@example.com"] == "Edited before it"
        time.passes(600)
        acme.sync("changes")
        assert acme.column("town")["person1@example.com"] == "Edited behind the walk"


def test_edits_and_deletions_between_two_pages_of_changes(
    database_url: str, account: Account, time: Time
) -> None:
    for number in range(5, 700):
        add_person(account, number)

    def meanwhile(account: Account) -> None:
        time.passes(1)
        account.edit_person(5, custom_fields={"city": "Edited meanwhile"})
        account.delete_person(600)

    with connected(database_url, account) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        time.passes(300)
        for number in range(1, 699):
            account.edit_person(number, custom_fields={"note": "All of them"})
        acme.server.faults.add(Fault("on_page", "/api/v2/persons", after=1, on_page=meanwhile))
        acme.server.faults.add(Fault("duplicated_rows", "/api/v2/persons", times=None))
        counts = acme.sync("changes")
        assert counts["fetched"] == counts["updated"] + counts["unchanged"] == 698
        acme.sync("changes")
        assert acme.column("town")["person5@example.com"] == "Edited meanwhile"
        assert len(acme.contacts()) == 699, "nobody said that the person is gone"
        assert acme.sync()["deleted"] == 1


def _spend_the_day(acme: Connected) -> type[Exception]:
    acme.server.faults.add(Fault("daily_429", "/api/v2/persons", after=1, times=None))
    return DailyBudgetSpent


def _break(acme: Connected) -> type[Exception]:
    acme.server.faults.add(Fault("status", "/api/v2/persons", after=1, times=None))
    return ApiError


@pytest.mark.parametrize("goes_wrong", [_spend_the_day, _break])
def test_a_full_walk_resumes_where_it_stopped(
    database_url: str, account: Account, time: Time, goes_wrong: Callable[[Connected], type[Exception]]
) -> None:
    for number in range(5, 1_202):
        add_person(account, number)
    with connected(database_url, account) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        account.delete_person(3)
        account.delete_person(1_100)
        time.passes(300)
        with pytest.raises(goes_wrong(acme)):
            acme.sync()
        assert len(acme.contacts()) == 1_201, "a broken walk is evidence of nothing"
        acme.server.faults.clear()
        # Meanwhile, an edit in the part already read, and a new person.
        account.edit_person(10, custom_fields={"city": "Between"})
        add_person(account, 5_000)
        acme.server.clear_requests()
        counts = acme.sync(allowed=RESERVE)
        # The remaining 700 persons make two pages, followed by the second lookup of the missing ones.
        assert [("cursor" in each, "ids" in each) for each in _persons_asked(acme)] == [
            (True, False),
            (True, False),
            (False, True),
        ]
        assert (counts["deleted"], counts["created"], counts["fetched"]) == (2, 1, 1_200)
        # The edit in between is later than the beginning of the walk.
        acme.sync("changes")
        assert acme.column("town")["person10@example.com"] == "Between"
        acme.server.clear_requests()
        acme.sync()
        assert "cursor" not in _persons_asked(acme)[0]


def test_a_walk_with_an_expired_cursor_restarts(sqlite_url: str, account: Account, time: Time) -> None:
    for number in range(5, 700):
        add_person(account, number)
    with connected(sqlite_url, account) as acme:
        acme.import_rows(ROWS)
        _break(acme)
        with pytest.raises(ApiError):
            acme.sync()
        acme.server.faults.clear()
        acme.execute("UPDATE sync_walk_pages SET next_cursor = 'bm8gY3Vyc29y'")
        with begin(acme.store, acme.name, "started anew") as run:
            catalogue.read_catalogue(run)
            report = persons.fetch_persons(run)
        # What the interrupted walk had read is read again, and counted once.
        assert (report.fetched, report.resumed, report.gone) == (699, 0, 0)
        assert acme.sync()["created"] == 699


def test_missing_persons_named_by_webhooks_are_requested_once(
    database_url: str, account: Account, time: Time
) -> None:
    with connected(database_url, account) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        account.delete_person(2)
        account.delete_person(3)
        _hint(acme, 2, deleted=True)
        _hint(acme, 4)
        acme.server.clear_requests()
        assert acme.sync()["deleted"] == 2
        assert [each["ids"] for each in _persons_asked(acme) if "ids" in each] == ["2,3"]


@pytest.mark.parametrize("cleared", ["all that is not logged", "the stage alone"])
def test_a_cleared_stage_is_mapped_again(
    postgres_url: str, account: Account, time: Time, cleared: str
) -> None:
    """A crash of PostgreSQL empties unlogged tables."""
    acme_oy = account.add_organization("Acme Oy")
    account.edit_person(1, org_id=acme_oy)
    account.edit_person(3, phones=[{"value": "call me", "primary": True, "label": "work"}])
    with connected(postgres_url, account) as acme:
        acme.import_rows({**ROWS, "org_id": "company"})
        acme.sync()
        before, issues = acme.dump(), acme.issues()
        stage, beside = f"sync_stage_{acme.record().id}", ["sync_references", "sync_mapping_issues"]
        assert _unlogged(acme) == {stage, *beside}
        acme.execute(f"TRUNCATE {stage}")
        if cleared != "the stage alone":
            acme.execute(f"TRUNCATE {', '.join(beside)}")
        counts = acme.sync("changes")
        assert (counts["unchanged"], counts["deleted"]) == (4, 0)
        assert acme.dump() == before
        assert [(each["person_id"], each["reason"]) for each in acme.issues()] == [
            (each["person_id"], each["reason"]) for each in issues
        ]
        account.rename_organization(acme_oy, "Acme Ltd")
        time.passes(300)
        assert acme.sync("changes")["updated"] == 1
        assert acme.contact(name="Person 1")["company"] == "Acme Ltd"


def _unlogged(acme: Connected) -> set[str]:
    with reading(acme.store.engine) as db:
        return set(
            db.exec_driver_sql(
                "SELECT relname FROM pg_class WHERE relkind = 'r' AND relpersistence = 'u'"
            ).scalars()
        )


def test_a_changes_run_maps_everybody_after_an_import(
    database_url: str, account: Account, time: Time
) -> None:
    with connected(database_url, account) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        time.passes(300)
        acme.import_rows({**ROWS, "note": "remark"})
        assert acme.sync("changes")["updated"] == 3
        assert acme.contact(name="Person 1")["remark"] == "Note 1"
        assert acme.status().matching_applied


def test_a_malformed_record_is_listed_only_once(database_url: str, account: Account, time: Time) -> None:
    account.put_raw_person(5, '"no person at all"')
    with connected(database_url, account) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        assert [each["reason"] for each in acme.issues()] == ["odd_shape"]
        for _ in range(2):
            counts = acme.sync("changes")
            assert counts["rejected"] == 1
            assert [each["reason"] for each in acme.issues()] == ["odd_shape"]
        time.passes(300)
        account.edit_person(1, custom_fields={"city": "Elsewhere"})
        acme.sync("changes")
        time.passes(300)
        counts = acme.sync("changes")
        assert counts["rejected"] == 0
        assert [each["reason"] for each in acme.issues()] == ["odd_shape"]


def test_left_out_fields_return_with_a_full_walk(database_url: str, account: Account, time: Time) -> None:
    with connected(database_url, account) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        acme.execute("UPDATE sync_states SET left_out_fields = 'marketing_status'")
        acme.sync("changes")
        # Persons read meanwhile lack it, even though it is available again.
        assert acme.record().sync_state.left_out_fields == "marketing_status"
        acme.sync()
        assert acme.record().sync_state.left_out_fields == ""


def test_a_changes_run_records_what_it_cost(sqlite_url: str, account: Account, time: Time) -> None:
    with connected(sqlite_url, account, limits=Limits(burst_per_2s=1_000)) as acme:
        acme.import_rows({**ROWS, "org_id": "company", "owner_id": "owner"})
        acme.sync("changes")
        acme.server.clear_requests()
        time.passes(300)
        counts = acme.sync("changes")
        # The account, the fields, the persons, and the owners' names.
        assert (counts["requests"], counts["tokens_used"]) == (4, 42)
        last = acme.last_run()
        assert last.estimated_tokens is not None
        assert last.estimated_tokens >= last.tokens_used
        assert view.show_matching(acme.store, acme.name)[1] is not None


def test_a_run_without_persons_is_followed_by_changes(database_url: str, time: Time) -> None:
    account = small_account(0)
    account.clock = lambda: time.now
    with connected(database_url, account) as acme:
        acme.import_rows(ROWS)
        assert acme.sync()["fetched"] == 0
        assert acme.status().watermark is not None
        time.passes(300)
        add_person(account, 1)
        assert acme.sync("changes")["created"] == 1


def test_the_issue_of_a_repaired_person_disappears(database_url: str, account: Account, time: Time) -> None:
    broken = add_person(account, 5)
    account.put_raw_person(broken, f'{{"id": {broken}, "name": "half a character \ud800"}}')
    with connected(database_url, account) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        assert [(each["person_id"], each["reason"]) for each in acme.issues()] == [(broken, "odd_shape")]
        time.passes(300)
        whole = {"id": broken, "name": "Whole", "update_time": "2026-03-01T12:05:00Z", "custom_fields": None}
        account.put_raw_person(broken, json.dumps({**whole, "emails": [email("whole@example.com")]}))
        counts = acme.sync("changes")
        assert (counts["created"], counts["rejected"]) == (1, 0)
        assert acme.issues() == []


def test_later_contacts_ignore_opt_outs_withdrawn_since(
    database_url: str, account: Account, time: Time
) -> None:
    """The stage outlives the run; its marks for one run must not count in the next."""

    with connected(database_url, account) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        acme.execute("""UPDATE {list} SET "smsSubscribe" = false WHERE "name" = 'Person 1'""")
        acme.sync()
        acme.execute("""DELETE FROM {list} WHERE "name" = 'Person 1'""")
        acme.sync()
        assert acme.contact(name="Person 1")["smsSubscribe"] is False, "an opt-out outlives the contact"
        # Someone opts in again by hand; then the contact is deleted, because another person claims its address.
        acme.execute("""UPDATE {list} SET "smsSubscribe" = true WHERE "name" = 'Person 1'""")
        time.passes(300)
        account.edit_person(2, emails=[email("person1@example.com")])
        acme.sync("changes")
        assert "Person 1" not in acme.column("name").values()
        time.passes(300)
        account.edit_person(2, emails=[email("person2@example.com")])
        acme.sync("changes")
        assert acme.contact(name="Person 1")["smsSubscribe"] is True


def test_a_name_changed_while_unused_is_refreshed(database_url: str, account: Account, time: Time) -> None:
    acme_oy = account.add_organization("Acme Oy")
    account.add_field("Friend", "people", code="friend")
    account.edit_person(1, org_id=acme_oy, custom_fields={"friend": 4})
    account.edit_person(2, org_id=account.add_organization("Other Oy"))
    rows: dict[str, Target] = {**ROWS, "org_id": "company", "friend": "friend"}
    with connected(database_url, account) as acme:
        acme.import_rows(rows)
        acme.sync()
        assert acme.contact(name="Person 1")["friend"] == "Person 4"
        time.passes(300)
        account.edit_person(1, org_id=None, custom_fields={"friend": None})
        acme.sync("changes")
        time.passes(300)
        account.rename_organization(acme_oy, "Acme Ltd")
        account.edit_person(4, name="Person Four")
        acme.sync("changes")
        time.passes(300)
        account.edit_person(3, org_id=acme_oy, custom_fields={"friend": 4})
        acme.sync("changes")
        third = acme.contact(name="Person 3")
        assert (third["company"], third["friend"]) == ("Acme Ltd", "Person Four")


def _break_and_clear(acme: Connected) -> None:
    with pytest.raises(_break(acme)):
        acme.sync()
    acme.server.faults.clear()


@pytest.mark.parametrize("kind", ["full", "changes"])
def test_a_malformed_record_does_not_hide_deletions(
    database_url: str, account: Account, time: Time, kind: Kind
) -> None:
    account.put_raw_person(9, '"no person at all"')
    with connected(database_url, account) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        time.passes(300)
        account.delete_person(2)
        account.put_raw_person(3, '"no person any more"')
        _hint(acme, 2, deleted=True)
        _hint(acme, 3, deleted=True)
        assert acme.sync(kind)["deleted"] == 1
        assert acme.snapshot_ids() == [1, 3, 4]


def test_a_resumed_walk_handles_new_pending_changes(database_url: str, account: Account, time: Time) -> None:
    for number in range(5, 700):
        add_person(account, number)
    with connected(database_url, account) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        _break_and_clear(acme)
        account.delete_person(2)
        _hint(acme, 2, deleted=True)
        assert acme.sync()["deleted"] == 1
        assert 2 not in acme.snapshot_ids()


def test_renames_while_disconnected_are_found_on_reconnecting(
    database_url: str, account: Account, time: Time
) -> None:
    company = account.add_organization("Old Oy")
    account.edit_person(1, org_id=company)
    with connected(database_url, account) as acme:
        acme.import_rows({**ROWS, "org_id": "company"})
        acme.sync()
        time.passes(300)
        accounts.disconnect(acme.store, acme.name, forget=False)
        account.rename_organization(company, "New Oy")
        time.passes(300)
        acme.connect()
        acme.sync("changes")
        assert acme.contact(name="Person 1")["company"] == "New Oy"


def test_new_persons_may_lack_an_update_time(database_url: str, account: Account, time: Time) -> None:
    with connected(database_url, account, behaviours=Behaviours(update_time_on_create="null")) as acme:
        for person_id in (1, 2, 3, 4):
            time.passes(1)
            account.edit_person(person_id, custom_fields={"city": "Edited"})
        acme.import_rows(ROWS)
        acme.sync()
        time.passes(300)
        add_person(account, 5)
        assert acme.sync("changes")["created"] == 1


def test_a_deleted_persons_name_is_forgotten(database_url: str, account: Account, time: Time) -> None:
    account.add_field("Boss", "people", code="boss")
    account.edit_person(1, custom_fields={"boss": 2})
    with connected(database_url, account) as acme:
        acme.import_rows({**ROWS, "boss": "boss"}, ignore_empty=False)
        acme.sync()
        assert acme.contact(name="Person 1")["boss"] == "Person 2"
        account.delete_person(2)
        acme.sync()
        assert acme.contact(name="Person 1")["boss"] is None
        kept = str([acme.rows(each) for each in tables.metadata.sorted_tables if "connection_id" in each.c])
        assert "Person 2" not in kept


def test_a_superseded_run_leaves_the_newer_plan_alone(
    sqlite_url: str, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "sole_writer", lambda *_: nullcontext())
    with connected(sqlite_url, account) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        with begin(acme.store, acme.name, "old") as old, begin(acme.store, acme.name, "new") as new:
            steps = flow.sync(new)
            made = {}
            for done in steps:
                made[done.product] = done.report
                if done.product == "contact_plan":
                    break
            account.delete_person(1)
            feeds = feed_plan_of(old)
            walk, mapped = made["pipedrive_persons"], made["mapped_contacts"]
            before = everything(acme.store)
            late: tuple[Callable[[], object], ...] = (
                lambda: catalogue.read_catalogue(old),
                lambda: persons.fetch_persons(old),
                lambda: names.read_referenced_names(old, feeds),
                lambda: staging.map_contacts(old, feeds, walk),
                lambda: contacts.plan_contacts(old, walk, mapped),
                lambda: contacts.apply_contacts(old, walk),
            )
            for act in late:
                with pytest.raises(SyncError, match="Another run of the connection acme began"):
                    act()
            assert everything(acme.store) == before
            assert next(steps).report["deleted"] == 0
        assert len(acme.contacts()) == 4
