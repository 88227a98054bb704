"""When the nightly full run is due, for Dagster's schedule and for display."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from wooxy_pipedrive_etl.settings import Settings

# At night, other integrations need the least of Pipedrive's daily budget.
HOUR, MINUTE = 2, 30


def next_night(now: datetime) -> datetime:
    """The schedule's next time after `now`, in UTC. Raises InvalidSetting for an unknown time zone."""
    night = now.astimezone(Settings.current().zone).replace(hour=HOUR, minute=MINUTE, second=0, microsecond=0)
    if night <= now:
        night += timedelta(days=1)
    return night.astimezone(UTC)
