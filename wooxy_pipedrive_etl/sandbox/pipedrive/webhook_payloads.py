"""What webhooks v2 send about a person. The shape differs from the API's: every custom field has a type."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from .fields import ADDRESS_PARTS, CustomField
from .json_text import NULL, decode, encode, encode_object
from .rendering import Layout, Person

Action = Literal["create", "change", "delete"]

_NOT_IN_PREVIOUS: Final = ("update_time", "custom_fields")
_ID_TYPES: Final = ("enum", "user", "org", "people")
_PARTS: Final[dict[str, dict[str, str]]] = {
    "monetary": {"value": "value", "currency": "currency"},
    "daterange": {"from": "value", "until": "until"},
    "time": {"value": "value", "timezone_id": "timezone_id"},
    "timerange": {"from": "value", "until": "until", "timezone_id": "timezone_id"},
    "address": {part: part for part in ("value", *ADDRESS_PARTS)},
}
"""For values that are objects, the webhook's key of each part, and the API's."""


@dataclass(frozen=True)
class Event:
    """One change of a person, ready for any number of webhooks; `meta` omits what differs between deliveries."""

    id: str
    action: Action
    person_id: int
    meta: Mapping[str, Any]
    data: bytes
    previous: bytes

    def body(self, webhook_id: int, owner_id: int, attempt: int) -> bytes:
        """The JSON of one delivery."""
        whole = {
            **self.meta,
            "webhook_id": str(webhook_id),
            "webhook_owner_id": str(owner_id),
            "attempt": attempt,
        }
        return encode_object({"meta": encode(whole), "data": self.data, "previous": self.previous})


@dataclass(frozen=True)
class PersonState:
    """A person at one moment as webhooks show it; `custom` has the parts of the member `custom_fields`."""

    members: Mapping[str, bytes]
    custom: Mapping[str, bytes]
    raw: bytes | None = None

    def json(self) -> bytes:
        return encode_object(self.members) if self.raw is None else self.raw


def person_state(person: Person, layout: Layout) -> PersonState:
    """A selection of the person's fields; custom fields without a value are left out."""
    if person.raw is not None:
        return PersonState({}, {}, person.raw)
    given = person.members
    custom = {
        each.code: custom_value(each, text)
        for each in layout.custom_fields
        if (text := person.custom.get(each.code, NULL)) != NULL
    }
    labels = given.get("label_ids", b"[]")
    members = {
        "id": encode(person.id),
        "name": given.get("name", NULL),
        "first_name": given.get("first_name", NULL),
        "last_name": given.get("last_name", NULL),
        "org_id": given.get("org_id", NULL),
        "owner_id": given.get("owner_id", NULL),
        "label": _first(labels),
        "label_ids": labels,
        "emails": given.get("emails", b"[]"),
        "phones": given.get("phones", b"[]"),
        "custom_fields": given.get("custom_fields", encode_object(custom)),
        "visible_to": _as_text(given.get("visible_to", b"3")),
        "add_time": layout.timestamp(person.add_time),
        "update_time": layout.timestamp(person.update_time),
    }
    return PersonState(members, custom)


def custom_value(custom: CustomField, text: bytes) -> bytes:
    """A custom field's value, which must not be null, with its type; a malformed value stays as it is."""
    kind = custom.field_type
    tag = {"type": encode(kind)}
    if kind in _ID_TYPES:
        return encode_object({**tag, "id": text})
    # A value stored without validation may not even be JSON.
    with contextlib.suppress(ValueError):
        if kind == "set" and text.startswith(b"["):
            return encode_object({**tag, "values": encode([{"id": each} for each in decode(text)])})
        if kind in _PARTS and text.startswith(b"{"):
            parts = decode(text)
            shown = {key: encode(parts[part]) for key, part in _PARTS[kind].items() if part in parts}
            return encode_object({**tag, **shown})
    return encode_object({**tag, "value": text})


def previous_json(before: PersonState, after: PersonState) -> bytes:
    """The previous values of the fields that changed; those of all fields if either state is raw."""
    if before.raw is not None or after.raw is not None:
        return before.json()
    changed = {
        key: text
        for key, text in before.members.items()
        if key not in _NOT_IN_PREVIOUS and after.members[key] != text
    }
    codes = dict.fromkeys([*before.custom, *after.custom])
    custom = {
        code: before.custom.get(code, NULL)
        for code in codes
        if before.custom.get(code) != after.custom.get(code)
    }
    if custom:
        changed["custom_fields"] = encode_object(custom)
    return encode_object(changed)


def meta(
    action: Action,
    person_id: int,
    *,
    moment: datetime,
    company_id: int,
    host: str,
    user_id: int,
    permitted_user_ids: list[int],
    correlation_id: str,
    merged: Mapping[str, int],
) -> dict[str, Any]:
    """An event's metadata, with all ids as text; for a merge, `merged` has `merged_to_id` or `merged_from_id`."""
    return {
        "action": action,
        "entity": "person",
        "company_id": str(company_id),
        "correlation_id": correlation_id,
        "entity_id": str(person_id),
        "id": str(uuid.uuid4()),
        "is_bulk_edit": False,
        "timestamp": timestamp(moment),
        "type": "general",
        "user_id": str(user_id),
        "version": "2.0",
        "change_source": "app",
        "host": host,
        "permitted_user_ids": [str(each) for each in permitted_user_ids],
        **{key: str(each) for key, each in merged.items()},
    }


def timestamp(moment: datetime) -> str:
    """With milliseconds, like all times of webhooks."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _first(labels: bytes) -> bytes:
    with contextlib.suppress(ValueError):
        ids = decode(labels)
        return encode(ids[0]) if isinstance(ids, list) and ids else NULL
    return NULL


def _as_text(number: bytes) -> bytes:
    return b'"' + number + b'"' if number.isdigit() else number
