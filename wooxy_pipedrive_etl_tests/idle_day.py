"""A day on which nothing changes, as the sensors' polls see it: a real sandbox over HTTP, and a clock that advances
with each tick. `benchmarks/idle_day.py` prints what `test_due_and_polls.py` checks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from wooxy_pipedrive_etl.automation.due import Due
from wooxy_pipedrive_etl.automation.polls import poll_fields, poll_persons

from .scenario import Connected

# How often the sensors check: see `orchestration/sensors.py`.
PERSONS_TICK = timedelta(seconds=30)
FIELDS_TICK = timedelta(seconds=60)


def spend_a_day(acme: Connected, day: timedelta = timedelta(days=1)) -> dict[str, int]:
    """Ticks until the day is over; returns the `polls` of persons and of fields, `requests` and `tokens`.

    Raises AssertionError if a poll finds anything due.
    """
    begun = now = datetime.now(UTC)
    acme.account.clock = lambda: now
    acme.server.clear_requests()
    persons_at, fields_at = set(), set()
    while now < begun + day:
        record = acme.record()
        persons_at.add(record.polls.persons_at)
        fields_at.add(record.polls.fields_at)
        found = [poll_persons(acme.store, record, now)]
        if (now - begun) % FIELDS_TICK == timedelta(0):
            found.append(poll_fields(acme.store, record, now))
        assert not any(isinstance(each, Due) for each in found), found
        now += PERSONS_TICK
    return {
        "polls_of_persons": len(persons_at - {None}),
        "polls_of_fields": len(fields_at - {None}),
        "requests": len(acme.server.requests),
        "tokens": sum(request.tokens for request in acme.server.requests),
    }
