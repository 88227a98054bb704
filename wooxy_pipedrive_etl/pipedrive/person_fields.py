"""The catalogue of person fields. It has no change timestamps, so it is always read as a whole."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from wooxy_pipedrive_etl.person_fields import PersonField

from .endpoints import PERSON_FIELDS, PERSON_INCLUDE_FIELDS
from .session import Session
from .walk import pages

logger = logging.getLogger(__name__)


class FieldCatalogue(NamedTuple):
    """``fields`` in catalogue order; ``odd``: how many entries were not readable as a field."""

    fields: list[PersonField]
    odd: int


def person_fields(session: Session) -> FieldCatalogue:
    """The whole catalogue. A malformed entry may be any field, so if there is one, a missing field may still exist."""
    fields: dict[str, PersonField] = {}
    odd = 0
    for page in pages(session, PERSON_FIELDS, {}):
        for element in page.elements:
            field = _field(bytes(element))
            if field is None:
                odd += 1
                logger.warning("GET %s: an entry that is not a field was left out", PERSON_FIELDS.path)
            else:
                fields.setdefault(field.field_code, field)
    return FieldCatalogue(list(fields.values()), odd)


def optional_fields(fields: Iterable[PersonField]) -> list[str]:
    """The codes of the catalogue's fields that persons have only if ``include_fields`` requests them."""
    optional = (field.field_code for field in fields if field.is_optional_response_field)
    return [code for code in optional if code in PERSON_INCLUDE_FIELDS]


def _field(element: bytes) -> PersonField | None:
    try:
        field = msgspec.json.decode(element)
    except (msgspec.DecodeError, RecursionError):
        return None
    if not isinstance(field, dict) or not isinstance(field.get("field_code"), str) or not field["field_code"]:
        return None
    name, kind = field.get("field_name"), field.get("field_type")
    return PersonField(
        field_code=field["field_code"],
        field_name=name if isinstance(name, str) and name.strip() else field["field_code"],
        field_type=kind if isinstance(kind, str) else "",
        is_custom_field=field.get("is_custom_field") is True,
        is_optional_response_field=field.get("is_optional_response_field") is True,
        options=_options(field.get("options")),
    )


def _options(options: Any) -> list[dict[str, Any]] | None:
    if not isinstance(options, list):
        return None
    return [
        {"id": option["id"], "label": "" if option.get("label") is None else str(option["label"])}
        for option in options
        if isinstance(option, dict) and isinstance(option.get("id"), int | str)
    ]
