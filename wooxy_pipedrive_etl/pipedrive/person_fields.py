"""The catalogue of person fields. It has no change timestamps, so it is read as a whole each time."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

import msgspec
import pandas as pd

from .endpoints import PERSON_FIELDS, PERSON_INCLUDE_FIELDS
from .session import Session
from .walk import pages

logger = logging.getLogger(__name__)

_COLUMNS = {
    "field_code": object,
    "field_name": object,
    "field_type": object,
    "is_custom_field": bool,
    "is_optional_response_field": bool,
    "options": object,
}


class FieldCatalogue(NamedTuple):
    """``fields``: one row for each field, in catalogue order; ``odd``: how many entries could not be taken for a field.

    Columns: field_code, field_name, field_type (object: str, the type "" if the entry tells none); is_custom_field,
    is_optional_response_field (bool); options (object: list of {"id": int | str | bool, "label": str} in catalogue
    order, or None).
    """

    fields: pd.DataFrame
    odd: int


def person_fields(session: Session) -> FieldCatalogue:
    """The whole catalogue. An odd entry may be any field: with one, a field that is not there may still exist."""
    rows: dict[str, dict[str, Any]] = {}
    odd = 0
    for page in pages(session, PERSON_FIELDS, {}):
        for element in page.elements:
            row = _row(bytes(element))
            if row is None:
                odd += 1
                logger.warning("GET %s: an entry that is not a field was left out", PERSON_FIELDS.path)
            else:
                rows.setdefault(row["field_code"], row)
    frame = pd.DataFrame(
        {
            column: pd.Series([row[column] for row in rows.values()], dtype=dtype)
            for column, dtype in _COLUMNS.items()
        }
    )
    return FieldCatalogue(frame, odd)


def optional_fields(fields: pd.DataFrame) -> list[str]:
    """The codes of the catalogue that a person has only when ``include_fields`` asks for them."""
    optional = fields.loc[fields["is_optional_response_field"], "field_code"]
    return [code for code in optional if code in PERSON_INCLUDE_FIELDS]


def _row(element: bytes) -> dict[str, Any] | None:
    try:
        field = msgspec.json.decode(element)
    except (msgspec.DecodeError, RecursionError):
        return None
    if not isinstance(field, dict) or not isinstance(field.get("field_code"), str) or not field["field_code"]:
        return None
    name, kind = field.get("field_name"), field.get("field_type")
    return {
        "field_code": field["field_code"],
        "field_name": name if isinstance(name, str) and name.strip() else field["field_code"],
        "field_type": kind if isinstance(kind, str) else "",
        "is_custom_field": field.get("is_custom_field") is True,
        "is_optional_response_field": field.get("is_optional_response_field") is True,
        "options": _options(field.get("options")),
    }


def _options(options: Any) -> list[dict[str, Any]] | None:
    if not isinstance(options, list):
        return None
    return [
        {"id": option["id"], "label": "" if option.get("label") is None else str(option["label"])}
        for option in options
        if isinstance(option, dict) and isinstance(option.get("id"), int | str)
    ]
