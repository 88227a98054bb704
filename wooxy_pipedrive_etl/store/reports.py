"""What the runs of a connection did and cost, and what they could not write."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from . import tables
from .bulk import among, copy_into
from .errors import StoreError
from .locks import is_held

if TYPE_CHECKING:
    # Imported where dataframes are made: what only looks need not wait for it.
    import pandas as pd

COUNTS = (
    "fetched",
    "created",
    "updated",
    "unchanged",
    "deleted",
    "rejected",
    "duplicates",
    "conflicts",
    "dropped_values",
    "tokens_used",
    "requests",
)
ISSUE_COLUMNS = ["person_id", "kind", "reason", "variable", "message"]

# For the sake of privacy, what is older than this goes when a run begins.
KEEP_DAYS = 90
KEEP_DAYS_VARIABLE = "WOOXY_PIPEDRIVE_KEEP_DAYS"


def begin_run(
    connection: sa.Connection,
    connection_id: int,
    run_id: str,
    kind: str,
    *,
    selected: Sequence[str] = (),
    automatic: bool = False,
) -> None:
    """Opens the report of a run, and forgets what is older than KEEP_DAYS. `kind`: changes, full or re-map. `selected`:
    the products that it is to make. `automatic`: no person started it."""
    for statement in _forget_old():
        connection.execute(statement)
    connection.execute(
        tables.runs.delete().where(
            tables.runs.c.connection_id == connection_id, tables.runs.c.run_id == run_id
        )
    )
    connection.execute(
        tables.runs.insert().values(
            connection_id=connection_id,
            run_id=run_id,
            kind=kind,
            state="started",
            started_at=_now(),
            selected=" ".join(selected),
            automatic=automatic,
        )
    )


def update_run(connection: sa.Connection, connection_id: int, run_id: str, **values: Any) -> None:
    connection.execute(
        tables.runs.update()
        .where(tables.runs.c.connection_id == connection_id, tables.runs.c.run_id == run_id)
        .values(**values)
    )


def finish_run(
    connection: sa.Connection,
    connection_id: int,
    run_id: str,
    state: str,
    message: str | None = None,
    counts: Mapping[str, int] | None = None,
) -> None:
    """`state`: success, partial (the list was left out), dry_run or failed."""
    update_run(
        connection,
        connection_id,
        run_id,
        state=state,
        finished_at=_now(),
        message=message,
        **(counts or {}),
    )


def close_unfinished(connection: sa.Connection, connection_id: int, message: str) -> None:
    """Closes, as failed, the reports of runs that ended without doing so. For whoever holds the connection: no other
    run can be at work."""
    table = tables.runs
    connection.execute(
        table.update()
        .where(table.c.connection_id == connection_id, table.c.state == "started")
        .values(state="failed", finished_at=_now(), message=message)
    )


def last_run(connection: sa.Connection, connection_id: int) -> dict[str, Any] | None:
    """The newest finished run that was to write the list: kind, state, started_at, finished_at, message and COUNTS."""
    table = tables.runs
    row = (
        connection.execute(
            sa.select(table)
            .where(table.c.connection_id == connection_id, table.c.state.in_(["success", "failed"]))
            .order_by(table.c.started_at.desc())
            .limit(1)
        )
        .mappings()
        .one_or_none()
    )
    return dict(row) if row is not None else None


def last_dry_run(connection: sa.Connection, connection_id: int) -> dict[str, Any] | None:
    """The report of the newest dry run that came to its end: a row of `sync_runs`."""
    table = tables.runs
    row = (
        connection.execute(
            sa.select(table)
            .where(table.c.connection_id == connection_id, table.c.state == "dry_run")
            .order_by(table.c.started_at.desc())
            .limit(1)
        )
        .mappings()
        .one_or_none()
    )
    return None if row is None else dict(row)


def newest_run(connection: sa.Connection, connection_id: int) -> tuple[str, str] | None:
    """The id and the state of the run that began last, dry ones included."""
    table = tables.runs
    row = connection.execute(
        sa.select(table.c.run_id, table.c.state)
        .where(table.c.connection_id == connection_id)
        .order_by(table.c.started_at.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else (row.run_id, row.state)


@dataclass(frozen=True)
class Standing:
    """How a connection stands by its runs; moments in UTC, without a zone.

    `succeeded`: when the last run that succeeded was begun. `failures`: how many of those that started by themselves
    have failed since, or were begun and never ended; the last of them was `failed_begun` then and `failed_ended` then.
    `looked`: when the last run ended that made the Match variables table.
    """

    succeeded: datetime | None
    failures: int
    failed_begun: datetime | None
    failed_ended: datetime | None
    looked: datetime | None


def standing(connection: sa.Connection, connection_id: int) -> Standing:
    table = tables.runs
    mine = table.c.connection_id == connection_id
    succeeded = connection.scalar(
        sa.select(sa.func.max(table.c.started_at)).where(mine, table.c.state == "success")
    )
    since = table.c.started_at > succeeded if succeeded is not None else sa.true()
    failed = connection.execute(
        sa.select(table.c.started_at, table.c.finished_at)
        .where(mine, table.c.automatic, table.c.state.in_(["failed", "started"]), since)
        .order_by(table.c.started_at.desc())
    ).all()
    looked = connection.scalar(
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


def tokens_used_since(connection: sa.Connection, company_id: int, kind: str, since: datetime) -> int:
    """By runs of one kind on all connections with the company, whose budget they share. `since`: without a zone."""
    table = tables.runs
    used: int = connection.execute(
        sa.select(sa.func.coalesce(sa.func.sum(table.c.tokens_used), 0))
        .join_from(table, tables.connections, table.c.connection_id == tables.connections.c.id)
        .where(
            tables.connections.c.company_id == company_id, table.c.kind == kind, table.c.started_at >= since
        )
    ).scalar_one()
    # PostgreSQL sums to a Decimal.
    return int(used)


def failure_before(connection: sa.Connection, connection_id: int, run_id: str) -> str | None:
    """The message of the run before this one, those apart that left the list out, if it failed."""
    table = tables.runs
    began = sa.select(table.c.started_at).where(
        table.c.connection_id == connection_id, table.c.run_id == run_id
    )
    before = connection.execute(
        sa.select(table.c.state, table.c.message)
        .where(
            table.c.connection_id == connection_id,
            table.c.state.in_(["success", "failed"]),
            table.c.started_at < began.scalar_subquery(),
        )
        .order_by(table.c.started_at.desc())
        .limit(1)
    ).one_or_none()
    return before.message if before is not None and before.state == "failed" else None


def newest_run_id(connection: sa.Connection, connection_id: int) -> str | None:
    """The run that was begun last, whatever became of it."""
    table = tables.runs
    return connection.execute(
        sa.select(table.c.run_id)
        .where(table.c.connection_id == connection_id)
        .order_by(table.c.started_at.desc())
        .limit(1)
    ).scalar()


def get_run(connection: sa.Connection, connection_id: int, run_id: str) -> dict[str, Any] | None:
    table = tables.runs
    row = (
        connection.execute(
            sa.select(table).where(table.c.connection_id == connection_id, table.c.run_id == run_id)
        )
        .mappings()
        .one_or_none()
    )
    return dict(row) if row is not None else None


def current_run(connection: sa.Connection, connection_id: int) -> dict[str, Any] | None:
    """The run that is under way, as `get_run` gives it. One that was killed is none, though nobody closed its report:
    from before its report is opened until after it is closed, a run holds its connection."""
    newest = runs_of(connection, connection_id, limit=1)
    under_way = bool(newest) and newest[0]["state"] == "started" and is_held(connection, connection_id)
    return newest[0] if under_way else None


def runs_of(
    connection: sa.Connection, connection_id: int, limit: int, before: datetime | None = None
) -> list[dict[str, Any]]:
    """The newest runs, dry and unfinished ones too, the newest first, as `get_run` gives them. `before`: those that
    began earlier than then (UTC, without a zone)."""
    table = tables.runs
    rows = connection.execute(
        sa.select(table)
        .where(
            table.c.connection_id == connection_id,
            sa.true() if before is None else table.c.started_at < before,
        )
        .order_by(table.c.started_at.desc())
        .limit(limit)
    ).mappings()
    return [dict(row) for row in rows]


def drop_pending_issues(connection: sa.Connection, connection_id: int) -> None:
    """Forgets what a run found that was never applied."""
    table = tables.issues
    connection.execute(table.delete().where(table.c.connection_id == connection_id, table.c.pending))


def add_pending_issues(connection: sa.Connection, connection_id: int, issues: pd.DataFrame) -> None:
    """`issues`: person_id (Int64, may be NA), kind, reason, variable (str or None), message (str)."""
    if issues.empty:
        return
    rows = issues[ISSUE_COLUMNS].astype(object)
    rows = rows.where(rows.notna(), None)
    rows.insert(0, "connection_id", connection_id)
    rows["pending"] = True
    rows["found_at"] = str(_now())
    copy_into(connection, tables.issues.name, rows)


def repeat_issues(connection: sa.Connection, connection_id: int, kind: str, reason: str) -> None:
    """Takes what stands of one kind and reason into the run at hand, as if it had found it again."""
    table = tables.issues
    names = ["connection_id", *ISSUE_COLUMNS, "found_at"]
    standing = sa.select(*(table.c[name] for name in names), sa.true()).where(
        table.c.connection_id == connection_id,
        table.c.kind == kind,
        table.c.reason == reason,
        ~table.c.pending,
    )
    connection.execute(table.insert().from_select([*names, "pending"], standing.order_by(table.c.id)))


def forget_pending_of(connection: sa.Connection, connection_id: int, person_ids: Sequence[int]) -> None:
    """Forgets what the run at hand has of these persons so far."""
    table = tables.issues
    for start in range(0, len(person_ids), 1_000):
        connection.execute(
            table.delete().where(
                table.c.connection_id == connection_id,
                table.c.pending,
                among(connection, table.c.person_id, person_ids[start : start + 1_000]),
            )
        )


def add_missing_issues(connection: sa.Connection, connection_id: int, issues: pd.DataFrame) -> None:
    """Adds those of the issues that the run at hand does not have yet; two alike count as two."""
    import pandas as pd

    pending = Counter(
        (issue["person_id"], issue["message"])
        for issue in read_issues(connection, connection_id, pending=True)
    )
    missing = []
    for person_id, message in zip(issues["person_id"].tolist(), issues["message"], strict=True):
        key = (None if pd.isna(person_id) else person_id, message)
        missing.append(pending[key] == 0)
        pending[key] -= 1 if pending[key] else 0
    add_pending_issues(connection, connection_id, issues[missing])


def add_mapping_issues(connection: sa.Connection, connection_id: int) -> None:
    """Takes what was dropped when the persons of the stage were mapped into the run at hand."""
    table, mapped = tables.issues, tables.mapping_issues
    found = sa.select(
        mapped.c.connection_id,
        *(mapped.c[name] for name in ISSUE_COLUMNS),
        sa.true(),
        sa.literal(_now(), table.c.found_at.type),
    ).where(mapped.c.connection_id == connection_id)
    names = ["connection_id", *ISSUE_COLUMNS, "pending", "found_at"]
    connection.execute(table.insert().from_select(names, found.order_by(mapped.c.person_id)))


def settle_issues(connection: sa.Connection, connection_id: int) -> None:
    """What the run found replaces what an earlier one had."""
    table = tables.issues
    connection.execute(table.delete().where(table.c.connection_id == connection_id, ~table.c.pending))
    connection.execute(table.update().where(table.c.connection_id == connection_id).values(pending=False))


def settle_issues_of(connection: sa.Connection, connection_id: int, kind: str, reason: str) -> None:
    """What the run found of one kind and reason replaces what an earlier one had of it."""
    table = tables.issues
    mine = sa.and_(table.c.connection_id == connection_id, table.c.kind == kind, table.c.reason == reason)
    connection.execute(table.delete().where(mine, ~table.c.pending))
    connection.execute(table.update().where(mine).values(pending=False))


def read_issues(
    connection: sa.Connection,
    connection_id: int,
    *,
    pending: bool = False,
    kind: str | None = None,
    reason: str | None = None,
    limit: int | None = None,
    offset: int = 0,
) -> list[dict[str, Any]]:
    """By person, then in the order in which they were found: person_id, kind, reason, variable, message.

    `pending`: those of a run that is not applied instead of those that stand. `kind`, `reason`: of these only.
    """
    table = tables.issues
    query = sa.select(*(table.c[name] for name in ISSUE_COLUMNS)).where(
        table.c.connection_id == connection_id, table.c.pending == pending
    )
    if kind is not None:
        query = query.where(table.c.kind == kind)
    if reason is not None:
        query = query.where(table.c.reason == reason)
    query = query.order_by(sa.nulls_last(table.c.person_id), table.c.id)
    rows = connection.execute(query.limit(limit).offset(offset)).mappings()
    return [dict(row) for row in rows]


def issues_by_reason(
    connection: sa.Connection, connection_id: int, *, pending: bool = False
) -> dict[tuple[str, str], int]:
    """How many issues there are of each (kind, reason)."""
    table = tables.issues
    rows = connection.execute(
        sa.select(table.c.kind, table.c.reason, sa.func.count())
        .where(table.c.connection_id == connection_id, table.c.pending == pending)
        .group_by(table.c.kind, table.c.reason)
        .order_by(table.c.kind, table.c.reason)
    )
    return {(kind, reason): count for kind, reason, count in rows}


def _forget_old() -> Iterator[sa.Delete]:
    """Of every connection: one that nobody runs any more must not keep its reports for ever."""
    oldest = _now() - timedelta(days=_keep_days())
    for table, column in (
        (tables.runs, tables.runs.c.started_at),
        (tables.issues, tables.issues.c.found_at),
        (tables.schema_changes, tables.schema_changes.c.recorded_at),
        (tables.contact_history, tables.contact_history.c.at),
    ):
        yield table.delete().where(column < oldest)


def _keep_days() -> int:
    setting = os.environ.get(KEEP_DAYS_VARIABLE) or str(KEEP_DAYS)
    if not setting.isdecimal() or not 1 <= int(setting) <= 36_500:
        raise StoreError(
            f"{KEEP_DAYS_VARIABLE} is not a number of days; set it to a whole number like {KEEP_DAYS}."
        )
    return int(setting)


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
