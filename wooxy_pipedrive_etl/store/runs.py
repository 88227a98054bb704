"""What the runs of a connection did, and what they cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa

from wooxy_pipedrive_etl.guards import Guard, way_out
from wooxy_pipedrive_etl.settings import Settings

from . import tables
from .clock import utc_now
from .locks import is_held

Kind = Literal["changes", "full", "re-map"]
PLANNED_COUNTS = (
    "created",
    "updated",
    "unchanged",
    "deleted",
    "rejected",
    "duplicates",
    "conflicts",
    "dropped_values",
)
COUNTS = ("fetched", *PLANNED_COUNTS, "tokens_used", "requests")


@dataclass(frozen=True)
class RunReport:
    """What a run did and cost, as stored in `sync_runs`. Times are UTC, without a zone.

    `state`: started, success, partial (the list was left out), dry_run or failed. `selected`: the products that it was
    to make. For a failed run, `failure` is a code shared by runs that fail alike, and `refused_by` the guard that
    refused it. `matching_version`: which matching and settings a dry run used.
    """

    run_id: str
    kind: Kind
    state: str
    selected: list[str]
    started_at: datetime
    finished_at: datetime | None
    fetched: int
    created: int
    updated: int
    unchanged: int
    deleted: int
    rejected: int
    duplicates: int
    conflicts: int
    dropped_values: int
    tokens_used: int
    requests: int
    message: str | None
    estimated_tokens: int | None
    tokens_left: int | None
    matching_version: str | None
    failure: str | None
    refused_by: Guard | None

    @property
    def counts(self) -> dict[str, int]:
        """COUNTS by name."""
        return {name: getattr(self, name) for name in COUNTS}

    def message_with_way_out(self, connection_name: str) -> str | None:
        """The message, and how to allow what a guard refused."""
        if self.refused_by is None:
            return self.message
        return f"{self.message} {way_out(self.refused_by, connection_name, self.deleted)}"


def begin_run(
    db: sa.Connection,
    connection_id: int,
    run_id: str,
    kind: str,
    *,
    selected: Sequence[str] = (),
    automatic: bool = False,
) -> None:
    """Opens the report of a run and, for privacy, removes data older than the setting allows. `kind`: changes, full or
    re-map. `selected`: the products that it is to make. `automatic`: no user started it."""
    for statement in _forget_old():
        db.execute(statement)
    db.execute(
        tables.runs.delete().where(
            tables.runs.c.connection_id == connection_id, tables.runs.c.run_id == run_id
        )
    )
    db.execute(
        tables.runs.insert().values(
            connection_id=connection_id,
            run_id=run_id,
            kind=kind,
            state="started",
            started_at=utc_now(),
            selected=" ".join(selected),
            automatic=automatic,
        )
    )


def update_run(db: sa.Connection, connection_id: int, run_id: str, **values: Any) -> None:
    db.execute(
        tables.runs.update()
        .where(tables.runs.c.connection_id == connection_id, tables.runs.c.run_id == run_id)
        .values(**values)
    )


def finish_run(
    db: sa.Connection,
    connection_id: int,
    run_id: str,
    state: str,
    message: str | None = None,
    counts: Mapping[str, int] | None = None,
    *,
    failure: str | None = None,
    refused_by: str | None = None,
) -> None:
    """Closes the report. `state`: success, partial (the list was left out), dry_run or failed. For a failed run,
    `failure`: a code shared by runs that fail alike; `refused_by`: the guard that refused it."""
    update_run(
        db,
        connection_id,
        run_id,
        state=state,
        finished_at=utc_now(),
        message=message,
        failure=failure,
        refused_by=refused_by,
        **(counts or {}),
    )


def close_unfinished(db: sa.Connection, connection_id: int, message: str) -> None:
    """Closes the reports of runs that ended without closing them, as failed. Only for the holder of the connection:
    then no other run can be in progress."""
    table = tables.runs
    db.execute(
        table.update()
        .where(table.c.connection_id == connection_id, table.c.state == "started")
        .values(state="failed", finished_at=utc_now(), message=message, failure="stopped")
    )


def last_run(db: sa.Connection, connection_id: int) -> RunReport | None:
    """The newest finished run that was to write the list."""
    return _newest(db, connection_id, tables.runs.c.state.in_(["success", "failed"]))


def last_dry_run(db: sa.Connection, connection_id: int) -> RunReport | None:
    """The newest finished dry run."""
    return _newest(db, connection_id, tables.runs.c.state == "dry_run")


def newest_run(db: sa.Connection, connection_id: int) -> RunReport | None:
    """The run that began last, dry runs included."""
    return _newest(db, connection_id)


@dataclass(frozen=True)
class Standing:
    """A connection's state according to its runs. Times are UTC, without a zone.

    `succeeded`: when the last successful run began. `failures`: how many automatic runs since then have failed, or
    began and never ended. `failed_begun` and `failed_ended`: when the last of these began and ended. `looked`: when the
    last run that made the Match variables table ended.
    """

    succeeded: datetime | None
    failures: int
    failed_begun: datetime | None
    failed_ended: datetime | None
    looked: datetime | None


def standing(db: sa.Connection, connection_id: int) -> Standing:
    table = tables.runs
    mine = table.c.connection_id == connection_id
    succeeded = db.scalar(sa.select(sa.func.max(table.c.started_at)).where(mine, table.c.state == "success"))
    since = table.c.started_at > succeeded if succeeded is not None else sa.true()
    failed = db.execute(
        sa.select(table.c.started_at, table.c.finished_at)
        .where(mine, table.c.automatic, table.c.state.in_(["failed", "started"]), since)
        .order_by(table.c.started_at.desc())
    ).all()
    looked = db.scalar(
        sa.select(sa.func.max(table.c.finished_at)).where(
            mine,
            table.c.state.in_(["success", "dry_run", "partial"]),
            table.c.selected.contains("variable_matches"),
        )
    )
    if not failed:
        return Standing(succeeded, 0, None, None, looked)
    last = failed[0]
    return Standing(succeeded, len(failed), last.started_at, last.finished_at or last.started_at, looked)


@dataclass(frozen=True)
class Health:
    """Whether the list is up to date. Times are UTC, without a zone.

    `last_good`: when the last run ended that wrote the list or found it correct. `failing_since`: when the first run
    began that was to write the list and failed, counting only runs since the last good one; None if all is well.
    """

    last_good: datetime | None
    failing_since: datetime | None


def health(db: sa.Connection, connection_id: int, under_way: str | None) -> Health:
    """`under_way`: the id of the current run, which has not failed yet."""
    table = tables.runs
    mine = table.c.connection_id == connection_id
    good = db.execute(
        sa.select(table.c.started_at, table.c.finished_at)
        .where(mine, table.c.state == "success")
        .order_by(table.c.started_at.desc())
        .limit(1)
    ).one_or_none()
    failing_since = db.scalar(
        sa.select(sa.func.min(table.c.started_at)).where(
            mine,
            table.c.state.in_(["failed", "started"]),
            sa.or_(table.c.selected.contains("default_contact_list"), table.c.selected == ""),
            table.c.started_at > good.started_at if good is not None else sa.true(),
            table.c.run_id != under_way if under_way is not None else sa.true(),
        )
    )
    return Health(None if good is None else good.finished_at, failing_since)


def tokens_used_since(db: sa.Connection, company_id: int, kind: str, since: datetime) -> int:
    """Tokens used by runs of one kind, on all connections of the company, since they share its budget. `since`: without
    a zone."""
    table = tables.runs
    used: int = db.execute(
        sa.select(sa.func.coalesce(sa.func.sum(table.c.tokens_used), 0))
        .join_from(table, tables.connections, table.c.connection_id == tables.connections.c.id)
        .where(
            tables.connections.c.company_id == company_id, table.c.kind == kind, table.c.started_at >= since
        )
    ).scalar_one()
    # PostgreSQL returns the sum as a Decimal.
    return int(used)


def failure_before(db: sa.Connection, connection_id: int, run_id: str) -> str | None:
    """How the previous run failed (see `finish_run`), ignoring runs that left the list out; None if it did not fail, or
    how is unknown."""
    table = tables.runs
    began = sa.select(table.c.started_at).where(
        table.c.connection_id == connection_id, table.c.run_id == run_id
    )
    before = db.execute(
        sa.select(table.c.state, table.c.failure)
        .where(
            table.c.connection_id == connection_id,
            table.c.state.in_(["success", "failed"]),
            table.c.started_at < began.scalar_subquery(),
        )
        .order_by(table.c.started_at.desc())
        .limit(1)
    ).one_or_none()
    return before.failure if before is not None and before.state == "failed" else None


def newest_run_id(db: sa.Connection, connection_id: int) -> str | None:
    """The run that began last, whatever its outcome."""
    table = tables.runs
    return db.execute(
        sa.select(table.c.run_id)
        .where(table.c.connection_id == connection_id)
        .order_by(table.c.started_at.desc())
        .limit(1)
    ).scalar()


def get_run(db: sa.Connection, connection_id: int, run_id: str) -> RunReport | None:
    return _newest(db, connection_id, tables.runs.c.run_id == run_id)


def current_run(db: sa.Connection, connection_id: int) -> RunReport | None:
    """The run in progress. A killed run is not one, even though its report was never closed: a run holds its connection
    from before its report is opened until after it is closed."""
    newest = newest_run(db, connection_id)
    under_way = newest is not None and newest.state == "started" and is_held(db, connection_id)
    return newest if under_way else None


def runs_of(
    db: sa.Connection, connection_id: int, limit: int, before: datetime | None = None
) -> list[RunReport]:
    """The newest runs, newest first, including dry and unfinished ones. `before`: only runs that began earlier (UTC,
    without a zone)."""
    wanted = sa.true() if before is None else tables.runs.c.started_at < before
    return _reports(db, connection_id, limit, wanted)


def _newest(db: sa.Connection, connection_id: int, *wanted: sa.ColumnElement[bool]) -> RunReport | None:
    return next(iter(_reports(db, connection_id, 1, *wanted)), None)


def _reports(
    db: sa.Connection, connection_id: int, limit: int, *wanted: sa.ColumnElement[bool]
) -> list[RunReport]:
    table = tables.runs
    rows = db.execute(
        sa.select(*(table.c[field.name] for field in fields(RunReport)))
        .where(table.c.connection_id == connection_id, *wanted)
        .order_by(table.c.started_at.desc())
        .limit(limit)
    ).mappings()
    return [RunReport(**{**row, "selected": row["selected"].split()}) for row in rows]


def _forget_old() -> Iterator[sa.Delete]:
    """For every connection: one that no longer runs must not keep its reports for ever."""
    oldest = utc_now() - timedelta(days=Settings.current().days_kept)
    for table, column in (
        (tables.runs, tables.runs.c.started_at),
        (tables.issues, tables.issues.c.found_at),
        (tables.schema_changes, tables.schema_changes.c.recorded_at),
        (tables.contact_history, tables.contact_history.c.at),
    ):
        yield table.delete().where(column < oldest)
