"""Persons as JSON: a person's data, and its representation for the parameters of a call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from . import json_text
from .behaviours import Behaviours
from .fields import CONTACT_SYNC_FIELDS, MARKETING_FIELDS, CustomField, Option
from .json_text import NULL, encode, encode_object

OPTIONAL_DEFAULTS: Final[dict[str, bytes]] = {
    "marketing_status": b'"no_consent"',
    "doi_status": b'"not_sent"',
    "next_activity_id": NULL,
    "last_activity_id": NULL,
    "last_incoming_mail_time": NULL,
    "last_outgoing_mail_time": NULL,
}
"""The values of optional fields that nobody set; fields missing here are counts, which default to 0."""


@dataclass(frozen=True)
class View:
    """The parameters that affect how a person is rendered. `custom_fields` None means all."""

    optional: tuple[str, ...] = ()
    custom_fields: frozenset[str] | None = None
    option_labels: bool = False
    labels: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether only optional fields differ from a call without parameters."""
        return self.custom_fields is None and not self.option_labels and not self.labels


@dataclass
class Person:
    """One person; every value is JSON, so that it is served exactly as given.

    `members` are the fields at the root of the record, `custom` the custom fields by code, `optional` the fields
    that only `include_fields` shows. Times are epoch seconds. `raw` replaces the entire person.
    """

    id: int
    add_time: int
    update_time: int | None
    members: dict[str, bytes]
    custom: dict[str, bytes] = field(default_factory=dict)
    optional: dict[str, bytes] = field(default_factory=dict)
    deleted_at: int | None = None
    merged_into: int | None = None
    hidden: bool = False
    raw: bytes | None = None
    rendered: dict[View, tuple[int, bytes]] = field(default_factory=dict, repr=False)

    def related_id(self, key: str) -> int | None:
        """The id of the owner or organisation; None if there is none or it is malformed."""
        text = self.members.get(key, NULL)
        return int(text) if text.isdigit() else None


@dataclass(frozen=True)
class Layout:
    """Everything besides the person that affects how it is rendered; every change gets a new `revision`."""

    revision: int
    custom_fields: Sequence[CustomField]
    labels: Sequence[Option]
    behaviours: Behaviours
    contact_sync: bool
    marketing: bool
    smart_bcc_email: str

    @property
    def no_custom_fields(self) -> bytes:
        """The `custom_fields` of persons in an account without custom fields."""
        return NULL if self.behaviours.custom_fields_when_none == "null" else b"{}"

    def timestamp(self, seconds: int | None) -> bytes:
        if seconds is None:
            return NULL
        return b'"' + json_text.timestamp(seconds, self.behaviours.milliseconds).encode() + b'"'

    def optional_members(self, values: dict[str, bytes], names: Iterable[str]) -> dict[str, bytes]:
        """The requested optional fields that this account has."""
        shown = {}
        for name in names:
            if name in MARKETING_FIELDS and not self.marketing:
                continue
            if name == "smart_bcc_email" and name not in values:
                shown[name] = encode(self.smart_bcc_email)
            else:
                shown[name] = values.get(name, OPTIONAL_DEFAULTS.get(name, b"0"))
        return shown


def person_json(person: Person, layout: Layout, view: View) -> bytes:
    """The person as an element of a list or the `data` of a single answer; cached until it or the layout changes."""
    if person.raw is not None:
        return person.raw
    kept = person.rendered.get(view)
    if kept is not None and kept[0] == layout.revision:
        return kept[1]
    text = _render(person, layout, view)
    person.rendered[view] = (layout.revision, text)
    return text


def _render(person: Person, layout: Layout, view: View) -> bytes:
    members = {
        "id": encode(person.id),
        "name": NULL,
        "first_name": NULL,
        "last_name": NULL,
        "add_time": layout.timestamp(person.add_time),
        "update_time": layout.timestamp(person.update_time),
        "visible_to": b"3",
        "owner_id": NULL,
        "label_ids": b"[]",
        "org_id": NULL,
        "is_deleted": b"true" if person.deleted_at is not None else b"false",
        "picture_id": NULL,
        "phones": b"[]",
        "emails": b"[]",
    }
    members.update({key: text for key, text in person.members.items() if key not in CONTACT_SYNC_FIELDS})
    if layout.contact_sync:
        for key in CONTACT_SYNC_FIELDS:
            unset = b"[]" if key == "im" else NULL
            members[layout.behaviours.im_key if key == "im" else key] = person.members.get(key, unset)
    if "custom_fields" not in person.members:
        members["custom_fields"] = _custom_fields(person, layout, view)
    members.update(layout.optional_members(person.optional, view.optional))
    if view.labels:
        ids = json_text.decode(members["label_ids"])
        members["labels"] = encode([_labelled(each, layout.labels) for each in ids or []])
    return encode_object(members)


def _custom_fields(person: Person, layout: Layout, view: View) -> bytes:
    if not layout.custom_fields:
        return layout.no_custom_fields
    shown = {}
    for each in layout.custom_fields:
        if view.custom_fields is None or each.code in view.custom_fields:
            text = person.custom.get(each.code, NULL)
            if view.option_labels and each.field_type in ("enum", "set"):
                text = _with_labels(text, each)
            shown[each.code] = text
    return encode_object(shown)


def _with_labels(text: bytes, custom: CustomField) -> bytes:
    value = json_text.decode(text)
    if isinstance(value, list):
        return encode([_labelled(each, custom.options) for each in value])
    return text if value is None else encode(_labelled(value, custom.options))


def _labelled(option_id: object, options: Sequence[Option]) -> dict[str, Any]:
    return {"id": option_id, "label": next((each.label for each in options if each.id == option_id), None)}
