"""Reads the values for creating or editing a person, as strictly as Pipedrive, and encodes them as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from .errors import InvalidValueError
from .fields import CONTACT_SYNC_FIELDS, OPTIONAL_FIELDS, CustomField
from .json_text import RawJson, encode

_MEMBERS: Final = frozenset({
    "name", "first_name", "last_name", "emails", "phones", "owner_id", "org_id", "label_ids",
    "visible_to", "picture_id", *CONTACT_SYNC_FIELDS,
})  # fmt: skip
_TEXT_TYPES: Final = frozenset({"varchar", "varchar_auto", "text", "phone", "date"})
_ID_TYPES: Final = frozenset({"user", "org", "people"})


@dataclass
class PersonValues:
    """The given values as JSON, grouped by where a person stores them."""

    members: dict[str, bytes] = field(default_factory=dict)
    custom: dict[str, bytes] = field(default_factory=dict)
    optional: dict[str, bytes] = field(default_factory=dict)


def read_person_values(
    values: Mapping[str, Any], custom_field: Callable[[str], CustomField | None], *, validate: bool
) -> PersonValues:
    """Takes values as in a v2 person's JSON; emails and phones may be plain strings, of which the first is primary.

    With `validate=False` anything is allowed: unknown members are stored at the root, all values unchanged.
    Raises InvalidValueError.
    """
    read = PersonValues()
    for key, value in _with_derived_names(values).items():
        if key == "custom_fields" and isinstance(value, Mapping):
            for code, custom_value in value.items():
                custom = custom_field(code)
                if validate:
                    _check_custom(code, custom, custom_value)
                read.custom[code] = encode(custom_value)
        elif key in OPTIONAL_FIELDS:
            read.optional[key] = encode(value)
        elif key in ("emails", "phones") and isinstance(value, (list, tuple)):
            read.members[key] = encode([_contact_point(each, at == 0) for at, each in enumerate(value)])
        else:
            if validate:
                _check_member(key, value)
            read.members[key] = encode(value)
    return read


def _contact_point(value: Any, first: bool) -> Any:
    return {"label": "work", "value": value, "primary": first} if isinstance(value, str) else value


def _with_derived_names(values: Mapping[str, Any]) -> dict[str, Any]:
    """As in Pipedrive, the name is derived from its parts, or the parts from the name."""
    derived = dict(values)
    name = values.get("name")
    if "first_name" in values or "last_name" in values:
        if "name" not in values and "first_name" in values and "last_name" in values:
            parts = (values["first_name"], values["last_name"])
            derived["name"] = " ".join(part for part in parts if isinstance(part, str) and part)
    elif isinstance(name, str):
        first, _, last = name.partition(" ")
        derived["first_name"] = first
        derived["last_name"] = last.strip() or None
    return derived


def _check_member(key: str, value: Any) -> None:
    if key not in _MEMBERS:
        raise InvalidValueError(f"Persons have no field {key!r}.")
    if isinstance(value, RawJson) or value is None:
        return
    kinds: type | tuple[type, ...] = str
    if key in ("owner_id", "org_id", "visible_to", "picture_id"):
        kinds = int
    elif key in ("label_ids", "emails", "phones", "im"):
        kinds = (list, tuple)
    elif key == "postal_address":
        kinds = Mapping
    if not isinstance(value, kinds) or isinstance(value, bool):
        raise InvalidValueError(f"{key} of a person can't be {type(value).__name__}.")


def _check_custom(code: str, custom: CustomField | None, value: Any) -> None:
    if custom is None:
        raise InvalidValueError(f"The account has no custom person field {code!r}.")
    if value is None or isinstance(value, RawJson):
        return
    if not _fits(custom, value):
        raise InvalidValueError(
            f"Field {custom.name!r} ({custom.field_type}) can't hold this {type(value).__name__}."
        )


def _fits(custom: CustomField, value: Any) -> bool:
    kind = custom.field_type
    if isinstance(value, bool):
        return False
    if kind in _TEXT_TYPES:
        return isinstance(value, str)
    if kind == "double":
        return isinstance(value, (int, float, Decimal))
    if kind in _ID_TYPES:
        return isinstance(value, int)
    if kind == "enum":
        return custom.option_label(value) is not None
    if kind == "set":
        is_list = isinstance(value, (list, tuple)) and len(value) > 0
        return is_list and all(custom.option_label(each) is not None for each in value)
    return isinstance(value, Mapping) and "value" in value
