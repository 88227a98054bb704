"""The run that a person waits for: whether it has begun, how far it is, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa

from wooxy_pipedrive_etl.store import Store, connections, reports
from wooxy_pipedrive_etl.store.connections import ConnectionRecord
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.store.matchings import confirmed_matching
from wooxy_pipedrive_etl.store.progress import Progress, read_progress

from . import watch
from .errors import Guard, guard_of
from .requests import RequestedRun, request_run, requested_run

# Dagster's sensor looks every few seconds; after this it probably does not run.
LONG_WAIT = timedelta(seconds=60)


@dataclass(frozen=True)
class RunView:
    """`state`: none (nothing was run yet), waiting (for Dagster to start it), running, completed, tried (a dry run that
    was planned), partial (the list was left out) or failed. `run`: the report of all but the first two. `held_up`: why
    it may not start yet, in a sentence. `waits_long`: it should have begun by now. `paused`: nothing starts by itself.
    `guard`: what refused a failed run, and may be allowed once."""

    state: Literal["none", "waiting", "running", "completed", "tried", "partial", "failed"]
    run: dict[str, Any] | None = None
    progress: Progress | None = None
    held_up: str | None = None
    waits_long: bool = False
    paused: bool = False
    guard: Guard | None = None

    @property
    def is_under_way(self) -> bool:
        """Whether a look some seconds later may show something else."""
        return self.state == "running" or (self.state == "waiting" and not self.paused)


_STATES: dict[str, Literal["completed", "tried", "partial"]] = {
    "success": "completed",
    "dry_run": "tried",
    "partial": "partial",
}


def view_run(store: Store, name: str) -> RunView:
    """The run under way, else the one that was asked for or is due by an Import, else the newest.

    Raises UnknownConnection.
    """
    now = datetime.now(UTC)
    with reading(store.engine) as connection:
        record = connections.get_connection(connection, name)
        current = reports.current_run(connection, record.id)
        newest = next(iter(reports.runs_of(connection, record.id, limit=1)), None)
        request = requested_run(record)
        due_since = _due_since(connection, record, newest, request)
    if current is not None:
        return RunView("running", current, read_progress(store, record))
    if due_since is not None:
        due = watch.due(store, record, now)
        return RunView(
            "waiting",
            held_up=due.reason if isinstance(due, watch.Waiting) else None,
            waits_long=now - due_since > LONG_WAIT,
            paused=record.paused and request is None,
        )
    if newest is None:
        return RunView("none")
    if newest["state"] in _STATES:
        return RunView(_STATES[newest["state"]], newest)
    return RunView("failed", newest, guard=guard_of(newest["message"]))


def allow_once(store: Store, name: str, guard: Guard) -> RequestedRun | None:
    """Asks for the run again that a guard refused, without it; None if the newest run is not such a one (any more)."""
    view = view_run(store, name)
    if view.run is None or view.guard != guard:
        return None
    return request_run(
        store,
        name,
        view.run["kind"],
        # Only dry runs have one.
        dry_run=view.run["matching_version"] is not None,
        allow_mass_delete=guard == "mass_delete",
        use_reserve=guard == "reserve",
    )


def _due_since(
    connection: sa.Connection,
    record: ConnectionRecord,
    newest: dict[str, Any] | None,
    request: RequestedRun | None,
) -> datetime | None:
    """Since when nothing but its start is in the way of a run that was asked for or is due."""
    ended: datetime | None = None if newest is None else newest["finished_at"]
    free_since = datetime.min.replace(tzinfo=UTC) if ended is None else ended.replace(tzinfo=UTC)
    if request is not None:
        return max(request.requested_at, free_since)
    in_force = confirmed_matching(connection, record.id)
    if (
        record.state != "active"
        or in_force is None
        or in_force.confirmed_at is None
        or in_force.revision == record.applied_revision
        # It failed, which says more than that it is tried again.
        or (newest is not None and newest["started_at"] >= in_force.confirmed_at)
    ):
        return None
    return max(in_force.confirmed_at.replace(tzinfo=UTC), free_since)
