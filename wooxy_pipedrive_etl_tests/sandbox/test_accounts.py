"""The accounts to start from: seeded, large, and with malformed persons; and what creating a person accepts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from wooxy_pipedrive_etl.sandbox.pipedrive import (
    ODD_PERSONS,
    Account,
    Behaviours,
    InvalidValueError,
    Limits,
    SandboxError,
    UnknownRecordError,
    add_odd_persons,
    large_account,
    seeded_account,
)
from wooxy_pipedrive_etl.sandbox.pipedrive.fields import CUSTOM_FIELD_TYPES, OPTIONAL_FIELDS
from wooxy_pipedrive_etl.sandbox.pipedrive.keyset import Window
from wooxy_pipedrive_etl.sandbox.pipedrive.rendering import View, person_json

from .served import Clock, Served

Serve = Callable[..., Served]


def test_the_seeded_account_has_varied_and_awkward_data(
    serve: Serve,
) -> None:
    served = serve(seeded_account(persons=300))
    rows = served.persons(limit=500)
    assert len(rows) == 300
    fields = served.data("/api/v2/personFields", limit=500)
    custom = {row["field_code"]: row for row in fields if row["is_custom_field"]}
    assert {row["field_type"] for row in custom.values()} == set(CUSTOM_FIELD_TYPES)
    assert {row["field_code"] for row in fields if row["is_optional_response_field"]} == set(OPTIONAL_FIELDS)
    for code in custom:
        assert any(row["custom_fields"][code] is not None for row in rows)
        assert any(row["custom_fields"][code] is None for row in rows)
    assert max(Counter(row["field_name"] for row in custom.values()).values()) == 2
    names = "".join(row["name"] for row in rows)
    for sample in "äіΓ佐김محכüçễสशნ👩":
        assert sample in names
    assert any(not row["emails"] and not row["phones"] for row in rows)
    addresses = Counter(each["value"].strip().lower() for row in rows for each in row["emails"])
    assert addresses["shared.address@example.org"] == 2
    assert any(row["update_time"] is None for row in rows)
    assert any(row["birthday"] == "0000-00-00" for row in rows)
    assert "9007199254740993" in served.get("/api/v2/persons", limit=500).text


@pytest.mark.parametrize("persons", [0, 1, 7, 40])
def test_the_seeded_account_has_the_requested_size(persons: int) -> None:
    assert len(seeded_account(persons=persons).visible_person_ids()) == persons


def test_the_same_seed_gives_the_same_account(serve: Serve) -> None:
    first, second, other = (
        serve(seeded_account(persons=40, seed=seed)).get("/api/v2/persons").text for seed in (1, 1, 2)
    )
    assert first == second != other


def test_seeded_accounts_have_deleted_merged_and_hidden_persons(serve: Serve) -> None:
    served = serve(seeded_account(persons=30))
    states = [served.account.person_state(person_id) for person_id in range(1, 36)]
    assert sum(each["is_deleted"] for each in states) == 3
    assert sum(each["merged_into"] is not None for each in states) == 1
    assert sum(each["is_hidden"] for each in states) == 2


def test_a_large_account_is_walked_completely_once(serve: Serve) -> None:
    served = serve(large_account(persons=1200, custom_fields=30), limits=Limits(burst_per_2s=1000))
    rows = served.walk(limit=500)
    assert [row["id"] for row in rows] == list(range(1, 1201))
    assert {len(row["custom_fields"]) for row in rows} == {30}
    fields = served.data("/api/v2/personFields", limit=500)
    assert {row["field_type"] for row in fields if row["is_custom_field"]} == set(CUSTOM_FIELD_TYPES)
    emails = [each["value"] for row in rows for each in row["emails"]]
    phones = [each["value"] for row in rows for each in row["phones"]]
    assert len(set(emails)) == len(emails) > 1000
    assert len(set(phones)) == len(phones) > 800
    assert all(row["emails"] or row["phones"] for row in rows)
    assert len({json.dumps(row["custom_fields"]) for row in rows}) == 1200
    organizations = {row["id"] for row in served.walk("/api/v2/organizations", limit=500)}
    assert len(organizations) == 24
    assert {row["org_id"] for row in rows} == organizations | {None}
    by_time = served.walk(limit=500, sort_by="update_time")
    assert by_time == sorted(rows, key=lambda row: (row["update_time"], row["id"]))
    assert 1500 < len(json.dumps(rows, ensure_ascii=False)) / 1200 < 3000


@pytest.mark.parametrize("persons", [0, 1])
@pytest.mark.parametrize("custom_fields", [0, 1, 2, 65])
def test_a_large_account_may_be_small(serve: Serve, persons: int, custom_fields: int) -> None:
    rows = serve(large_account(persons=persons, custom_fields=custom_fields)).persons()
    assert [len(row["custom_fields"] or {}) for row in rows] == [custom_fields] * persons


def test_generated_persons_filter_by_owner_and_organisation(serve: Serve) -> None:
    served = serve(large_account(persons=1200, custom_fields=30), limits=Limits(burst_per_2s=1000))
    rows = served.walk(limit=500)
    for key in ("owner_id", "org_id"):
        wanted = rows[0][key] or rows[1][key]
        assert served.walk(limit=500, **{key: wanted}) == [row for row in rows if row[key] == wanted]


def looks() -> list[View]:
    return [View(), View(optional=tuple(OPTIONAL_FIELDS)), View(optional=("marketing_status",))]


def test_a_generated_person_looks_the_same_once_stored() -> None:
    """A page's cheap rendering and the ordinary one must always agree, whatever the account looks like."""
    account = large_account(persons=60, custom_fields=12)
    codes = list(account.custom_fields)
    changes: list[Callable[[], Any]] = [
        lambda: None,
        lambda: setattr(account, "contact_sync", True),
        lambda: account.add_field("Later", "text"),
        lambda: account.delete_field(codes[5]),
        lambda: setattr(account, "behaviours", Behaviours(milliseconds=True, im_key="ims")),
        lambda: account.delete_field(codes[0]),
        lambda: setattr(account, "marketing", False),
        *(partial(account.delete_field, code) for code in codes[1:5] + codes[6:]),
        lambda: account.delete_field(next(iter(account.custom_fields))),
    ]
    for change in changes:
        change()
        for view in looks():
            rows, _ = account.persons_page(Window(limit=60), view)
            for person_id, row in enumerate(rows, 1):
                person = account.find_person(person_id)
                assert person is not None
                assert row == person_json(person, account.layout(), view)


def test_generated_persons_can_be_edited_deleted_and_merged(serve: Serve, clock: Clock) -> None:
    account = large_account(persons=20, custom_fields=5)
    account.clock = clock
    served = serve(account)
    before = served.persons()
    number = next(iter(account.custom_fields))
    account.edit_person(3, name="New Name", custom_fields={number: "X-1"})
    account.delete_person(4)
    account.merge_persons(5, 6)
    rows = {row["id"]: row for row in served.persons()}
    assert list(rows) == [each for each in range(1, 21) if each not in (4, 6)]
    edited = {
        **before[2],
        "name": "New Name",
        "first_name": "New",
        "last_name": "Name",
        "update_time": "2026-03-01T12:00:00Z",
        "custom_fields": {**before[2]["custom_fields"], number: "X-1"},
    }
    assert rows[3] == edited
    assert [rows[each] for each in (1, 2, 7)] == [before[at] for at in (0, 1, 6)]
    assert account.create_person(name="Next") == 21


def test_odd_persons_are_served_unchanged(serve: Serve, account: Account) -> None:
    ids = add_odd_persons(account)
    text = serve(account).get("/api/v2/persons", limit=500).text
    assert len(ids) == len(ODD_PERSONS)
    for what, person_id in ids.items():
        assert ODD_PERSONS[what].replace("%(id)s", str(person_id)) in text
    assert len(json.loads(text)["data"]) == len(ODD_PERSONS)


def bad_values(account: Account) -> list[dict[str, Any]]:
    tier = account.add_field("Tier", "enum", ["Gold"])
    many = account.add_field("Many", "set", ["A"])
    number = account.add_field("Number", "double")
    text = account.add_field("Text", "text")
    amount = account.add_field("Amount", "monetary")
    user = account.add_field("User", "user")
    return [
        {"nonsense": 1},
        {"name": 1},
        {"emails": "a@example.org"},
        {"org_id": "1"},
        {"owner_id": True},
        {"label_ids": 1},
        {"postal_address": "Street 1"},
        {"custom_fields": {"nothing": 1}},
        {"custom_fields": {tier: 99}},
        {"custom_fields": {tier: "Gold"}},
        {"custom_fields": {many: []}},
        {"custom_fields": {many: [1, 2, 99]}},
        {"custom_fields": {number: "1"}},
        {"custom_fields": {number: True}},
        {"custom_fields": {text: 1}},
        {"custom_fields": {amount: 1}},
        {"custom_fields": {user: "1"}},
    ]


def test_invalid_values_need_validate_false(serve: Serve, account: Account) -> None:
    values = bad_values(account)
    for each in values:
        with pytest.raises(InvalidValueError):
            account.create_person(**{"name": "A", **each})
    assert account.visible_person_ids() == []
    for each in values:
        account.create_person(validate=False, **each)
    assert len(serve(account).persons()) == len(values)


def test_refused_edits_change_nothing(serve: Serve, account: Account) -> None:
    person = account.create_person(name="A")
    served = serve(account)
    before = served.person(person)
    with pytest.raises(InvalidValueError):
        account.edit_person(person, name="B", nonsense=1)
    assert served.person(person) == before


def test_impossible_changes_are_refused(account: Account, clock: Clock) -> None:
    person, other = account.create_person(name="A"), account.create_person(name="B")
    account.delete_person(person)
    impossible: list[Callable[[], None]] = [
        partial(account.delete_person, person),
        partial(account.edit_person, person, name="B"),
        partial(account.merge_persons, other, person),
        partial(account.merge_persons, person, other),
        partial(account.merge_persons, other, other),
        partial(account.restore_person, other),
    ]
    for change in impossible:
        with pytest.raises(SandboxError):
            change()
    with pytest.raises(UnknownRecordError, match="no person 77"):
        account.edit_person(77, name="X")
    clock.tick(31 * 86_400)
    with pytest.raises(SandboxError, match="last 30 days"):
        account.restore_person(person)
