"""When the nightly full run is due, for Dagster's schedule and for display."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from wooxy_pipedrive_etl.errors import InvalidSetting

# At night, other integrations need the least of Pipedrive's daily budget.
HOUR, MINUTE = 2, 30
TIME_ZONE_VARIABLE = "WOOXY_PIPEDRIVE_TIMEZONE"


def time_zone() -> str:
    return os.environ.get(TIME_ZONE_VARIABLE) or "UTC"


def next_night(now: datetime) -> datetime:
    """The schedule's next time after `now`, in UTC. Raises InvalidSetting for an unknown time zone."""
    try:
        zone = ZoneInfo(time_zone())
    except (KeyError, ValueError, OSError):
        raise InvalidSetting(
            f"{TIME_ZONE_VARIABLE} names no time zone; set it to one like Europe/Helsinki."
        ) from None
    night = now.astimezone(zone).replace(hour=HOUR, minute=MINUTE, second=0, microsecond=0)
    if night <= now:
        night += timedelta(days=1)
    return night.astimezone(UTC)
