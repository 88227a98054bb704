"""Cursors of the v2 lists: a keyset marker for the first row of the next page, in unpadded base64url."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import UTC, datetime
from typing import Any

from . import json_text
from .answers import invalid_parameter
from .keyset import Position, SortField


def write_cursor(position: Position, sort_by: SortField, descending: bool) -> str:
    """For example ``{"field":"id","fieldValue":7,"sortDirection":"asc","id":7}``, encoded."""
    value: int | str | None = position.value
    if sort_by != "id" and position.value is not None:
        value = json_text.timestamp(position.value)
    marker = {
        "field": sort_by,
        "fieldValue": value,
        "sortDirection": _direction(descending),
        "id": position.id,
    }
    return base64.urlsafe_b64encode(json_text.encode(marker)).rstrip(b"=").decode()


def read_cursor(text: str, sort_by: SortField, descending: bool) -> Position:
    """Raises ApiError (400) unless the cursor comes from a call with the same sort order."""
    try:
        marker: Any = json.loads(
            base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        )
        same_order = marker["field"] == sort_by and marker["sortDirection"] == _direction(descending)
        value, row_id = marker["fieldValue"], marker["id"]
        if sort_by != "id" and value is not None:
            value = json_text.epoch(datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC))
    except (ValueError, binascii.Error, KeyError, TypeError):
        raise invalid_parameter("Validation failed: cursor: is invalid") from None
    if not same_order or type(row_id) is not int or not (value is None or type(value) is int):
        raise invalid_parameter("Validation failed: cursor: is invalid")
    return Position(value, row_id)


def _direction(descending: bool) -> str:
    return "desc" if descending else "asc"
