"""The run that a user is waiting for: whether it has begun, its progress, and its result."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import sqlalchemy as sa

from wooxy_pipedrive_etl.automation import due
from wooxy_pipedrive_etl.automation.waiting import Waiting
from wooxy_pipedrive_etl.connections.run_requests import RequestedRun, request_run, requested_run
from wooxy_pipedrive_etl.guards import Guard, Permissions
from wooxy_pipedrive_etl.store import Store, connections, planned_deletions, runs
from wooxy_pipedrive_etl.store.connections import ConnectionRecord
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.store.matchings import confirmed_matching
from wooxy_pipedrive_etl.store.progress import Progress, read_progress
from wooxy_pipedrive_etl.store.runs import RunReport

# Dagster's sensor checks every few seconds; after this long it is probably not running.
LONG_WAIT = timedelta(seconds=60)


@dataclass(frozen=True)
class RunView:
    """`state`: none (nothing has run yet), waiting (for Dagster to start it), running, completed, tried (a dry run that
    was planned), partial (the list was left out) or failed. `run`: its report, except in the first two states.
    `held_up`: why it may not start yet, in a sentence. `waits_long`: it should have begun by now. `paused`: nothing
    starts automatically. `guard`: the guard that refused a failed run, which may be allowed once. `deletions`: how many
    deletions a refused or a dry run has listed."""

    state: Literal["none", "waiting", "running", "completed", "tried", "partial", "failed"]
    run: RunReport | None = None
    progress: Progress | None = None
    held_up: str | None = None
    waits_long: bool = False
    paused: bool = False
    guard: Guard | None = None
    deletions: int = 0

    @property
    def is_under_way(self) -> bool:
        """Whether the view may change within seconds."""
        return self.state == "running" or (self.state == "waiting" and not self.paused)


_STATES: dict[str, Literal["completed", "tried", "partial"]] = {
    "success": "completed",
    "dry_run": "tried",
    "partial": "partial",
}


def view_run(store: Store, name: str) -> RunView:
    """The run in progress, else the one that was requested or is due after an Import, else the newest.

    Raises UnknownConnection.
    """
    now = datetime.now(UTC)
    with reading(store.engine) as db:
        record = connections.get_connection(db, name)
        current = runs.current_run(db, record.id)
        newest = runs.newest_run(db, record.id)
        request = requested_run(record)
        due_since = _due_since(db, record, newest, request)
        deletions = 0 if newest is None else planned_deletions.count(db, record.id, newest.run_id)
    if current is not None:
        return RunView("running", current, read_progress(store, record))
    if due_since is not None:
        next_run = due.due(store, record, now)
        return RunView(
            "waiting",
            held_up=next_run.reason if isinstance(next_run, Waiting) else None,
            waits_long=now - due_since > LONG_WAIT,
            paused=record.paused and request is None,
        )
    if newest is None:
        return RunView("none")
    if newest.state in _STATES:
        return RunView(_STATES[newest.state], newest, deletions=deletions)
    return RunView("failed", newest, guard=newest.refused_by, deletions=deletions)


def allow_once(store: Store, name: str, guard: Guard, run_id: str) -> RequestedRun | None:
    """Requests the run that this guard refused once more, allowing what was refused. Of deletions, those that the run
    listed are allowed. Returns None if it is no longer the newest run."""
    view = view_run(store, name)
    if view.run is None or view.guard != guard or view.run.run_id != run_id:
        return None
    permissions = {
        "mass_delete": Permissions(deletions_of=run_id),
        "lost_fields": Permissions(lost_fields=True),
        "reserve": Permissions(reserve=True),
    }
    return request_run(
        store,
        name,
        view.run.kind,
        # Only dry runs have one.
        dry_run=view.run.matching_version is not None,
        permissions=permissions[guard],
    )


def try_again(store: Store, name: str) -> RequestedRun | None:
    """Requests the newest run once more if it failed, without the permissions that it had; None if it did not fail.

    Raises UnknownConnection, and what `request_run` raises.
    """
    view = view_run(store, name)
    if view.state != "failed" or view.run is None:
        return None
    return request_run(store, name, view.run.kind, dry_run=view.run.matching_version is not None)


def _due_since(
    db: sa.Connection,
    record: ConnectionRecord,
    newest: RunReport | None,
    request: RequestedRun | None,
) -> datetime | None:
    """Since when a requested or due run has been waiting only to be started."""
    ended = None if newest is None else newest.finished_at
    free_since = datetime.min.replace(tzinfo=UTC) if ended is None else ended.replace(tzinfo=UTC)
    if request is not None:
        return max(request.requested_at, free_since)
    in_force = confirmed_matching(db, record.id)
    if (
        record.state != "active"
        or in_force is None
        or in_force.confirmed_at is None
        or in_force.revision == record.sync_state.applied_revision
        # It failed, which says more than that it is being retried.
        or (newest is not None and newest.started_at >= in_force.confirmed_at)
    ):
        return None
    return max(in_force.confirmed_at.replace(tzinfo=UTC), free_since)
