"""A person field of Pipedrive's catalogue, as every package knows it."""

from __future__ import annotations

from typing import Any, NamedTuple


class PersonField(NamedTuple):
    """A field, by the names of Pipedrive's `/personFields`. `field_type` is "" where the catalogue does not tell it.

    `options`: a list of {"id": int | str | bool, "label": str} in catalogue order, or None; as stored, an option that
    has gone from the catalogue stands at the end, with "gone": True.
    """

    field_code: str
    field_name: str
    field_type: str
    is_custom_field: bool
    is_optional_response_field: bool
    options: list[dict[str, Any]] | None
