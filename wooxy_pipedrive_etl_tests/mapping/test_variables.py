"""Keys, labels and kinds of the variables that a field catalogue yields."""

from __future__ import annotations

import pytest

from wooxy_pipedrive_etl.mapping.variables import pipedrive_variables
from wooxy_pipedrive_etl_tests.mapping.value_cases import field

CODE = "a" * 40
ADDRESS_LABELS = {
    None: "F",
    "street_number": "F/Street number",
    "route": "F/Route",
    "subpremise": "F/Subpremise",
    "sublocality": "F/Sublocality",
    "locality": "F/Locality",
    "admin_area_level_1": "F/Admin area level 1",
    "admin_area_level_2": "F/Admin area level 2",
    "country": "F/Country",
    "postal_code": "F/Postal code",
    "formatted_address": "F/Formatted address",
}
POINT_LABELS = {None: "F", "work": "F/Work", "home": "F/Home", "mobile": "F/Mobile", "other": "F/Other"}


@pytest.mark.parametrize(
    ("field_type", "parts"),
    [
        ("varchar", {None: "F"}),
        ("phone", {None: "F"}),
        ("double", {None: "F"}),
        ("date", {None: "F"}),
        ("enum", {None: "F"}),
        ("set", {None: "F"}),
        ("people", {None: "F"}),
        ("never_heard_of", {None: "F"}),
        ("monetary", {None: "F", "currency": "F/Currency"}),
        ("daterange", {"start": "F/Start", "end": "F/End"}),
        ("time", {None: "F", "timezone": "F/Timezone"}),
        ("timerange", {"start": "F/Start", "end": "F/End", "timezone": "F/Timezone"}),
        ("address", ADDRESS_LABELS),
    ],
)
def test_parts_of_custom_fields(field_type: str, parts: dict[str | None, str]) -> None:
    variables = pipedrive_variables([field(CODE, field_type, name="F")])
    expected = [(CODE if part is None else f"{CODE}/{part}", label) for part, label in parts.items()]
    assert [(each.key, each.label) for each in variables] == expected


@pytest.mark.parametrize(
    ("spelling", "key", "parts"),
    [
        ("email", "emails", POINT_LABELS),
        ("emails", "emails", POINT_LABELS),
        ("phone", "phones", POINT_LABELS),
        ("phones", "phones", POINT_LABELS),
        ("label", "label_ids", {None: "F"}),
        ("labels", "label_ids", {None: "F"}),
        ("label_ids", "label_ids", {None: "F"}),
        ("ims", "im", {None: "F"}),
        ("im", "im", {None: "F"}),
        ("postal_address", "postal_address", ADDRESS_LABELS),
    ],
)
def test_system_fields_use_the_records_keys(spelling: str, key: str, parts: dict[str | None, str]) -> None:
    variables = pipedrive_variables([field(spelling, "varchar", name="F", custom=False)])
    expected = [(key if part is None else f"{key}/{part}", label) for part, label in parts.items()]
    assert [(each.key, each.label) for each in variables] == expected
    assert {each.field_code for each in variables} == {key}


def test_spellings_of_one_field_make_one_variable() -> None:
    variables = pipedrive_variables(
        [
            field("label", "enum", name="Label", custom=False),
            field("label_ids", "set", name="Labels", custom=False),
            field("b" * 40, "varchar", name="Same"),
            field("c" * 40, "varchar", name="Same"),
        ]
    )
    assert [each.key for each in variables] == ["label_ids", "b" * 40, "c" * 40]


def test_fields_without_contact_data_are_left_out() -> None:
    rows = [
        field("picture_id", "picture", custom=False),
        field("picture", "int", custom=False),
        field("visible_to", "visible_to", custom=False),
        field("visible_to", "varchar_options", custom=False),
        field("name", "varchar", custom=False),
        field("d" * 40, "picture"),
    ]
    assert [each.key for each in pipedrive_variables(rows)] == ["name", "d" * 40]


def test_awkward_field_names_become_safe_labels() -> None:
    names = ["  ", "nul\0 half\ud800 line\nbreak", "Ünï 漢字 🎈"]
    rows = [field(f"{i:040x}", "varchar", name=name) for i, name in enumerate(names)]
    labels = [each.label for each in pipedrive_variables(rows)]
    assert labels == ["0" * 40, "nul  half  line break", "Ünï 漢字 🎈"]


def test_no_fields_no_variables() -> None:
    assert pipedrive_variables([]) == []


@pytest.mark.parametrize("mark", ["\u061c", "\u200e", "\u200f", "\u202e", "\u202a", "\u2066", "\u2069"])
def test_labels_lose_bidirectional_control_characters(mark: str) -> None:
    (variable,) = pipedrive_variables([field("x", "varchar", name=f"a{mark}b")])
    assert variable.label == "ab"
