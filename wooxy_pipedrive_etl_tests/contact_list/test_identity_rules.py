"""Identity: ownership, duplicates, adoption, conflicts, orphaned contacts."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from wooxy_pipedrive_etl.contact_list import ListSettings, plan_issues, plan_sample

from .desk import FIRST, LATER, Desk, person


def test_creates_in_the_order_of_person_ids(desk: Desk) -> None:
    summary = desk.sync(
        person(9, email="i@x.com"), person(2, email="b@x.com"), person(5, phoneNumber="+4912345")
    )
    assert summary.created == 3
    assert [row["email"] for row in desk.rows()] == ["b@x.com", None, "i@x.com"]
    assert desk.links() == {2: 1, 5: 2, 9: 3}
    assert {(row["createdAt"], row["updatedAt"]) for row in desk.rows()} == {(FIRST, FIRST)}


def test_a_second_run_touches_no_row(desk: Desk) -> None:
    desk.put(email="Prior@X.com")
    persons = [
        person(1, email="a@x.com", phoneNumber="+491", name="A"),
        person(2, email="a@x.com"),
        person(3, email="prior@x.com"),
        person(4, name="nobody"),
    ]
    desk.sync(*persons)
    before, links = _with_row_versions(desk), desk.full_links()
    summary = desk.sync(*persons, now=LATER)
    assert (summary.created, summary.updated, summary.unchanged) == (0, 0, 2)
    assert (_with_row_versions(desk), desk.full_links()) == (before, links)


def _with_row_versions(desk: Desk) -> list[tuple[object, ...]]:
    """The table, on PostgreSQL with a column that shows when a row was rewritten with the same values."""
    version = ["xmin::text"] if desk.engine.dialect.name == "postgresql" else []
    query = sa.select(desk.table, *(sa.literal_column(name) for name in version)).order_by(
        desk.table.c.contact_id
    )
    with desk.engine.begin() as db:
        return [tuple(row) for row in db.execute(query)]


def test_only_rows_that_differ_are_updated(desk: Desk) -> None:
    desk.sync(person(1, email="a@x.com", name="A"), person(2, email="b@x.com", name="B"))
    summary = desk.sync(person(1, email="a@x.com", name="Z"), person(2, email="b@x.com", name="B"), now=LATER)
    assert (summary.updated, summary.unchanged) == (1, 1)
    assert [(row["name"], row["createdAt"], row["updatedAt"]) for row in desk.rows()] == [
        ("Z", FIRST, LATER),
        ("B", FIRST, FIRST),
    ]


def test_unfed_columns_are_never_touched(desk: Desk) -> None:
    desk.sync(person(1, email="a@x.com"))
    desk.edit(1, firstName="by hand", facebookLink="f")
    desk.sync(person(1, email="a@x.com", name="n"))
    assert (desk.only()["firstName"], desk.only()["facebookLink"]) == ("by hand", "f")


@pytest.mark.parametrize(("ignore_empty", "expected"), [(True, "Anna"), (False, None)])
def test_empty_values(desk: Desk, ignore_empty: bool, expected: str | None) -> None:
    desk.sync(person(1, email="a@x.com", name="Anna"))
    summary = desk.sync(person(1, email="a@x.com", name=None), ignore_empty=ignore_empty)
    assert desk.only()["name"] == expected
    assert summary.updated == (0 if ignore_empty else 1)


@pytest.mark.parametrize("ignore_empty", [True, False])
def test_an_empty_text_is_as_empty_as_null(desk: Desk, ignore_empty: bool) -> None:
    contact = desk.put(email="a@x.com", name="", phoneNumber="")
    summary = desk.sync(person(1, email="a@x.com"), ignore_empty=ignore_empty)
    assert (summary.unchanged, summary.adopted) == (1, 1)
    assert desk.contact(contact)["name"] == ""


def test_a_person_without_identifier_is_rejected(desk: Desk) -> None:
    assert desk.sync(person(1, name="Anna")).rejected == 1
    assert desk.rows() == []
    assert desk.last_issues == {1: "rejected"}


def test_unfed_identifiers_do_not_count(desk: Desk) -> None:
    assert desk.sync(person(1, name="Anna"), fed=("name",)).rejected == 1


def test_last_identifier_lost_with_ignore_empty_is_kept(desk: Desk) -> None:
    desk.sync(person(1, email="a@x.com", name="A"))
    summary = desk.sync(person(1, name="B"))
    assert (summary.updated, summary.deleted) == (1, 0)
    assert (desk.only()["email"], desk.only()["name"]) == ("a@x.com", "B")


@pytest.mark.parametrize(
    ("on_delete", "left", "active"), [("delete", 0, None), ("deactivate", 1, False), ("keep", 1, True)]
)
def test_last_identifier_lost_without_ignore_empty(
    desk: Desk, on_delete: str, left: int, active: bool | None
) -> None:
    desk.sync(person(1, email="a@x.com"), ignore_empty=False)
    summary = desk.sync(person(1, name="A"), ignore_empty=False, on_delete=on_delete)
    assert (summary.rejected, summary.deleted) == (1, 0 if on_delete == "keep" else 1)
    assert [row["active"] for row in desk.rows()] == [active] * left
    assert desk.last_issues == {1: "rejected"}
    still = desk.sync(person(1, name="A"), ignore_empty=False, on_delete=on_delete, now=LATER)
    assert (still.rejected, still.deleted) == (1, 0)
    assert [row["active"] for row in desk.rows()] == [active] * left


# Duplicates ----------------------------------------------------------------------------------------------


def test_the_most_recent_one_owns_the_contact(desk: Desk) -> None:
    summary = desk.sync(
        person(1, at=5, email="a@x.com", name="old"), person(2, at=7, email="a@x.com", name="new")
    )
    assert (summary.created, summary.duplicates) == (1, 1)
    assert desk.only()["name"] == "new"
    desk.stage(person(1, email="a@x.com"), person(2, at=1, email="a@x.com"))
    desk.plan()
    with desk.engine.begin() as db:
        issues = plan_issues(db, desk.connection_id)
    assert issues.dtypes["person_id"] == "Int64"
    (issue,) = issues.to_dict("records")
    assert (issue["person_id"], issue["kind"], issue["reason"], issue["variable"]) == (
        1,
        "duplicate",
        "duplicate_of",
        None,
    )
    assert "person 2" in issue["message"]


def test_a_tie_goes_to_the_larger_id(desk: Desk) -> None:
    desk.sync(person(1, phoneNumber="+491", name="one"), person(2, phoneNumber="+491", name="two"))
    assert desk.only()["name"] == "two"


def test_a_duplicate_claims_none_of_its_identifiers(desk: Desk) -> None:
    summary = desk.sync(
        person(1, at=3, email="a@x.com"),
        person(2, at=2, email="a@x.com", phoneNumber="+491"),
        person(3, at=1, phoneNumber="+491"),
    )
    assert (summary.created, summary.duplicates) == (2, 1)
    assert desk.links() == {1: 1, 3: 2}


def test_the_next_in_line_takes_over_the_row(desk: Desk) -> None:
    both = (
        person(1, at=1, email="a@x.com", name="one"),
        person(2, at=2, email="a@x.com", name="two"),
    )
    desk.sync(*both)
    summary = desk.sync(both[0], now=LATER)
    assert (summary.handed_over, summary.updated, summary.created, summary.deleted) == (1, 1, 0, 0)
    assert desk.links() == {1: 1}
    assert (desk.only()["name"], desk.only()["createdAt"]) == ("one", FIRST)
    desk.sync(*both)
    assert (desk.links(), desk.only()["name"]) == ({2: 1}, "two")


def test_an_owner_that_became_older_loses_its_row(desk: Desk) -> None:
    desk.sync(person(1, at=1, email="a@x.com", name="one"), person(2, at=2, email="a@x.com", name="two"))
    summary = desk.sync(
        person(1, at=3, email="a@x.com", name="one"), person(2, at=2, email="a@x.com", name="two")
    )
    assert (summary.handed_over, summary.duplicates, summary.deleted) == (1, 1, 0)
    assert desk.links() == {1: 1}
    assert desk.only()["name"] == "one"


def test_a_person_without_identifiers_hands_over_its_row(desk: Desk) -> None:
    desk.sync(person(1, email="a@x.com"), ignore_empty=False)
    summary = desk.sync(person(1), person(2, email="a@x.com"), ignore_empty=False)
    assert (summary.handed_over, summary.rejected, summary.deleted) == (1, 1, 0)
    assert desk.links() == {2: 1}


def test_an_orphaned_contact_without_claimants_is_deleted(desk: Desk) -> None:
    desk.sync(person(1, email="a@x.com"), person(2, email="b@x.com"))
    summary = desk.sync(person(1, email="a@x.com"), person(2, at=-1, email="a@x.com"))
    assert (summary.deleted, summary.duplicates) == (1, 1)
    assert desk.links() == {1: 1}


# In the list before the first sync -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prior", "staged"),
    [
        ({"email": "Anna@X.COM"}, {"email": "anna@x.com"}),
        ({"phoneNumber": "+491"}, {"phoneNumber": "+491"}),
        ({"userId": "u"}, {"userId": "u"}),
        ({"email": "a@x.com", "phoneNumber": "+491"}, {"email": "a@x.com", "phoneNumber": "+491"}),
    ],
)
def test_existing_contacts_are_adopted(desk: Desk, prior: dict[str, Any], staged: dict[str, Any]) -> None:
    contact = desk.put(**prior, firstName="kept")
    summary = desk.sync(person(1, **staged, name="Anna"))
    assert (summary.adopted, summary.updated, summary.created) == (1, 1, 0)
    row = desk.only()
    assert (row["contact_id"], row["name"], row["firstName"]) == (contact, "Anna", "kept")
    assert {name: row[name] for name in staged} == staged
    assert (row["createdAt"], row["active"]) == (None, None)
    assert [(link["adopted"], link["contact_id"]) for link in desk.full_links()] == [(True, contact)]


@pytest.mark.parametrize("on_delete", ["delete", "deactivate", "keep"])
def test_an_adopted_contact_is_kept_and_released(desk: Desk, on_delete: str) -> None:
    desk.put(email="a@x.com", active=True)
    desk.sync(person(1, email="a@x.com"))
    before = desk.rows()
    summary = desk.sync(on_delete=on_delete)
    assert (summary.released, summary.deleted) == (1, 0)
    assert (desk.rows(), desk.links()) == (before, {})
    assert desk.sync(person(2, email="a@x.com")).adopted == 1
    assert desk.links() == {2: before[0]["contact_id"]}


def test_an_adopted_contact_is_handed_over_directly(desk: Desk) -> None:
    contact = desk.put(email="a@x.com")
    desk.sync(person(1, email="a@x.com"))
    summary = desk.sync(person(2, email="a@x.com"))
    assert (summary.adopted, summary.released) == (1, 0)
    assert [(link["person_id"], link["adopted"]) for link in desk.full_links()] == [(2, True)]
    assert desk.links() == {2: contact}


def test_matching_two_contacts_is_a_conflict(desk: Desk) -> None:
    one, two = desk.put(email="a@x.com"), desk.put(phoneNumber="+491")
    before = desk.rows()
    summary = desk.sync(person(1, email="a@x.com", phoneNumber="+491"))
    assert (summary.conflicts, summary.staged) == (1, 1)
    assert (desk.rows(), desk.links()) == (before, {})
    desk.stage(person(1, email="a@x.com", phoneNumber="+491"))
    desk.plan()
    with desk.engine.begin() as db:
        (issue,) = plan_issues(db, desk.connection_id).to_dict("records")
    assert (issue["kind"], issue["reason"]) == ("conflict", "identifier_conflict")
    assert f"{one}, {two}" in issue["message"]
    assert "a@x.com" not in issue["message"]


def test_matching_another_existing_contact_is_a_conflict(desk: Desk) -> None:
    desk.sync(person(1, email="a@x.com"))
    desk.put(phoneNumber="+491")
    summary = desk.sync(person(1, email="b@x.com", phoneNumber="+491"))
    assert (summary.conflicts, summary.updated) == (1, 0)
    assert desk.contact(1)["email"] == "a@x.com"
    assert desk.links() == {1: 1}


def test_a_contact_kept_by_another_is_a_conflict(desk: Desk) -> None:
    desk.sync(person(1, email="a@x.com", phoneNumber="+491"))
    summary = desk.sync(person(1, email="a@x.com"), person(2, phoneNumber="+491"))
    assert (summary.conflicts, summary.unchanged, summary.created) == (1, 1, 0)
    assert desk.last_issues == {2: "conflict"}


@pytest.mark.parametrize(
    ("first", "ignore_empty"),
    [({"email": "a@x.com", "phoneNumber": "+492"}, True), ({"email": "a@x.com"}, False)],
)
def test_an_identifier_given_up_is_free(desk: Desk, first: dict[str, Any], ignore_empty: bool) -> None:
    desk.sync(person(1, email="a@x.com", phoneNumber="+491"))
    summary = desk.sync(person(1, **first), person(2, phoneNumber="+491"), ignore_empty=ignore_empty)
    assert (summary.conflicts, summary.updated, summary.created) == (0, 1, 1)


def test_two_persons_swap_an_identifier(desk: Desk) -> None:
    desk.sync(person(1, email="a@x.com"), person(2, email="b@x.com"))
    summary = desk.sync(person(1, email="b@x.com"), person(2, email="a@x.com"))
    assert (summary.updated, summary.conflicts) == (2, 0)
    assert desk.links() == {1: 1, 2: 2}
    assert [row["email"] for row in desk.rows()] == ["b@x.com", "a@x.com"]


def test_a_conflict_keeps_its_identifiers_from_others(desk: Desk) -> None:
    desk.sync(person(1, email="a@x.com"), person(2, email="b@x.com"))
    desk.put(userId="u")
    summary = desk.sync(person(1, email="c@x.com", userId="u"), person(2, email="a@x.com"))
    assert summary.conflicts == 2
    assert [row["email"] for row in desk.rows()] == ["a@x.com", "b@x.com", None]


def test_a_conflict_can_clear_within_the_run(desk: Desk) -> None:
    """Person 2 takes the first contact and gives it another address, so the address leads person 1 to only one
    contact."""
    first = desk.put(email="a@x.com", phoneNumber="+491")
    second = desk.put(userId="u")
    persons = [
        person(1, at=2, email="a@x.com", userId="u"),
        person(2, at=1, email="b@x.com", phoneNumber="+491"),
    ]
    summary = desk.sync(*persons)
    assert (summary.adopted, summary.conflicts) == (2, 0)
    assert desk.links() == {2: first, 1: second}
    assert desk.sync(*persons).unchanged == 2


def test_several_want_one_contact(desk: Desk) -> None:
    contact = desk.put(email="a@x.com", phoneNumber="+491")
    summary = desk.sync(
        person(1, at=1, email="a@x.com", phoneNumber="+492"), person(2, at=2, phoneNumber="+491")
    )
    assert (summary.adopted, summary.conflicts) == (1, 1)
    assert desk.links() == {2: contact}
    assert desk.last_issues == {1: "conflict"}


# Deleted and restored --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("on_delete", "left", "deleted"), [("delete", [], 1), ("deactivate", [False], 1), ("keep", [True], 0)]
)
def test_a_deleted_person(desk: Desk, on_delete: str, left: list[bool], deleted: int) -> None:
    desk.sync(person(1, email="a@x.com"))
    summary = desk.sync(on_delete=on_delete, now=LATER)
    assert summary.deleted == deleted
    assert [row["active"] for row in desk.rows()] == left
    assert desk.sync(on_delete=on_delete).deleted == 0
    assert desk.links() == ({1: 1} if left else {})


def test_a_restored_person_reactivates_its_contact(desk: Desk) -> None:
    desk.sync(person(1, email="a@x.com"))
    desk.sync(on_delete="deactivate")
    assert [link["deactivated"] for link in desk.full_links()] == [True]
    summary = desk.sync(person(1, email="a@x.com"), on_delete="deactivate", now=LATER)
    assert summary.updated == 1
    assert (desk.only()["active"], desk.only()["updatedAt"]) == (True, LATER)
    assert [link["deactivated"] for link in desk.full_links()] == [False]


def test_a_contact_that_someone_switched_off_stays_off(desk: Desk) -> None:
    desk.sync(person(1, email="a@x.com"))
    desk.edit(1, active=False)
    assert desk.sync(on_delete="deactivate").deleted == 0
    assert desk.sync(person(1, email="a@x.com"), on_delete="deactivate").unchanged == 1
    assert desk.only()["active"] is False


def test_a_contact_reactivated_by_hand_stays_active(desk: Desk) -> None:
    desk.sync(person(1, email="a@x.com"))
    desk.sync(on_delete="deactivate")
    desk.edit(1, active=True)
    assert desk.sync(on_delete="deactivate").deleted == 0
    assert desk.only()["active"] is True


def test_ids_are_never_used_again(desk: Desk) -> None:
    desk.sync(person(1, email="a@x.com"))
    desk.sync()
    desk.sync(person(1, email="a@x.com"))
    assert desk.links() == {1: 2}


def test_ids_inserted_by_hand_are_skipped(desk: Desk) -> None:
    desk.put(contact_id=40, email="x@x.com")
    desk.sync(person(1, email="a@x.com"), person(2, email="b@x.com"))
    assert desk.links() == {1: 41, 2: 42}
    assert desk.put(email="y@x.com") == 43


def test_a_contact_deleted_by_hand_is_recreated(desk: Desk) -> None:
    desk.sync(person(1, email="a@x.com"), person(2, email="b@x.com"))
    desk.remove(1)
    summary = desk.sync(person(1, email="a@x.com"), person(2, email="b@x.com"))
    assert (summary.created, summary.unchanged) == (1, 1)
    assert desk.links() == {1: 3, 2: 2}


def test_deleting_the_person_removes_a_dangling_link(desk: Desk) -> None:
    desk.sync(person(1, email="a@x.com"))
    desk.remove(1)
    assert desk.sync().deleted == 0
    assert desk.links() == {}


# Between plan and apply ----------------------------------------------------------------------------------


def test_apply_checks_again(desk: Desk) -> None:
    desk.sync(person(1, email="a@x.com", name="A"), person(2, email="b@x.com", name="B"))
    desk.stage(person(1, email="a@x.com", name="Z"), person(2, email="b@x.com", name="Y"))
    assert desk.plan().updated == 2
    desk.edit(1, name="Z")
    desk.remove(2)
    applied = desk.apply(LATER)
    assert (applied.updated, applied.unchanged) == (0, 2)
    assert (desk.only()["name"], desk.only()["updatedAt"]) == ("Z", FIRST)
    assert desk.links() == {1: 1}


def test_a_plan_alone_writes_nothing(desk: Desk) -> None:
    desk.sync(person(1, email="a@x.com"))
    desk.put(email="p@x.com", phoneNumber="+491", smsSubscribe=False)
    before, links = desk.rows(), desk.full_links()
    desk.stage(person(2, email="b@x.com"), person(3, email="p@x.com"))
    summary = desk.plan()
    assert (summary.created, summary.updated + summary.unchanged, summary.deleted) == (1, 1, 1)
    assert summary.contacts_before == 2
    assert (desk.rows(), desk.full_links(), desk.opt_outs()) == (before, links, set())


def test_the_sample_names_variables_and_shows_no_values(desk: Desk) -> None:
    desk.sync(person(1, email="a@x.com", name="A"), person(2, email="b@x.com"))
    desk.stage(
        person(1, email="z@x.com", name="Z"), person(3, email="c@x.com"), *(person(n) for n in range(10, 20))
    )
    desk.plan()
    with desk.engine.begin() as db:
        sample = plan_sample(db, desk.list.view(db), desk.connection_id, ListSettings(), 2)
    assert sample.astype(object).where(sample.notna(), None).to_dict("split")["data"] == [
        [3, None, "create", ""],
        [10, None, "rejected", ""],
        [11, None, "rejected", ""],
        [1, 1, "update", "email, name"],
        [2, 2, "delete", ""],
    ]


def test_two_connections_never_see_each_other(engine: sa.Engine) -> None:
    one, two = Desk(engine), Desk(engine)
    one.sync(person(1, email="a@x.com"))
    two.sync(person(1, email="a@x.com"), person(2, email="b@x.com"))
    one.sync()
    assert (len(one.rows()), len(two.rows())) == (0, 2)
