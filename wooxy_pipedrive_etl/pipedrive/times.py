"""Times as Pipedrive accepts them in parameters and sends them in headers."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def rfc3339(moment: datetime) -> str:
    """Whole seconds and Z: any other form gets a 400. Rounded down, so that nothing is missed."""
    if moment.tzinfo is None:
        raise ValueError("a moment in a request needs a time zone")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def http_date(text: str | None) -> datetime | None:
    """The time of a `Date` header; None if it is missing or nonsense."""
    if text is None:
        return None
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
