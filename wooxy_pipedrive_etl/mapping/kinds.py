"""The kinds of fields: the one table of what Pipedrive's field types and system fields are, and how they are read.

It is data alone and loads nothing; `values.py` has the functions that read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

PlainRead = Literal["text", "number", "boolean", "date", "time", "json"]
Read = PlainRead | Literal["option", "options", "name", "email", "phone", "messenger"]


class Part(NamedTuple):
    """A variable that a field yields.

    * name: its part in the variable's key; None for the variable that carries the field's own name
    * read: how its values are read (`values.reader`)
    * member: what the record's object calls it, where the values are objects
    """

    name: str | None
    read: Read
    member: str = ""


class SystemField(NamedTuple):
    """A field that every account has, by the name under which a person's record carries it. `spellings`: other names
    that the catalogue and Pipedrive's documentation give it."""

    name: str
    spellings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kind:
    """What fields of some types have in common.

    * types: the catalogue's field types
    * system_fields: those that are of this kind whatever type the catalogue gives them
    * parts: the variables that a field yields
    * shape: what a value is, where it is well formed: anything plain, an object with a member for each part, or a list
      of points (values with a label, such as e-mail addresses)
    * refers_to: what a value is the id of, and so shown by its name; None where it says all by itself
    * suggested_format: the format of a new variable of the list
    """

    name: str
    parts: tuple[Part, ...]
    types: tuple[str, ...] = ()
    system_fields: tuple[SystemField, ...] = ()
    shape: Literal["plain", "object", "points"] = "plain"
    refers_to: str | None = None
    suggested_format: Literal["String", "DateTime"] = "String"

    @property
    def is_reference(self) -> bool:
        return self.refers_to is not None

    def part(self, name: str | None) -> Part:
        return next(part for part in self.parts if part.name == name)


def _whole(read: Read) -> tuple[Part, ...]:
    """A field is one variable."""
    return (Part(None, read),)


def _points(read: Read) -> tuple[Part, ...]:
    """The field's best point, and the best of each label."""
    return tuple(Part(label, read) for label in (None, "work", "home", "mobile", "other"))


_ADDRESS_PARTS = (
    *("street_number", "route", "subpremise", "sublocality", "locality"),
    *("admin_area_level_1", "admin_area_level_2", "country", "postal_code", "formatted_address"),
)
_TABLE = (
    Kind(
        "text",
        _whole("text"),
        types=("varchar", "varchar_auto", "text", "phone", "status", "varchar_options"),
    ),
    Kind("number", _whole("number"), types=("int", "double")),
    Kind(
        "monetary",
        (Part(None, "number", "value"), Part("currency", "text", "currency")),
        types=("monetary",),
        shape="object",
    ),
    Kind("boolean", _whole("boolean"), types=("boolean",)),
    Kind("date", _whole("date"), types=("date",), suggested_format="DateTime"),
    Kind(
        "daterange",
        (Part("start", "date", "value"), Part("end", "date", "until")),
        types=("daterange",),
        shape="object",
        suggested_format="DateTime",
    ),
    Kind(
        "time",
        (Part(None, "time", "value"), Part("timezone", "text", "timezone_name")),
        types=("time",),
        shape="object",
    ),
    Kind(
        "timerange",
        (
            Part("start", "time", "value"),
            Part("end", "time", "until"),
            Part("timezone", "text", "timezone_name"),
        ),
        types=("timerange",),
        shape="object",
    ),
    Kind("enum", _whole("option"), types=("enum",)),
    Kind(
        "set",
        _whole("options"),
        types=("set", "labels"),
        system_fields=(SystemField("label_ids", ("label", "labels")),),
    ),
    Kind(
        "user",
        _whole("name"),
        types=("user",),
        system_fields=(SystemField("owner_id"),),
        refers_to="a user",
    ),
    Kind(
        "org",
        _whole("name"),
        types=("org",),
        system_fields=(SystemField("org_id"),),
        refers_to="an organisation",
    ),
    Kind("person", _whole("name"), types=("people", "person"), refers_to="a person"),
    Kind(
        "address",
        (Part(None, "text", "value"), *(Part(name, "text", name) for name in _ADDRESS_PARTS)),
        types=("address",),
        system_fields=(SystemField("postal_address"),),
        shape="object",
    ),
    Kind(
        "emails",
        _points("email"),
        system_fields=(SystemField("emails", ("email",)),),
        shape="points",
    ),
    Kind(
        "phones",
        _points("phone"),
        system_fields=(SystemField("phones", ("phone",)),),
        shape="points",
    ),
    Kind("im", _whole("messenger"), system_fields=(SystemField("im", ("ims",)),), shape="points"),
    Kind("json", _whole("json")),
)

KINDS = {kind.name: kind for kind in _TABLE}
"""The table, by the kinds' names. `json` is what is left: fields of any other type."""

_OF_TYPE = {field_type: kind for kind in _TABLE for field_type in kind.types}
_OF_SYSTEM_FIELD = {field.name: kind for kind in _TABLE for field in kind.system_fields}
_RECORD_NAMES = {
    spelling: field.name for kind in _TABLE for field in kind.system_fields for spelling in field.spellings
}


def record_name(field_code: str) -> str:
    """The name under which a record carries the field that the catalogue calls so."""
    return _RECORD_NAMES.get(field_code, field_code)


def system_kind(field_code: str, is_custom: bool) -> Kind | None:
    """The kind of a field whose type in the catalogue does not matter, since the shape of the record decides."""
    return None if is_custom else _OF_SYSTEM_FIELD.get(field_code)


def kind_of(field_code: str, field_type: str, is_custom: bool, has_options: bool) -> Kind:
    """The kind of a field. `field_code`: as the record has it."""
    kind = system_kind(field_code, is_custom) or _OF_TYPE.get(field_type, KINDS["json"])
    return KINDS["enum"] if kind.name == "text" and has_options else kind
