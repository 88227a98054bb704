"""When the next nightly run is announced."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from wooxy_pipedrive_etl.automation.nightly import next_night
from wooxy_pipedrive_etl.errors import InvalidSetting
from wooxy_pipedrive_etl.settings import TIMEZONE_VARIABLE


@pytest.mark.parametrize(
    ("zone", "now", "then"),
    [
        ("", "2026-11-25T01:00", "2026-11-25T02:30"),
        ("", "2026-11-25T02:30", "2026-11-26T02:30"),
        ("Europe/Helsinki", "2026-11-25T00:29", "2026-11-25T00:30"),
        ("Europe/Helsinki", "2026-11-25T12:00", "2026-11-26T00:30"),
        # The clocks go back between the two: same wall time, an hour later.
        ("Europe/Helsinki", "2026-10-24T12:00", "2026-10-24T23:30"),
        ("Europe/Helsinki", "2026-10-25T12:00", "2026-10-26T00:30"),
    ],
)
def test_the_next_night(zone: str, now: str, then: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TIMEZONE_VARIABLE, zone)
    found = next_night(datetime.fromisoformat(now).replace(tzinfo=UTC))
    assert found == datetime.fromisoformat(then).replace(tzinfo=UTC)


@pytest.mark.parametrize("zone", ["Nowhere/Land", "../etc/passwd", "/"])
def test_an_unknown_time_zone(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TIMEZONE_VARIABLE, zone)
    with pytest.raises(InvalidSetting, match=TIMEZONE_VARIABLE):
        next_night(datetime(2026, 11, 25, tzinfo=UTC))
