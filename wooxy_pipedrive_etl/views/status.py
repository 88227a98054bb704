"""What a person or a program may ask about connections: how they stand, what was not written and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from wooxy_pipedrive_etl.automation.nightly import next_night
from wooxy_pipedrive_etl.connections import token_budget
from wooxy_pipedrive_etl.connections.run_requests import RequestedRun, requested_run
from wooxy_pipedrive_etl.contact_list import ContactList
from wooxy_pipedrive_etl.matching.attention import RedRow, WaitingField, waiting_and_red
from wooxy_pipedrive_etl.store import Store, connections, inbox, keys, matchings, runs
from wooxy_pipedrive_etl.store.catalogue import RecordedChange, recent_schema_changes
from wooxy_pipedrive_etl.store.connections import ConnectionRecord
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.store.issues import read_issues, standing_counts
from wooxy_pipedrive_etl.store.runs import RunReport

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Budget:
    """Tokens of the day as Pipedrive told them at `noted_at` (UTC, without a zone), how many of them are kept back, and
    what the next runs will use by their kind (None: not asked for)."""

    limit: int | None
    left: int | None
    noted_at: datetime | None
    reserve: int | None
    next_run_estimates: dict[str, int] | None


@dataclass(frozen=True)
class Webhook:
    url: str | None
    registered: bool


@dataclass(frozen=True)
class ConnectionStatus:
    """How a connection stands; moments in UTC.

    `last_run` is what the last run did; `newest_run` began last, whatever it was to make; `running` is under way.
    `not_written` is what stands: how many persons and values are not in the list now, whichever run found that.
    `failing_since`: no run has got to its end since then. `new_numbers_opted_out`: opt-outs of the domain were stored
    with another key (see `store.keys`). `fields_waiting` and `red_rows`: what waits for a person in the matching in
    force (see `waiting_and_red`).
    """

    name: str
    domain: str
    list_table: str
    state: str
    paused: bool
    api_url: str
    access: str
    scopes: list[str] | None
    access_lost: str | None
    new_numbers_opted_out: bool
    watermark: str | None
    matching_applied: bool
    contacts: int
    daily_token_limit: int | None
    daily_tokens_left: int | None
    budget: Budget
    webhook: Webhook
    hints_waiting: int
    last_run: RunReport | None
    newest_run: RunReport | None
    last_good_run_at: datetime | None
    failing_since: datetime | None
    not_written: dict[str, int]
    running: RunReport | None
    requested_run: RequestedRun | None
    next_full_run: datetime | None
    schema_changes: list[RecordedChange]
    fields_waiting: list[WaitingField]
    red_rows: list[RedRow]

    def to_json(self) -> dict[str, Any]:
        """JSON-ready: what `status --json` prints."""
        return vars(self) | {
            "budget": vars(self.budget) | {"noted_at": instant(self.budget.noted_at)},
            "webhook": vars(self.webhook),
            "last_run": self.last_run and _done(self.last_run),
            "newest_run": self.newest_run and _newest(self.newest_run),
            "last_good_run_at": instant(self.last_good_run_at),
            "failing_since": instant(self.failing_since),
            "running": self.running and _begun(self.running),
            "requested_run": self.requested_run and _requested(self.requested_run),
            "next_full_run": instant(self.next_full_run),
            "schema_changes": [
                change._asdict() | {"recorded_at": instant(change.recorded_at)}
                for change in self.schema_changes
            ],
            "fields_waiting": [field._asdict() for field in self.fields_waiting],
            "red_rows": [row._asdict() for row in self.red_rows],
        }


def statuses(store: Store, name: str | None = None, *, estimates: bool = True) -> list[ConnectionStatus]:
    """How each connection stands, or the one of this name. Raises UnknownConnection.

    `estimates`: the budget says what the next runs will use as well, which takes a third of the time.
    """
    with reading(store.engine) as db:
        known = connections.list_connections
        records = known(db) if name is None else [connections.get_connection(db, name)]
        lost = keys.domains_with_unreadable(db, keys.key_id(db, store.secrets))
        return [
            _status(db, store, record, opted_out=record.domain_id in lost, estimates=estimates)
            for record in records
        ]


def _status(
    db: sa.Connection, store: Store, record: ConnectionRecord, *, opted_out: bool, estimates: bool
) -> ConnectionStatus:
    current = runs.current_run(db, record.id)
    confirmed = matchings.confirmed_matching(db, record.id)
    waiting, red = waiting_and_red(db, record, confirmed)
    hints = inbox.count_hints(store.inbox, record.id)
    health = runs.health(db, record.id, None if current is None else current.run_id)
    return ConnectionStatus(
        name=record.name,
        domain=record.domain,
        list_table=record.qualified_list_table,
        state=record.state,
        paused=record.paused,
        api_url=record.api_url,
        access=record.credentials.access,
        scopes=None if record.credentials.scopes is None else sorted(record.credentials.scopes),
        access_lost=record.credentials.access_lost,
        new_numbers_opted_out=opted_out,
        watermark=watermark_text(record),
        matching_applied=confirmed is not None and confirmed.revision == record.sync_state.applied_revision,
        contacts=ContactList.of_domain(db, record.domain).count(db),
        daily_token_limit=record.budget.daily_limit,
        daily_tokens_left=record.budget.daily_left,
        budget=_budget(db, record, hints, estimates=estimates),
        webhook=Webhook(record.webhook.url, record.webhook.webhook_id is not None),
        hints_waiting=hints,
        last_run=runs.last_run(db, record.id),
        newest_run=runs.newest_run(db, record.id),
        last_good_run_at=health.last_good,
        failing_since=health.failing_since,
        not_written=standing_counts(db, record.id),
        running=current,
        requested_run=requested_run(record),
        next_full_run=_next_full_run(record),
        schema_changes=recent_schema_changes(db, record.id),
        fields_waiting=waiting,
        red_rows=red,
    )


def webhook_calls(store: Store, name: str) -> dict[str, Any]:
    """What came in by the connection's webhook so far: accepted, overflowed, malformed, last_event_at. Raises
    UnknownConnection."""
    with reading(store.engine) as db:
        record = connections.get_connection(db, name)
    came = inbox.received(store.inbox, record.id)
    return {
        "accepted": came.accepted,
        "overflowed": came.overflowed,
        "malformed": came.malformed,
        "last_event_at": instant(came.last_event_at),
    }


def standing_issues(store: Store, name: str) -> list[dict[str, Any]]:
    """What was not written as of the last run: person_id, kind, reason, variable, message."""
    with reading(store.engine) as db:
        record = connections.get_connection(db, name)
        return read_issues(db, record.id)


def watermark_text(record: ConnectionRecord) -> str | None:
    if record.sync_state.watermark is None:
        return None
    return instant(_EPOCH + timedelta(microseconds=record.sync_state.watermark))


def instant(moment: datetime | None) -> str | None:
    """A UTC time as JSON and the command line have it."""
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _budget(db: sa.Connection, record: ConnectionRecord, hints: int, *, estimates: bool) -> Budget:
    limit = record.budget.daily_limit
    return Budget(
        limit,
        record.budget.daily_left,
        record.budget.noted_at,
        None if limit is None else token_budget.reserve(limit),
        token_budget.estimates(db, record, hints) if estimates else None,
    )


def _next_full_run(record: ConnectionRecord) -> datetime | None:
    """When Dagster's schedule starts one by itself."""
    by_itself = record.state == "active" and not record.paused and record.credentials.access_lost is None
    return next_night(datetime.now(UTC)) if by_itself else None


def _requested(request: RequestedRun) -> dict[str, Any]:
    return {
        "kind": request.kind,
        "dry_run": request.dry_run,
        "requested_at": instant(request.requested_at),
    }


def _begun(run: RunReport) -> dict[str, Any]:
    return {"run_id": run.run_id, "kind": run.kind, "started_at": instant(run.started_at)}


def _newest(run: RunReport) -> dict[str, Any]:
    return {
        **_begun(run),
        "state": run.state,
        "selected": run.selected,
        "finished_at": instant(run.finished_at),
        "message": run.message,
    }


def _done(run: RunReport) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "kind": run.kind,
        "state": run.state,
        "started_at": instant(run.started_at),
        "finished_at": instant(run.finished_at),
        "message": run.message,
        "guard": run.refused_by,
        "failure": run.failure,
        **run.counts,
        "estimated_tokens": run.estimated_tokens,
        "tokens_left": run.tokens_left,
    }
