"""A person field of Pipedrive's catalogue, as all packages use it."""

from __future__ import annotations

from typing import Any, NamedTuple


class PersonField(NamedTuple):
    """A field, with the names of Pipedrive's `/personFields`. `field_type` is "" if the catalogue does not contain it.

    `options`: a list of {"id": int | str | bool, "label": str} in catalogue order, or None. In the database, options
    that are no longer in the catalogue come last, with "gone": True.
    """

    field_code: str
    field_name: str
    field_type: str
    is_custom_field: bool
    is_optional_response_field: bool
    options: list[dict[str, Any]] | None
