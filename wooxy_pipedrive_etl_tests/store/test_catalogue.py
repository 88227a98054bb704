from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from wooxy_pipedrive_etl.person_fields import PersonField
from wooxy_pipedrive_etl.store.catalogue import (
    read_fields,
    recent_schema_changes,
    save_fields,
)
from wooxy_pipedrive_etl.store.connections import ConnectionRecord

from .conftest import new_connection

Options = list[dict[str, Any]]

COLOUR: Options = [{"id": 12, "label": "Red"}, {"id": 3, "label": "Blue"}, {"id": 7, "label": "Green"}]


def _fields(*rows: tuple[str, str, str, Options | None]) -> list[PersonField]:
    return [
        PersonField(code, name, kind, len(code) > 9, code == "x", options)
        for code, name, kind, options in rows
    ]


NAME = ("name", "Name", "varchar", None)


def _kinds(db: sa.Connection, record: ConnectionRecord, *rows: Any) -> list[tuple[str, str]]:
    return [(change.kind, change.message) for change in save_fields(db, record.id, _fields(*rows))]


def _options(db: sa.Connection, record: ConnectionRecord, code: str) -> Options | None:
    (options,) = (field.options for field in read_fields(db, record.id) if field.field_code == code)
    return options


def test_the_catalogue_keeps_its_order_and_types(db: sa.Connection, record: ConnectionRecord) -> None:
    fields = _fields(
        ("zeta", "Я 🎈 '\\", "varchar", None),
        NAME,
        ("0123456789", "Colour", "enum", COLOUR),
        ("x", "Flags", "boolean", [{"id": True, "label": "Yes"}, {"id": "no", "label": "No"}]),
        ("y", "Empty", "set", []),
    )
    save_fields(db, record.id, fields)
    assert read_fields(db, record.id) == fields
    assert read_fields(db, record.id, gone=True) == []


def test_the_first_catalogue_is_not_a_change(db: sa.Connection, record: ConnectionRecord) -> None:
    assert _kinds(db, record, NAME, ("c", "Colour", "enum", COLOUR)) == []
    assert recent_schema_changes(db, record.id) == []


def test_the_same_catalogue_is_not_a_change(db: sa.Connection, record: ConnectionRecord) -> None:
    _kinds(db, record, NAME, ("c", "Colour", "enum", COLOUR))
    assert _kinds(db, record, ("c", "Colour", "enum", COLOUR[::-1]), NAME) == []


@pytest.mark.parametrize(
    ("before", "now", "change"),
    [
        (None, ("c", "Colour", "enum", COLOUR), ("new_field", "The field Colour is new.")),
        (("c", "Colour", "text", None), None, ("gone_field", "The field Colour is gone from Pipedrive.")),
        (
            ("c", "Colour", "text", None),
            ("c", "Shade", "text", None),
            ("renamed_field", "The field Colour is now called Shade."),
        ),
        (
            ("c", "Colour", "text", None),
            ("c", "Colour", "int", None),
            ("retyped_field", "The field Colour changed its type from text to int."),
        ),
        (
            ("c", "Colour", "enum", COLOUR[:2]),
            ("c", "Colour", "enum", COLOUR),
            ("new_option", "The field Colour has a new option, Green."),
        ),
        (
            ("c", "Colour", "enum", COLOUR[:1]),
            ("c", "Colour", "enum", [{"id": 12, "label": "Crimson"}]),
            ("renamed_option", "The option Red of the field Colour is now called Crimson."),
        ),
        (
            ("c", "Colour", "enum", COLOUR),
            ("c", "Colour", "enum", COLOUR[1:]),
            ("gone_option", "The option Red of the field Colour is gone."),
        ),
    ],
)
def test_each_kind_of_change_is_recorded_once(
    db: sa.Connection, record: ConnectionRecord, before: Any, now: Any, change: tuple[str, str]
) -> None:
    _kinds(db, record, NAME, *[row for row in [before] if row])
    current = [NAME, *[row for row in [now] if row]]
    assert _kinds(db, record, *current) == [change]
    assert _kinds(db, record, *current) == []
    recorded = recent_schema_changes(db, record.id)
    assert [(row.kind, row.message, row.field_code) for row in recorded] == [(*change, "c")]


def test_recorded_changes_come_newest_first(db: sa.Connection, record: ConnectionRecord) -> None:
    for name in ("A", "B", "C", "D"):
        _kinds(db, record, ("name", name, "varchar", None))
    newest = [row.message for row in recent_schema_changes(db, record.id, limit=2)]
    assert newest == ["The field C is now called D.", "The field B is now called C."]


def test_a_deleted_field_is_kept_and_may_return(db: sa.Connection, record: ConnectionRecord) -> None:
    colour = ("c", "Colour", "enum", COLOUR)
    _kinds(db, record, colour, NAME)
    _kinds(db, record, NAME)
    assert [field.field_code for field in read_fields(db, record.id)] == ["name"]
    assert [field[:3] for field in read_fields(db, record.id, gone=True)] == [("c", "Colour", "enum")]
    assert _kinds(db, record, NAME) == []
    renamed = ("c", "Shade", "enum", COLOUR[:2])
    assert _kinds(db, record, NAME, renamed) == [
        ("returned_field", "The field Shade is back."),
        ("renamed_field", "The field Colour is now called Shade."),
        ("gone_option", "The option Green of the field Shade is gone."),
    ]
    assert read_fields(db, record.id, gone=True) == []
    assert _options(db, record, "c") == [*COLOUR[:2], {"id": 7, "label": "Green", "gone": True}]


def test_options_keep_their_order_and_last_labels(db: sa.Connection, record: ConnectionRecord) -> None:
    _kinds(db, record, ("c", "Colour", "set", COLOUR))
    _kinds(db, record, ("c", "Colour", "set", [{"id": 7, "label": "Lime"}, {"id": 12, "label": "Red"}]))
    blue = {"id": 3, "label": "Blue", "gone": True}
    lime = {"id": 7, "label": "Lime"}
    assert _options(db, record, "c") == [lime, {"id": 12, "label": "Red"}, blue]
    _kinds(db, record, ("c", "Colour", "set", None))
    assert _options(db, record, "c") == [
        {**lime, "gone": True},
        {"id": 12, "label": "Red", "gone": True},
        blue,
    ]
    assert _kinds(db, record, ("c", "Colour", "set", [{"id": 3, "label": "Navy"}])) == [
        ("new_option", "The field Colour has a new option, Navy.")
    ]
    assert _options(db, record, "c") == [
        {"id": 3, "label": "Navy"},
        {**lime, "gone": True},
        {"id": 12, "label": "Red", "gone": True},
    ]


def test_a_retyped_field_without_options_has_none(db: sa.Connection, record: ConnectionRecord) -> None:
    """The value "12" of a text field is not an option."""
    _kinds(db, record, ("c", "Colour", "enum", COLOUR))
    _kinds(db, record, ("c", "Colour", "varchar", None))
    assert _options(db, record, "c") is None


def test_a_retyped_field_with_options_keeps_deleted_ones(db: sa.Connection, record: ConnectionRecord) -> None:
    _kinds(db, record, ("c", "Colour", "enum", COLOUR))
    _kinds(db, record, ("c", "Colour", "set", COLOUR[1:]))
    assert _options(db, record, "c") == [*COLOUR[1:], {"id": 12, "label": "Red", "gone": True}]


def test_an_unstated_type_keeps_the_previous_one(db: sa.Connection, record: ConnectionRecord) -> None:
    _kinds(db, record, NAME, ("c", "Colour", "enum", COLOUR))
    assert _kinds(db, record, NAME, ("c", "Colour", "", COLOUR)) == []
    _kinds(db, record, NAME)
    returned = [("returned_field", "The field Colour is back.")]
    assert _kinds(db, record, NAME, ("c", "Colour", "", COLOUR)) == returned
    assert [field.field_type for field in read_fields(db, record.id)] == ["varchar", "enum"]
    assert _kinds(db, record, NAME, ("c", "Colour", "", COLOUR), ("new", "New", "", None)) == [
        ("new_field", "The field New is new.")
    ]


def test_unstorable_text_is_replaced_and_reported_once(db: sa.Connection, record: ConnectionRecord) -> None:
    odd = ("c", "Col\x00our \ud83d", "enum", [{"id": 1, "label": "\ud800Red"}])
    _kinds(db, record, NAME)
    assert _kinds(db, record, NAME, odd) == [("new_field", "The field Col�our � is new.")]
    assert _kinds(db, record, NAME, odd) == []
    assert _options(db, record, "c") == [{"id": 1, "label": "�Red"}]


def test_saving_does_not_change_the_callers_fields(db: sa.Connection, record: ConnectionRecord) -> None:
    _kinds(db, record, ("c", "Colour", "enum", COLOUR))
    fields = _fields(("c", "Colour", "enum", COLOUR[:1]))
    save_fields(db, record.id, fields)
    assert fields == _fields(("c", "Colour", "enum", COLOUR[:1]))


def test_connections_have_their_own_catalogues(db: sa.Connection, record: ConnectionRecord) -> None:
    other = new_connection(db, "bolt", "news.example.com")
    _kinds(db, record, NAME)
    assert _kinds(db, other, ("c", "Colour", "enum", COLOUR)) == []
    _kinds(db, record, ("name", "Full name", "varchar", None))
    assert [field.field_code for field in read_fields(db, other.id)] == ["c"]
    assert recent_schema_changes(db, other.id) == []
