"""Which run is due for a connection without being requested, decided from the database alone: it does not matter who
asks, how often, or after what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import sqlalchemy as sa

from wooxy_pipedrive_etl.connections.credentials import lost_sentence
from wooxy_pipedrive_etl.connections.run_requests import RequestedRun, requested_run
from wooxy_pipedrive_etl.guards import NOTHING_ALLOWED, Permissions
from wooxy_pipedrive_etl.matching.view import feed_plan_with
from wooxy_pipedrive_etl.store import Store, inbox, runs
from wooxy_pipedrive_etl.store.catalogue import newest_schema_change
from wooxy_pipedrive_etl.store.connections import ConnectionRecord
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.store.matchings import StoredMatching, confirmed_matching
from wooxy_pipedrive_etl.store.runs import Standing
from wooxy_pipedrive_etl.sync.selection import Kind
from wooxy_pipedrive_etl.sync.staging import mapping_key

from .waiting import Waiting, back_off, may_start, short_of_tokens, stopped_for_tokens, used_up

RunKind = Kind | Literal["match"]


@dataclass(frozen=True)
class Due:
    """A run to be started. `kind` "match" only reads the fields and shows the Match variables table.

    `reason`: a sentence. `key`: stays the same until something was run, so that asking twice starts one run; it changes
    after each run, so that a failed one is retried. A run that died before it could open its report is retried in the
    next hour. `requested`: a user requested it, with `dry_run` and `permissions` (`RequestedRun`).
    """

    kind: RunKind
    reason: str
    key: str
    requested: bool = False
    dry_run: bool = False
    permissions: Permissions = NOTHING_ALLOWED


def due(store: Store, record: ConnectionRecord, now: datetime) -> Due | Waiting | None:
    """What is due by the database alone: a requested run, an Import, pending changes from webhooks, persons that were
    stored but not applied.

    `now`: UTC. The caller makes sure that no run of the connection is queued or running.
    """
    request = requested_run(record)
    if request is not None:
        # The user is waiting for it. Neither failures nor the budget delay it: the run reports them itself.
        return _requested(record, request)
    if not may_start(record):
        return None
    lost = lost_sentence(record)
    if lost is not None:
        return Waiting(lost)
    with reading(store.engine) as db:
        matching = confirmed_matching(db, record.id)
        if matching is None:
            return None
        cause = _cause(store, record, matching)
        if cause is None:
            return None
        standing = runs.standing(db, record.id)
        # A user who imports a matching after a failure is waiting for it now.
        waiting = (
            None if cause.name == "matching" and _is_newer(matching, standing) else back_off(standing, now)
        )
        return waiting or _affordable(db, record, now, cause)


def schema_due(store: Store, record: ConnectionRecord, now: datetime) -> Due | Waiting | None:
    """What changes of the field catalogue make due: a re-map if they affect the matching, otherwise a fresh Match
    variables table. Like `due`, decided from the database alone."""
    if not may_start(record) or record.sync_state.watermark is None:
        return None
    lost = lost_sentence(record)
    if lost is not None:
        return Waiting(lost)
    with reading(store.engine) as db:
        recorded_at = newest_schema_change(db, record.id)
        matching = confirmed_matching(db, record.id)
        if recorded_at is None or matching is None:
            return None
        standing = runs.standing(db, record.id)
        cause = _schema_cause(db, record, matching, recorded_at, standing)
        if cause is None:
            return None
        return back_off(standing, now) or _affordable(db, record, now, cause)


def _requested(record: ConnectionRecord, request: RequestedRun) -> Due:
    # Before the first full run, nothing can have changed and there is nothing to map.
    kind = request.kind if record.sync_state.watermark is not None else "full"
    return Due(
        kind,
        f"A user requested {'a dry run' if request.dry_run else 'a run'}.",
        request.key,
        requested=True,
        dry_run=request.dry_run,
        permissions=request.permissions,
    )


@dataclass(frozen=True)
class _Cause:
    kind: RunKind
    reason: str
    name: str


def _cause(store: Store, record: ConnectionRecord, matching: StoredMatching) -> _Cause | None:
    walked = record.sync_state.watermark is not None
    if matching.revision != record.sync_state.applied_revision:
        reason = (
            f"Revision {matching.revision} of the matching was imported, and the list does not have it yet."
        )
        return _Cause("re-map" if walked else "full", reason, "matching")
    kind: RunKind = "changes" if walked else "full"
    hints = inbox.count_hints(store.inbox, record.id)
    if hints:
        return _Cause(kind, f"Webhooks named {hints} persons.", "hints")
    if record.sync_state.unapplied:
        return _Cause(
            kind, "The list is behind: persons or settings have changed since the last run.", "unapplied"
        )
    return None


def _schema_cause(
    db: sa.Connection,
    record: ConnectionRecord,
    matching: StoredMatching,
    recorded_at: datetime,
    standing: Standing,
) -> _Cause | None:
    # Changes are recorded in whole seconds. Those recorded before the last run began are in its mapping already. So no
    # other difference (a newer release, for example) starts one re-map after another.
    since_the_last = standing.succeeded is None or recorded_at >= standing.succeeded.replace(microsecond=0)
    if since_the_last and mapping_key(feed_plan_with(db, record, matching)) != record.sync_state.mapped_with:
        reason = "Fields or options that the matching reads have changed in Pipedrive."
        return _Cause("re-map", reason, "schema")
    if standing.looked is None or recorded_at > standing.looked:
        return _Cause(
            "match", "Fields have changed in Pipedrive since the Match variables table was made.", "table"
        )
    return None


def _affordable(db: sa.Connection, record: ConnectionRecord, now: datetime, cause: _Cause) -> Due | Waiting:
    """The run, or what it must wait for. A run after a user's Import may use everything except the reserve."""
    if cause.kind in ("changes", "match"):
        waiting = used_up(db, record, now) or stopped_for_tokens(db, record, now)
    else:
        waiting = short_of_tokens(db, record, now, cause.kind)
    return waiting or Due(cause.kind, cause.reason, run_key(db, record, now, cause.name))


def run_key(db: sa.Connection, record: ConnectionRecord, now: datetime, cause: str) -> str:
    newest = runs.newest_run_id(db, record.id)
    return f"{record.name} {cause} after {newest or 'none'} {now:%Y-%m-%dT%H}"


def _is_newer(matching: StoredMatching, standing: Standing) -> bool:
    """Whether the matching was confirmed after the last failure (in whole seconds)."""
    return (
        matching.confirmed_at is not None
        and standing.failed_begun is not None
        and matching.confirmed_at > standing.failed_begun
    )
