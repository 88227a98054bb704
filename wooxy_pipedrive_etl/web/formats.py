"""How pages write times, numbers, shares and durations."""

from __future__ import annotations

from datetime import datetime

from wooxy_pipedrive_etl.store.clock import utc_now


def moment(value: datetime | None) -> str:
    """A UTC time for display: 2026-11-25 17:30 UTC."""
    return "never" if value is None else value.strftime("%Y-%m-%d %H:%M UTC")


def age(value: datetime) -> str:
    """How long ago a UTC time was: 5 minutes ago."""
    minutes = round((utc_now() - value).total_seconds() / 60)
    for size, unit in ((1440, "day"), (60, "hour"), (1, "minute")):
        if minutes >= size:
            count = minutes // size
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    return "a moment ago"


def number(value: int | None) -> str:
    """12,345; empty for None."""
    return "" if value is None else f"{value:,}"


def share(part: int, whole: int) -> str:
    """The share of a whole: 12 %; under 1 %."""
    percent = 100 * part / whole
    return "under 1 %" if percent < 1 else f"{percent:.0f} %"


def duration(seconds: float) -> str:
    """12 s; 3 min 5 s; 2 h 10 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
