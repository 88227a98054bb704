"""`personFields`: every kind of field, options, quirks, and changes that do not affect persons."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from wooxy_pipedrive_etl.sandbox.pipedrive import Account, Behaviours, InvalidValueError, UnknownRecordError
from wooxy_pipedrive_etl.sandbox.pipedrive.fields import CUSTOM_FIELD_TYPES

from .served import Clock, Served

Serve = Callable[..., Served]
CATALOGUE = "/api/v2/personFields"


def by_code(served: Served) -> dict[str, dict[str, Any]]:
    return {row["field_code"]: row for row in served.data(CATALOGUE, limit=500)}


def test_system_fields_and_optional_ones_are_marked(serve: Serve) -> None:
    rows = by_code(serve())
    assert rows["name"] == {
        "field_name": "Name",
        "field_code": "name",
        "description": None,
        "field_type": "varchar",
        "options": None,
        "subfields": None,
        "is_custom_field": False,
        "is_optional_response_field": False,
        "is_writable": True,
    }
    assert rows["open_deals_count"]["is_optional_response_field"] is True
    assert rows["update_time"]["field_type"] == "date"
    assert not {"birthday", "marketing_status"} & rows.keys()


def test_contact_sync_and_marketing_add_their_fields(serve: Serve, account: Account) -> None:
    account.contact_sync = account.marketing = True
    rows = by_code(serve(account))
    assert {"postal_address", "notes", "im", "birthday", "job_title"} <= rows.keys()
    assert [option["id"] for option in rows["marketing_status"]["options"]] == [
        "no_consent", "unsubscribed", "subscribed", "archived",
    ]  # fmt: skip


def test_every_creatable_type_becomes_a_custom_field(serve: Serve, account: Account) -> None:
    codes = {account.add_field(f"Of {each}", each): each for each in CUSTOM_FIELD_TYPES}
    rows = by_code(serve(account))
    assert len(codes) == 16
    for code, field_type in codes.items():
        row = rows[code]
        assert len(code) == 40
        assert (row["field_type"], row["field_name"], row["is_custom_field"]) == (
            field_type,
            f"Of {field_type}",
            True,
        )
        assert (row["options"] == []) == (field_type in ("enum", "set"))
        assert (row["subfields"] is not None) == (field_type in ("monetary", "address"))
    with pytest.raises(InvalidValueError, match="can't be of type 'int'"):
        account.add_field("No", "int")


def test_options_have_integer_ids_in_added_order(serve: Serve, account: Account) -> None:
    code = account.add_field("Tier", "enum", ["Gold", "Silver"])
    third = account.add_option(code, "Bronze, or so")
    account.rename_option(code, 1, "Платина")
    account.delete_option(code, 2)
    options = by_code(serve(account))[code]["options"]
    assert [(each["id"], each["label"]) for each in options] == [(1, "Платина"), (third, "Bronze, or so")]


def test_field_changes_do_not_change_persons(serve: Serve, account: Account, clock: Clock) -> None:
    code = account.add_field("Tier", "enum", ["Gold", "Silver"])
    person = account.create_person(name="A", custom_fields={code: 1})
    served = serve(account)
    before = served.person(person)
    clock.tick()
    account.rename_field(code, "Level")
    account.rename_option(code, 1, "Best")
    account.delete_option(code, 1)
    assert served.person(person) == before
    assert by_code(served)[code]["field_name"] == "Level"
    account.delete_field(code)
    assert code not in by_code(served)
    assert served.person(person) == {**before, "custom_fields": None}


def test_the_catalogue_is_paged(serve: Serve, account: Account) -> None:
    codes = [account.add_field("Same name", "varchar") for _ in range(5)]
    served = serve(account)
    walked = served.walk(CATALOGUE, limit=3)
    assert walked == served.data(CATALOGUE, limit=500)
    assert [row["field_code"] for row in walked[-5:]] == codes


def test_one_field_by_code_and_extra_namespaces(serve: Serve, account: Account) -> None:
    code = account.add_field("Budget", "monetary")
    served = serve(account)
    assert served.data(f"{CATALOGUE}/{code}") == by_code(served)[code]
    assert [each["field_code"] for each in served.data(f"{CATALOGUE}/{code}")["subfields"]] == [
        "value",
        "currency",
    ]
    row = served.data(f"{CATALOGUE}/name", include_fields="ui_visibility,required_fields")
    assert {"ui_visibility", "required_fields"} <= row.keys()
    assert served.get(f"{CATALOGUE}/unknown").json()["error"] == "Field not found"
    assert served.get(f"{CATALOGUE}/unknown").status_code == 404


def test_system_codes_can_be_spelled_as_in_v1(serve: Serve, account: Account) -> None:
    account.contact_sync = True
    served = serve(account)
    assert {"emails", "phones", "label_ids", "im"} <= by_code(served).keys()
    account.behaviours = Behaviours(system_codes="v1", im_key="ims")
    rows = by_code(served)
    assert {"email", "phone", "label", "ims"} <= rows.keys()
    assert not {"emails", "phones", "label_ids", "im"} & rows.keys()


def test_ids_of_built_in_options_can_be_strings(serve: Serve, account: Account) -> None:
    label = account.add_label("Customer", "red")
    served = serve(account)
    assert by_code(served)["label_ids"]["options"] == [{"id": label, "label": "Customer", "color": "red"}]
    account.behaviours = Behaviours(string_option_ids=True)
    rows = by_code(served)
    assert rows["label_ids"]["options"] == [{"id": str(label), "label": "Customer", "color": "red"}]
    assert {each["id"] for each in rows["visible_to"]["options"]} == {"1", "3", "5", "7"}


def test_labels_can_be_renamed_and_deleted(serve: Serve, account: Account) -> None:
    first, second = account.add_label("A"), account.add_label("B")
    person = account.create_person(name="A", label_ids=[first, second])
    account.rename_label(first, "C")
    account.delete_label(second)
    served = serve(account)
    assert [each["label"] for each in by_code(served)["label_ids"]["options"]] == ["C"]
    assert served.person(person)["label_ids"] == [first, second]


def test_unknown_fields_and_options_are_named(account: Account) -> None:
    code = account.add_field("Tier", "enum", ["Gold"])
    with pytest.raises(UnknownRecordError, match="'nothing'"):
        account.rename_field("nothing", "X")
    with pytest.raises(UnknownRecordError, match="no option 9"):
        account.delete_option(code, 9)
    with pytest.raises(InvalidValueError, match="has no options"):
        account.add_option(account.add_field("Text", "text"), "X")
    with pytest.raises(InvalidValueError, match="already"):
        account.add_field("Twice", "text", code=code)
