"""The Pipedrive variables that a person's fields yield: their keys, labels, parts and kinds.

A kind says how a raw value is read (`values.py`); several of Pipedrive's field types share one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from wooxy_pipedrive_etl.mapping.invisible import without_direction_marks
from wooxy_pipedrive_etl.person_fields import PersonField

# The catalogue and the docs spell some system fields differently from the record (API facts, sections 1.4 and 2.1); the
# record's name is the key.
RECORD_NAMES = {
    "email": "emails",
    "phone": "phones",
    "label": "label_ids",
    "labels": "label_ids",
    "ims": "im",
}

ADDRESS_PARTS = (
    "street_number",
    "route",
    "subpremise",
    "sublocality",
    "locality",
    "admin_area_level_1",
    "admin_area_level_2",
    "country",
    "postal_code",
    "formatted_address",
)
POINT_LABELS = ("work", "home", "mobile", "other")

# The kinds of system fields, whatever type the catalogue gives them: the shape of the record decides.
SYSTEM_KINDS = {
    "emails": "emails",
    "phones": "phones",
    "im": "im",
    "label_ids": "set",
    "owner_id": "user",
    "org_id": "org",
    "postal_address": "address",
}

_KINDS = {
    "varchar": "text",
    "varchar_auto": "text",
    "text": "text",
    "phone": "text",
    "status": "text",
    "varchar_options": "text",
    "int": "number",
    "double": "number",
    "boolean": "boolean",
    "monetary": "monetary",
    "date": "date",
    "daterange": "daterange",
    "time": "time",
    "timerange": "timerange",
    "enum": "enum",
    "set": "set",
    "labels": "set",
    "address": "address",
    "user": "user",
    "org": "org",
    "people": "person",
    "person": "person",
}

# None is the variable with the field's own name.
PARTS: dict[str, tuple[str | None, ...]] = {
    "monetary": (None, "currency"),
    "daterange": ("start", "end"),
    "time": (None, "timezone"),
    "timerange": ("start", "end", "timezone"),
    "address": (None, *ADDRESS_PARTS),
    "emails": (None, *POINT_LABELS),
    "phones": (None, *POINT_LABELS),
}

# Labels go into messages and files, which can't contain these; direction marks would reverse the text beside the label.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]+")


class Variable(NamedTuple):
    """A Pipedrive variable.

    * key: `<field_code>` or `<field_code>/<part>`, unique; never depends on names
    * label: `<field name>` or `<field name>/<Part>`
    * field_code: the name under which the record carries the field
    * part: None or the part's name in the key
    * field_type: as in the catalogue; kind: how its values are read
    * options: a list of {"id", "label"}, or None
    """

    key: str
    label: str
    field_code: str
    part: str | None
    field_type: str
    kind: str
    is_custom_field: bool
    options: list[Any] | None


def pipedrive_variables(fields: Iterable[PersonField]) -> list[Variable]:
    """The variables of a field catalogue, in the catalogue's order."""
    rows: list[Variable] = []
    seen: set[str] = set()
    for code, name, field_type, is_custom, _, stored_options in fields:
        field_code = code if is_custom else RECORD_NAMES.get(code, code)
        if field_code in seen or _is_left_out(field_code, field_type, is_custom):
            continue
        seen.add(field_code)
        options = stored_options or None
        kind = _kind(field_code, field_type, is_custom, options)
        field_name = _UNPRINTABLE.sub(" ", without_direction_marks(name)).strip() or field_code
        for part in PARTS.get(kind, (None,)):
            key = field_code if part is None else f"{field_code}/{part}"
            label = field_name if part is None else f"{field_name}/{_part_label(part)}"
            rows.append(Variable(key, label, field_code, part, field_type, kind, is_custom, options))
    return rows


def _is_left_out(field_code: str, field_type: str, is_custom: bool) -> bool:
    """Pictures and visibility are not a person's data."""
    if is_custom:
        return False
    return (
        field_type in ("picture", "visible_to")
        or field_code == "visible_to"
        or field_code.startswith("picture")
    )


def _kind(field_code: str, field_type: str, is_custom: bool, options: list[Any] | None) -> str:
    if not is_custom and field_code in SYSTEM_KINDS:
        return SYSTEM_KINDS[field_code]
    kind = _KINDS.get(field_type, "json")
    return "enum" if kind == "text" and options else kind


def _part_label(part: str) -> str:
    """`admin_area_level_1` → `Admin area level 1`."""
    return part.replace("_", " ").capitalize()
