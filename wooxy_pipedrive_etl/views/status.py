"""What a user or a program may ask about connections: their state, what was not written and why."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from wooxy_pipedrive_etl.automation.nightly import next_night
from wooxy_pipedrive_etl.connections import token_budget
from wooxy_pipedrive_etl.connections.run_requests import requested_run
from wooxy_pipedrive_etl.contact_list import ContactList
from wooxy_pipedrive_etl.matching.attention import waiting_and_red
from wooxy_pipedrive_etl.store import Store, connections, inbox, keys, matchings, runs
from wooxy_pipedrive_etl.store.catalogue import recent_schema_changes
from wooxy_pipedrive_etl.store.connections import ConnectionRecord
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.store.issues import read_issues, standing_counts

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def statuses(store: Store, name: str | None = None, *, estimates: bool = True) -> list[dict[str, Any]]:
    """One object for each connection, JSON-ready, with the keys of product.md section 7 and more. Raises
    UnknownConnection.

    `estimates`: whether the budget includes what the next runs will use, which takes a third of the time. `last_run` is
    what the last run did; `not_written` is the current state: how many persons and values are not in the list now,
    whichever run found that. `failing_since`: no run has succeeded since then. `new_numbers_opted_out`: opt-outs of the
    domain were stored with another key (see `store.keys`). `fields_waiting` and `red_rows`: what in the matching in
    force needs the user (see `waiting_and_red`).
    """
    with reading(store.engine) as db:
        known = connections.list_connections
        records = known(db) if name is None else [connections.get_connection(db, name)]
        lost = keys.domains_with_unreadable(db, keys.key_id(db, store.secrets))
        result = []
        for record in records:
            last = runs.last_run(db, record.id)
            current = runs.current_run(db, record.id)
            newest = next(iter(runs.runs_of(db, record.id, limit=1)), None)
            confirmed = matchings.confirmed_matching(db, record.id)
            waiting, red = waiting_and_red(db, record, confirmed)
            hints = inbox.count_hints(store.inbox, record.id)
            health = runs.health(db, record.id, None if current is None else current["run_id"])
            result.append(
                {
                    "name": record.name,
                    "domain": record.domain,
                    "list_table": record.qualified_list_table,
                    "state": record.state,
                    "paused": record.paused,
                    "api_url": record.api_url,
                    "access": record.credentials.access,
                    "scopes": None
                    if record.credentials.scopes is None
                    else sorted(record.credentials.scopes),
                    "access_lost": record.credentials.access_lost,
                    "new_numbers_opted_out": record.domain_id in lost,
                    "watermark": watermark_text(record),
                    "matching_applied": confirmed is not None
                    and confirmed.revision == record.sync_state.applied_revision,
                    "contacts": ContactList.of_domain(db, record.domain).count(db),
                    "daily_token_limit": record.budget.daily_limit,
                    "daily_tokens_left": record.budget.daily_left,
                    "budget": _budget(db, record, hints, estimates=estimates),
                    "webhook": {
                        "url": record.webhook.url,
                        "registered": record.webhook.webhook_id is not None,
                    },
                    "hints_waiting": hints,
                    "last_run": None if last is None else _run(last),
                    "newest_run": None if newest is None else _newest(newest),
                    "last_good_run_at": _instant(health.last_good),
                    "failing_since": _instant(health.failing_since),
                    "not_written": standing_counts(db, record.id),
                    "running": None if current is None else _begun(current),
                    "requested_run": _requested(record),
                    "next_full_run": _instant(_next_full_run(record)),
                    "schema_changes": [
                        change | {"recorded_at": _instant(change["recorded_at"])}
                        for change in recent_schema_changes(db, record.id)
                    ],
                    "fields_waiting": waiting,
                    "red_rows": red,
                }
            )
        return result


def webhook_calls(store: Store, name: str) -> dict[str, Any]:
    """What the connection's webhook has received so far: accepted, overflowed, malformed, last_event_at. Raises
    UnknownConnection."""
    with reading(store.engine) as db:
        record = connections.get_connection(db, name)
    came = inbox.received(store.inbox, record.id)
    return {
        "accepted": came.accepted,
        "overflowed": came.overflowed,
        "malformed": came.malformed,
        "last_event_at": _instant(came.last_event_at),
    }


def standing_issues(store: Store, name: str) -> list[dict[str, Any]]:
    """What was not written as of the last run: person_id, kind, reason, variable, message."""
    with reading(store.engine) as db:
        record = connections.get_connection(db, name)
        return read_issues(db, record.id)


def watermark_text(record: ConnectionRecord) -> str | None:
    if record.sync_state.watermark is None:
        return None
    return (_EPOCH + timedelta(microseconds=record.sync_state.watermark)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _budget(db: sa.Connection, record: ConnectionRecord, hints: int, *, estimates: bool) -> dict[str, Any]:
    """The day's tokens as Pipedrive reported them at `noted_at`, and how many of them the next runs will use."""
    limit = record.budget.daily_limit
    told: dict[str, Any] = {
        "limit": limit,
        "left": record.budget.daily_left,
        "noted_at": _instant(record.budget.noted_at),
        "reserve": None if limit is None else token_budget.reserve(limit),
    }
    if estimates:
        told["next_run_estimates"] = token_budget.estimates(db, record, hints)
    return told


def _next_full_run(record: ConnectionRecord) -> datetime | None:
    """When Dagster's schedule starts the next one."""
    by_itself = record.state == "active" and not record.paused and record.credentials.access_lost is None
    return next_night(datetime.now(UTC)) if by_itself else None


def _requested(record: ConnectionRecord) -> dict[str, Any] | None:
    """The run that a user has requested and that has not begun."""
    request = requested_run(record)
    if request is None:
        return None
    return {
        "kind": request.kind,
        "dry_run": request.dry_run,
        "requested_at": _instant(request.requested_at),
    }


def _begun(row: dict[str, Any]) -> dict[str, Any]:
    return {"run_id": row["run_id"], "kind": row["kind"], "started_at": _instant(row["started_at"])}


def _newest(row: dict[str, Any]) -> dict[str, Any]:
    """The run that began last, whatever it was to make; `state` is its result."""
    return {
        **_begun(row),
        "state": row["state"],
        "selected": row["selected"].split(),
        "finished_at": _instant(row["finished_at"]),
        "message": row["message"],
    }


def _run(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "run_id": row["run_id"],
        "kind": row["kind"],
        "state": row["state"],
        "started_at": _instant(row["started_at"]),
        "finished_at": _instant(row["finished_at"]),
        "message": row["message"],
        "guard": row["refused_by"],
        "failure": row["failure"],
        **{count: row[count] for count in runs.COUNTS},
        "estimated_tokens": row["estimated_tokens"],
        "tokens_left": row["tokens_left"],
    }


def _instant(moment: datetime | None) -> str | None:
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%SZ")
