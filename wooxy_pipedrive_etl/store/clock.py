"""The time as the database stores it."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> datetime:
    """UTC, without a zone."""
    return datetime.now(UTC).replace(tzinfo=None)
