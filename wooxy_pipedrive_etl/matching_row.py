"""A row of a matching, as it is stored and as the rules read it."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """The variable's key and label, what it feeds (or None), in which format; and its field's type at the Import, if
    known."""

    pipedrive: str
    label: str
    wooxy: str | None
    format: str
    field_type: str | None = None
