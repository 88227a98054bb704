"""Whom a full run considers deleted, and what happens to the contact."""

from __future__ import annotations

import pytest

from wooxy_pipedrive_etl.guards import Permissions
from wooxy_pipedrive_etl.http_api.errors import TransientError
from wooxy_pipedrive_etl.sandbox.pipedrive import Fault
from wooxy_pipedrive_etl.store import tables
from wooxy_pipedrive_etl.views.runs import allow_once
from wooxy_pipedrive_etl_tests.scenario import (
    Connected,
    Refused,
    add_person,
    connected,
    refused_deletions,
    small_account,
)

ROWS = {"emails": "email", "phones": "phoneNumber", "name": "name"}


def test_a_verified_deletion_leaves_only_a_tombstone(database_url: str) -> None:
    with connected(database_url, small_account(3)) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        acme.execute("""UPDATE {list} SET "smsSubscribe" = false WHERE "name" = 'Person 2'""")
        acme.sync()
        acme.account.delete_person(2)
        acme.server.clear_requests()
        counts = acme.sync()
        assert (counts["deleted"], counts["unchanged"], counts["fetched"]) == (1, 2, 2)
        assert set(acme.column("name").values()) == {"Person 1", "Person 3"}
        looks = [each.query for each in acme.server.requests if "ids" in each.query]
        assert [look["ids"] for look in looks] == ["2"]
        assert acme.snapshot_ids() == [1, 3]
        assert [row["person_id"] for row in acme.rows(tables.tombstones)] == [2]
        assert {row["person_id"] for row in acme.rows(tables.links)} == {1, 3}
        # No table keeps anything of the person: the opt-out is a keyed hash.
        assert len(acme.rows(tables.opt_outs)) == 1
        kept = str([acme.rows(each) for each in tables.metadata.sorted_tables if "connection_id" in each.c])
        for trace in ("Person 2", "person2@", "100002"):
            assert trace not in kept


def test_a_hidden_person_counts_as_deleted(database_url: str) -> None:
    with connected(database_url, small_account(3)) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        ids = acme.column("contact_id")
        acme.account.hide_person(3)
        assert acme.sync()["deleted"] == 1
        acme.account.show_person(3)
        assert acme.sync()["created"] == 1
        back = acme.column("contact_id")
        assert set(back) == set(ids)
        assert back["person3@example.com"] not in ids.values()


def test_only_the_winner_of_a_merge_stays(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account(3)) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        winner = acme.contact(name="Person 1")["contact_id"]
        acme.account.merge_persons(1, 2)
        assert acme.sync()["deleted"] == 1
        assert acme.contact(name="Person 1")["contact_id"] == winner


def test_a_person_missed_only_by_the_walk_stays(sqlite_url: str) -> None:
    """The second lookup finds persons who slipped through the pages."""
    with connected(sqlite_url, small_account(3)) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        acme.account.hide_person(2)
        acme.server.faults.add(
            Fault("on_page", "/api/v2/persons", after=1, on_page=lambda account: account.show_person(2))
        )
        counts = acme.sync()
        assert (counts["deleted"], counts["unchanged"]) == (0, 3)


def test_many_deletions_at_once_need_permission(database_url: str) -> None:
    with connected(database_url, small_account(40)) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        for person_id in range(1, 22):
            acme.account.hide_person(person_id)
        # Neither the deletions nor anything else in that plan is written.
        add_person(acme.account, 41)
        before = acme.dump()
        with pytest.raises(
            Refused, match=r"^21 of the 40 contacts would be deleted at once, so nothing was written"
        ):
            acme.sync()
        assert acme.dump() == before
        last = acme.last_run()
        assert (last.state, last.deleted, last.refused_by) == ("failed", 21, "mass_delete")
        # Neither a re-map nor a dry run bypasses the refusal.
        with pytest.raises(Refused):
            acme.remap()
        with pytest.raises(Refused):
            acme.sync(dry_run=True)
        # Nor does permission for something else, or for fewer.
        with pytest.raises(Refused, match="deleted at once, so nothing"):
            acme.sync(allowed=Permissions(lost_fields=True, reserve=True))
        with pytest.raises(Refused, match="deleted at once, and 20 were allowed, so nothing was written"):
            acme.sync(allowed=Permissions(deletions=20))
        assert acme.dump() == before
        counts = acme.sync(allowed=Permissions(deletions=21))
        assert (counts["deleted"], counts["created"], counts["unchanged"]) == (21, 1, 19)
        assert len(acme.contacts()) == 20


def test_only_the_listed_persons_are_deleted(database_url: str) -> None:
    with connected(database_url, small_account(80)) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        of_person = {row["person_id"]: row["contact_id"] for row in acme.rows(tables.links)}
        for person_id in range(1, 26):
            acme.account.hide_person(person_id)
        with pytest.raises(Refused):
            acme.sync()
        refused = listed(acme)
        assert refused == {of_person[person_id] for person_id in range(1, 26)}
        allowed = Permissions(deletions_of=acme.newest_run().run_id)
        # More persons disappear after the list was shown.
        for person_id in range(40, 51):
            acme.account.hide_person(person_id)
        before = acme.dump()
        with pytest.raises(
            Refused, match=r"^36 of the 80 contacts .* 11 of which were not on the list that was"
        ):
            acme.sync(allowed=allowed)
        assert acme.dump() == before
        assert listed(acme) == refused | {of_person[person_id] for person_id in range(40, 51)}
        # As many as were shown, but one of them is a different person.
        for person_id in range(40, 51):
            acme.account.show_person(person_id)
        with pytest.raises(Refused, match=r"^25 of the 80"):
            acme.sync()
        allowed = Permissions(deletions_of=acme.newest_run().run_id)
        acme.account.show_person(1)
        acme.account.hide_person(60)
        with pytest.raises(Refused, match=r"^25 of the 80 .* 1 of which were not on the list"):
            acme.sync(allowed=allowed)
        # Fewer persons, all of whom were on the list.
        acme.account.show_person(60)
        acme.account.show_person(2)
        with pytest.raises(Refused):
            acme.sync()
        allowed = Permissions(deletions_of=acme.newest_run().run_id)
        acme.account.show_person(3)
        assert acme.sync(allowed=allowed)["deleted"] == 22
        assert listed(acme) == set()


def listed(acme: Connected) -> set[int]:
    return {row["contact_id"] for row in acme.rows(tables.planned_deletions)}


def test_planned_deletions_are_listed_until_the_next_run(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account(10)) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        acme.account.hide_person(3)
        acme.sync(dry_run=True)
        assert len(listed(acme)) == 1
        acme.sync()
        assert listed(acme) == set()


def test_another_refused_run_keeps_the_allowed_list(sqlite_url: str) -> None:
    with refused_deletions(sqlite_url) as acme:
        refused = acme.newest_run().run_id
        request = allow_once(acme.store, acme.name, "mass_delete", refused)
        assert request is not None
        # An automatic run comes first, and has its own list.
        with pytest.raises(Refused):
            acme.sync("changes", automatic=True)
        assert {row["run_id"] for row in acme.rows(tables.planned_deletions)} == {
            refused,
            acme.newest_run().run_id,
        }
        assert acme.sync(allowed=request.permissions)["deleted"] == 30


def test_planned_deactivations_are_listed_too(sqlite_url: str) -> None:
    with refused_deletions(sqlite_url, on_delete="deactivate") as acme:
        assert str(acme.last_run().message).startswith("30 of the 40 contacts would be switched off at once")
        assert len(listed(acme)) == 30


def test_persons_visible_again_after_a_refusal_stay(sqlite_url: str) -> None:
    with refused_deletions(sqlite_url) as acme:
        for person_id in range(1, 31):
            acme.account.show_person(person_id)
        counts = acme.sync()
        assert (counts["deleted"], counts["unchanged"]) == (0, 40)


@pytest.mark.parametrize("at_once", [20, 21])
def test_few_deletions_need_no_permission(sqlite_url: str, at_once: int) -> None:
    """20 of 40 are few, and 21 of 230 are less than a tenth."""
    with connected(sqlite_url, small_account(40 if at_once == 20 else 230)) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        for person_id in range(1, at_once + 1):
            acme.account.hide_person(person_id)
        assert acme.sync()["deleted"] == at_once


def test_an_element_without_id_prevents_all_deletions(database_url: str) -> None:
    """It may be any person, including one that a lookup by id does not find."""
    with connected(database_url, small_account(3)) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        acme.account.put_raw_person(4, '{"name":"No id"}')
        acme.account.delete_person(3)
        counts = acme.sync()
        assert (counts["deleted"], counts["rejected"], counts["unchanged"]) == (0, 1, 3)
        assert counts["fetched"] == 4
        (issue,) = acme.issues()
        assert (issue["person_id"], issue["kind"], issue["reason"]) == (None, "rejected", "odd_shape")
        assert len(acme.contacts()) == 3
        acme.account.delete_person(4)
        assert acme.sync()["deleted"] == 1
        assert acme.issues() == []


def test_a_person_without_its_id_is_not_deleted(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account(3)) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        acme.account.put_raw_person(2, '{"name":"No id any more"}')
        assert acme.sync()["deleted"] == 0
        assert len(acme.contacts()) == 3


def test_an_interrupted_walk_deletes_nobody(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account(501)) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        before = acme.dump()
        acme.account.delete_person(1)
        acme.server.faults.add(Fault("status", "/api/v2/persons", status=502, after=1, times=None))
        with pytest.raises(TransientError):
            acme.sync()
        assert acme.dump() == before
        # Nor does a re-map of what that walk stored.
        assert acme.remap()["deleted"] == 0
        acme.server.faults.clear()
        assert acme.sync()["deleted"] == 1


@pytest.mark.parametrize("on_delete", ["deactivate", "keep"])
def test_the_setting_on_delete(sqlite_url: str, on_delete: str) -> None:
    with connected(sqlite_url, small_account(2), on_delete=on_delete) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        acme.account.delete_person(2)
        acme.sync()
        contact = acme.contact(name="Person 2")
        assert contact["active"] is (on_delete == "keep")
        assert acme.snapshot_ids() == [1]


def test_a_released_adopted_contact_stays(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account(2)) as acme:
        acme.execute("""INSERT INTO {list} ("email", "name") VALUES ('Person2@Example.com', 'By hand')""")
        acme.import_rows(ROWS)
        counts = acme.sync()
        assert (counts["created"], counts["updated"]) == (1, 1)
        acme.account.delete_person(2)
        assert acme.sync()["deleted"] == 0
        assert acme.contact(name="Person 2")["contact_id"] == 1


def test_the_next_in_line_takes_over_the_contact(database_url: str) -> None:
    with connected(database_url, small_account(2)) as acme:
        twin = add_person(acme.account, 3, name="Twin", phones=[{"value": "+35840100001", "primary": True}])
        acme.import_rows(ROWS)
        counts = acme.sync()
        assert (counts["created"], counts["duplicates"]) == (2, 1)
        (issue,) = acme.issues()
        assert (issue["kind"], issue["reason"]) == ("duplicate", "duplicate_of")
        owner = ({1, twin} - {issue["person_id"]}).pop()
        assert f"{owner}" in issue["message"]
        contact = acme.contact(phoneNumber="+35840100001")
        acme.account.delete_person(owner)
        counts = acme.sync()
        assert (counts["deleted"], counts["created"], counts["updated"]) == (0, 0, 1)
        after = acme.contact(phoneNumber="+35840100001")
        assert after["contact_id"] == contact["contact_id"]
        assert after["name"] != contact["name"]
