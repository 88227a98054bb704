"""`GET /api/v2/persons`: what a page contains, in which order, and how pages follow each other."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from wooxy_pipedrive_etl.sandbox.pipedrive import Account, Behaviours, RawJson

from .served import Clock, Served

Serve = Callable[..., Served]


def test_a_minimal_person_has_default_members_and_nulls(serve: Serve, account: Account) -> None:
    account.create_person(name="Plain")
    assert serve(account).persons() == [
        {
            "id": 1,
            "name": "Plain",
            "first_name": "Plain",
            "last_name": None,
            "add_time": "2026-03-01T12:00:00Z",
            "update_time": "2026-03-01T12:00:00Z",
            "visible_to": 3,
            "owner_id": account.token_owner_id,
            "label_ids": [],
            "org_id": None,
            "is_deleted": False,
            "picture_id": None,
            "phones": [],
            "emails": [],
            "custom_fields": None,
        }
    ]


def test_default_pages_hold_a_hundred_persons(serve: Serve, account: Account) -> None:
    for at in range(205):
        account.create_person(name=f"Person {at}")
    served = serve(account)
    first = served.get("/api/v2/persons").json()
    assert len(first["data"]) == 100
    cursor = first["additional_data"]["next_cursor"]
    assert "=" not in cursor
    marker = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    assert marker == {"field": "id", "fieldValue": 101, "sortDirection": "asc", "id": 101}
    assert [each["id"] for each in served.walk(limit=100)] == list(range(1, 206))
    for order in ({"sort_direction": "desc"}, {"sort_direction": "desc", "sort_by": "id"}):
        assert [each["id"] for each in served.walk(limit=41, **order)] == list(range(205, 0, -1))
    assert served.get("/api/v2/persons", limit=205).json()["additional_data"] == {"next_cursor": None}


@pytest.mark.parametrize(
    ("last_page", "rest"),
    [
        ("null_cursor", {"additional_data": {"next_cursor": None}}),
        ("no_cursor", {"additional_data": {}}),
        ("no_additional_data", {}),
    ],
)
def test_the_last_page_may_lack_the_cursor(serve: Serve, last_page: Any, rest: dict[str, Any]) -> None:
    served = serve(behaviours=Behaviours(last_page=last_page))
    assert served.get("/api/v2/persons").json() == {"success": True, "data": [], **rest}


@pytest.mark.parametrize("field", ["update_time", "add_time"])
@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_walks_by_time_break_ties_by_id(
    serve: Serve, account: Account, clock: Clock, field: str, direction: str
) -> None:
    for at in range(30):
        clock.tick(at % 4 == 0)
        account.create_person(name=f"Person {at}")
    for person_id in (3, 9, 4, 27):
        clock.tick(person_id % 2)
        account.edit_person(person_id, name="Edited")
    account.edit_person(11, update_time=None)
    served = serve(account)
    rows = served.walk(limit=7, sort_by=field, sort_direction=direction)
    expected = sorted(
        served.persons(), key=lambda row: (row[field] or "", row["id"]), reverse=direction == "desc"
    )
    assert [row["id"] for row in rows] == [row["id"] for row in expected]


def test_a_person_edited_mid_walk_is_delivered_again(serve: Serve, account: Account, clock: Clock) -> None:
    for at in range(6):
        clock.tick()
        account.create_person(name=f"Person {at}")
    served = serve(account)
    first = served.get("/api/v2/persons", sort_by="update_time", limit=3).json()
    clock.tick()
    account.edit_person(2, name="Edited")
    account.delete_person(4)
    rest = served.persons(sort_by="update_time", limit=500, cursor=first["additional_data"]["next_cursor"])
    assert [row["id"] for row in first["data"]] == [1, 2, 3]
    assert [row["id"] for row in rest] == [5, 6, 2]


def test_updated_since_is_inclusive_and_updated_until_exclusive(
    serve: Serve, account: Account, clock: Clock
) -> None:
    for at in range(5):
        account.create_person(name=f"Person {at}")
        clock.tick()
    served = serve(account)
    for order in ("id", "update_time", "add_time"):
        window = {
            "updated_since": "2026-03-01T12:00:01Z",
            "updated_until": "2026-03-01T12:00:03Z",
            "sort_by": order,
        }
        assert [row["id"] for row in served.persons(**window)] == [2, 3]
        assert [row["id"] for row in served.persons(**window, sort_direction="desc")] == [3, 2]
    assert [row["id"] for row in served.persons(updated_since="2026-03-01T12:00:04Z")] == [5]
    assert served.persons(updated_until="2026-03-01T12:00:00Z") == []


@pytest.mark.parametrize("matches", [False, True])
def test_null_update_times_match_no_range_by_default(serve: Serve, account: Account, matches: bool) -> None:
    account.create_person(name="Null", update_time=None)
    account.create_person(name="Set")
    served = serve(account, behaviours=Behaviours(null_update_time_matches_since=matches))
    for order in ("id", "update_time"):
        assert len(served.persons(sort_by=order)) == 2
        assert len(served.persons(sort_by=order, updated_since="2020-01-01T00:00:00Z")) == 1 + matches
        assert len(served.persons(sort_by=order, updated_until="2030-01-01T00:00:00Z")) == 1 + matches


def test_a_new_persons_update_time_can_be_null(serve: Serve, account: Account) -> None:
    served = serve(account, behaviours=Behaviours(update_time_on_create="null"))
    account.create_person(name="New")
    assert served.persons()[0]["update_time"] is None


def test_deleted_merged_and_hidden_persons_are_left_out(serve: Serve, account: Account) -> None:
    kept, deleted, merged, hidden, restored = (account.create_person(name=f"P {at}") for at in range(5))
    account.delete_person(deleted)
    account.merge_persons(kept, merged)
    account.hide_person(hidden)
    account.delete_person(restored)
    account.restore_person(restored)
    served = serve(account)
    everyone = f"{kept},{deleted},{merged},{hidden},{restored}"
    assert [row["id"] for row in served.persons()] == [kept, restored]
    assert [row["id"] for row in served.persons(ids=everyone)] == [kept, restored]
    assert [row["id"] for row in served.persons(sort_by="update_time")] == [kept, restored]
    account.show_person(hidden)
    assert [row["id"] for row in served.persons(ids=everyone)] == [kept, hidden, restored]


def test_everything_except_visibility_advances_update_time(
    serve: Serve, account: Account, clock: Clock
) -> None:
    person, other = account.create_person(name="One"), account.create_person(name="Two")
    served = serve(account)

    def updated() -> str:
        time: str = served.person(person)["update_time"]
        return time[-3:-1]

    clock.tick()
    account.edit_person(person, job_title="CEO")
    assert updated() == "01"
    clock.tick()
    account.hide_person(person)
    account.show_person(person)
    assert updated() == "01"
    account.merge_persons(person, other)
    assert updated() == "02"
    clock.tick()
    account.delete_person(person)
    assert updated() == "03"
    clock.tick()
    account.restore_person(person)
    assert updated() == "04"


def test_a_merge_fills_the_winners_gaps(serve: Serve, account: Account) -> None:
    code = account.add_field("Note", "varchar")
    organization = account.add_organization("Acme")
    winner = account.create_person(name="Win Ner", emails=["a@example.org"])
    loser = account.create_person(
        name="Los Er", emails=["b@example.org", "a@example.org"], phones=["+358401"], org_id=organization,
        custom_fields={code: "kept"},
    )  # fmt: skip
    account.merge_persons(winner, loser)
    (row,) = serve(account).persons()
    assert (row["name"], row["org_id"], row["custom_fields"]) == ("Win Ner", organization, {code: "kept"})
    assert [(each["value"], each["primary"]) for each in row["emails"]] == [
        ("a@example.org", True),
        ("b@example.org", False),
    ]
    assert [(each["value"], each["primary"]) for each in row["phones"]] == [("+358401", True)]


def test_filters_by_ids_owner_organisation_and_deal(serve: Serve, account: Account) -> None:
    owner, organization = account.add_user("Owner"), account.add_organization("Acme")
    account.create_person(name="A", owner_id=owner)
    account.create_person(name="B", org_id=organization)
    account.create_person(name="C", owner_id=owner, org_id=organization)
    served = serve(account)
    assert [row["name"] for row in served.persons(owner_id=owner)] == ["A", "C"]
    assert [row["name"] for row in served.walk(owner_id=owner, limit=1)] == ["A", "C"]
    assert [row["name"] for row in served.persons(org_id=organization)] == ["B", "C"]
    assert [row["name"] for row in served.persons(org_id=organization, owner_id=owner)] == ["C"]
    assert [row["name"] for row in served.persons(ids="3,1,3,77")] == ["A", "C"]
    assert [row["name"] for row in served.walk(ids="3,1,2", limit=2, sort_direction="desc")] == [
        "C",
        "B",
        "A",
    ]
    assert served.persons(deal_id=1) == []
    assert served.get("/api/v2/persons", filter_id=1).status_code == 404


def test_custom_fields_include_unset_keys_as_null(serve: Serve, account: Account) -> None:
    first = account.add_field("First", "varchar")
    person = account.create_person(name="A", custom_fields={first: "x"})
    second = account.add_field("Second", "double")
    served = serve(account)
    assert served.person(person)["custom_fields"] == {first: "x", second: None}
    account.delete_field(first)
    assert served.person(person)["custom_fields"] == {second: None}
    account.delete_field(second)
    assert served.person(person)["custom_fields"] is None
    account.behaviours = Behaviours(custom_fields_when_none="object")
    assert served.person(person)["custom_fields"] == {}


def test_the_custom_fields_parameter_narrows_the_object(serve: Serve, account: Account) -> None:
    codes = [account.add_field(f"F{at}", "varchar") for at in range(3)]
    account.create_person(name="A", custom_fields=dict.fromkeys(codes, "x"))
    (row,) = serve(account).persons(custom_fields=f"{codes[2]},{codes[0]},no_such_field")
    assert row["custom_fields"] == {codes[0]: "x", codes[2]: "x"}


def test_numbers_keep_all_their_digits(serve: Serve, account: Account) -> None:
    number, amount = account.add_field("N", "double"), account.add_field("M", "monetary")
    account.create_person(
        name="A",
        custom_fields={
            number: RawJson("9007199254740993.10"),
            amount: {"value": Decimal("1.50"), "currency": "EUR"},
        },
    )
    text = serve(account).get("/api/v2/persons").text
    assert f'"{number}":9007199254740993.10' in text
    assert f'"{amount}":{{"value":1.50,"currency":"EUR"}}' in text


def test_option_labels_come_on_request(serve: Serve, account: Account) -> None:
    enum, many = account.add_field("E", "enum", ["Gold", "Silver"]), account.add_field("S", "set", ["A", "B"])
    gold, a, b = 1, 3, 4
    account.create_person(name="A", custom_fields={enum: gold, many: [b, a]})
    account.create_person(name="B")
    account.delete_option(many, a)
    served = serve(account)
    plain, labelled = served.persons(), served.persons(include_option_labels="true")
    assert plain[0]["custom_fields"] == {enum: gold, many: [b, a]}
    assert labelled[0]["custom_fields"] == {
        enum: {"id": gold, "label": "Gold"},
        many: [{"id": b, "label": "B"}, {"id": a, "label": None}],
    }
    assert labelled[1]["custom_fields"] == {enum: None, many: None}
    assert served.persons(include_option_labels="false") == plain


def test_labels_come_on_request(serve: Serve, account: Account) -> None:
    account.add_label("Customer")
    account.create_person(name="A", label_ids=[1])
    served = serve(account)
    assert "labels" not in served.persons()[0]
    (row,) = served.persons(include_labels="true")
    assert row["label_ids"] == [1]
    assert row["labels"] == [{"id": 1, "label": "Customer"}]


def test_optional_fields_come_only_on_request(serve: Serve, account: Account) -> None:
    account.marketing = True
    account.create_person(name="A", open_deals_count=3, marketing_status="subscribed")
    served = serve(account)
    assert not {"open_deals_count", "marketing_status"} & served.persons()[0].keys()
    wanted = "open_deals_count,marketing_status,last_incoming_mail_time,smart_bcc_email"
    (row,) = served.persons(include_fields=wanted)
    assert [row[name] for name in wanted.split(",")] == [3, "subscribed", None, "example@pipedrivemail.com"]
    assert served.person(1, include_fields="notes_count")["notes_count"] == 0


def test_marketing_fields_need_the_marketing_app(serve: Serve, account: Account) -> None:
    account.create_person(name="A", marketing_status="subscribed")
    served = serve(account)
    (row,) = served.persons(include_fields="marketing_status,files_count")
    assert "marketing_status" not in row
    assert "files_count" in row
    account.behaviours = Behaviours(marketing_fields_without_app="reject")
    assert served.get("/api/v2/persons", include_fields="marketing_status").status_code == 400
    account.marketing = True
    assert served.persons(include_fields="marketing_status")[0]["marketing_status"] == "subscribed"


def test_contact_sync_fields_exist_only_with_contact_sync(serve: Serve, account: Account) -> None:
    account.create_person(name="A", birthday="1990-05-17")
    served = serve(account)
    assert "birthday" not in served.persons()[0]
    account.contact_sync = True
    (row,) = served.persons()
    sync = {key: row[key] for key in ("postal_address", "notes", "im", "birthday", "job_title")}
    assert sync == {
        "postal_address": None,
        "notes": None,
        "im": [],
        "birthday": "1990-05-17",
        "job_title": None,
    }
    account.behaviours = Behaviours(im_key="ims")
    assert "ims" in served.persons()[0]
    assert "im" not in served.persons()[0]


def test_times_may_have_milliseconds(serve: Serve, account: Account) -> None:
    account.create_person(name="A")
    (row,) = serve(account, behaviours=Behaviours(milliseconds=True)).persons()
    assert row["update_time"] == "2026-03-01T12:00:00.000Z"


def test_names_are_derived_from_their_parts_and_back(serve: Serve, account: Account) -> None:
    account.create_person(name="Maija Helena Virtanen")
    account.create_person(first_name="Maija", last_name="Virtanen")
    account.edit_person(1, name="Cher")
    rows = serve(account).persons()
    assert [(row["name"], row["first_name"], row["last_name"]) for row in rows] == [
        ("Cher", "Cher", None),
        ("Maija Virtanen", "Maija", "Virtanen"),
    ]


def test_a_raw_person_is_served_verbatim(serve: Serve, account: Account) -> None:
    account.create_person(name="A")
    account.put_raw_person(1, '{"id": 1, "emails" : 1e400}')
    account.put_raw_person(7, "null")
    served = serve(account)
    assert served.get("/api/v2/persons").text.startswith(
        '{"success":true,"data":[{"id": 1, "emails" : 1e400},null],'
    )
    assert account.create_person(name="Next") == 8
