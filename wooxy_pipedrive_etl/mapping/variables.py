"""Which Pipedrive variables the fields of a person yield: their keys, labels, parts and kinds (`kinds.py`)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from wooxy_pipedrive_etl.mapping.invisible import without_direction_marks
from wooxy_pipedrive_etl.mapping.kinds import Kind, kind_of, record_name
from wooxy_pipedrive_etl.person_fields import PersonField

# Labels go into messages and files, which can't hold these; and marks of direction would turn around what stands beside
# the label.
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
    kind: Kind
    is_custom_field: bool
    options: list[Any] | None


def pipedrive_variables(fields: Iterable[PersonField]) -> list[Variable]:
    """The variables of a field catalogue, in the catalogue's order."""
    rows: list[Variable] = []
    seen: set[str] = set()
    for code, name, field_type, is_custom, _, stored_options in fields:
        field_code = code if is_custom else record_name(code)
        if field_code in seen or _is_left_out(field_code, field_type, is_custom):
            continue
        seen.add(field_code)
        options = stored_options or None
        kind = kind_of(field_code, field_type, is_custom, has_options=options is not None)
        field_name = _UNPRINTABLE.sub(" ", without_direction_marks(name)).strip() or field_code
        for part in [each.name for each in kind.parts]:
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


def _part_label(part: str) -> str:
    """`admin_area_level_1` → `Admin area level 1`."""
    return part.replace("_", " ").capitalize()
