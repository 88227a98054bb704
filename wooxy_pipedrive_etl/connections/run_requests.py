"""Runs that a user requests and that Dagster's `matching_sensor` starts within seconds, by `automation.due`. Each
connection has at most one request; the run that fulfils it removes it as it begins."""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from wooxy_pipedrive_etl.errors import NotImported, SyncError
from wooxy_pipedrive_etl.guards import NOTHING_ALLOWED, Permissions
from wooxy_pipedrive_etl.store import Store, connections, run_requests, runs
from wooxy_pipedrive_etl.store.connections import ConnectionRecord
from wooxy_pipedrive_etl.store.matchings import StoredMatching, confirmed_matching, latest_matching
from wooxy_pipedrive_etl.store.runs import Kind


@dataclass(frozen=True)
class RequestedRun:
    """`permissions`: what the run may do although a guard would refuse it. `requested_at`: UTC. `key`: unique to this
    request. A dry run uses the latest matching, whether it is a draft or not."""

    kind: Kind
    dry_run: bool
    permissions: Permissions
    requested_at: datetime
    key: str


def request_run(
    store: Store,
    name: str,
    kind: Kind,
    *,
    dry_run: bool = False,
    permissions: Permissions = NOTHING_ALLOWED,
) -> RequestedRun:
    """Requests a run, replacing a request that is already waiting.

    Raises UnknownConnection, SyncError for a disconnected connection, and NotImported without a matching to run with.
    """
    request = RequestedRun(kind, dry_run, permissions, datetime.now(UTC), f"{name} requested {uuid.uuid4()}")
    with store.engine.begin() as db:
        record = connections.get_connection(db, name)
        if record.state == "disconnected":
            raise SyncError(f"The connection {name} is disconnected; connect it again to run it.")
        matching_for(db, record, draft=dry_run)
        text = json.dumps(asdict(request) | {"requested_at": request.requested_at.isoformat()})
        run_requests.ask(db, record.id, text)
    return request


def requested_run(record: ConnectionRecord) -> RequestedRun | None:
    """The run that is waiting to be started."""
    if record.requested_run is None:
        return None
    values = json.loads(record.requested_run)
    return RequestedRun(
        **values
        | {
            "permissions": Permissions(**values["permissions"]),
            "requested_at": datetime.fromisoformat(values["requested_at"]),
        }
    )


def fulfil(
    db: sa.Connection,
    record: ConnectionRecord,
    kind: Kind,
    *,
    dry_run: bool,
    draft: bool,
    allowed: Permissions,
) -> None:
    """Removes the request if such a run does everything that it asks for; a full run does everything that any other
    does."""
    request = requested_run(record)
    if (
        request is not None
        and kind in ("full", request.kind)
        and request.dry_run == dry_run == draft
        and allowed.cover(request.permissions)
    ):
        run_requests.withdraw(db, record.id)


def give_up(store: Store, name: str, key: str, run_id: str, message: str) -> None:
    """Closes a request whose run `run_id` ended before it began: reports it as a failed run, without a retry.
    `message`: why, in a sentence."""
    with store.engine.begin() as db:
        record = connections.get_connection(db, name)
        request = requested_run(record)
        if request is None or request.key != key:
            return
        run_requests.withdraw(db, record.id)
        runs.begin_run(db, record.id, run_id, request.kind)
        runs.finish_run(db, record.id, run_id, "failed", message, failure="not_started")


def matching_for(db: sa.Connection, record: ConnectionRecord, *, draft: bool) -> StoredMatching:
    """The matching that a run would use: the one in force or, for a dry run of a `draft`, the latest. Raises
    NotImported."""
    if draft:
        latest = latest_matching(db, record.id)
        if latest is None:
            raise NotImported(
                f"The connection {record.name} has no matching yet that could be tried; save one as a draft first."
            )
        return latest
    confirmed = confirmed_matching(db, record.id)
    if confirmed is None:
        raise NotImported(
            f"The matching of the connection {record.name} has not been imported yet, so nothing may be written to its "
            f"list; run: wooxy-pipedrive match {record.name} --import FILE"
        )
    return confirmed
