"""What the sensors would find for a connected account, without Dagster."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from wooxy_pipedrive_etl.automation import due as decisions
from wooxy_pipedrive_etl.automation import polls
from wooxy_pipedrive_etl.automation.due import Due
from wooxy_pipedrive_etl.automation.waiting import Waiting
from wooxy_pipedrive_etl.sandbox.pipedrive import Fault

from .scenario import Connected


def moment(**later: float) -> datetime:
    """Now, or this much later."""
    return datetime.now(UTC) + timedelta(**later)


def due(acme: Connected, now: datetime | None = None) -> Due | Waiting | None:
    return decisions.due(acme.store, acme.record(), now or moment())


def schema_due(acme: Connected, now: datetime | None = None) -> Due | Waiting | None:
    return decisions.schema_due(acme.store, acme.record(), now or moment())


def poll(acme: Connected, now: datetime | None = None) -> Due | Waiting | None:
    """Polls when it is time to: by default an hour after the last poll."""
    return polls.poll_persons(acme.store, acme.record(), now or _later(acme.record().polls.persons_at))


def poll_fields(acme: Connected, now: datetime | None = None) -> Due | Waiting | None:
    return polls.poll_fields(acme.store, acme.record(), now or _later(acme.record().polls.fields_at))


def fail(acme: Connected, times: int = 1, *, automatic: bool = True) -> None:
    """Makes runs fail."""
    for _ in range(times):
        acme.server.faults.add(Fault("unauthorized_401"))
        with pytest.raises(Exception, match="401"):
            acme.sync(automatic=automatic)


def _later(polled_at: datetime | None) -> datetime:
    return moment() if polled_at is None else polled_at.replace(tzinfo=UTC) + timedelta(hours=1)
