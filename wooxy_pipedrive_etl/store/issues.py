"""What runs could not write for a connection's persons, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from . import tables
from .bulk import among, copy_into
from .clock import utc_now

if TYPE_CHECKING:
    # Imported only where dataframes are made, so that callers that only read need not wait for it.
    import pandas as pd

_KINDS_OF_COUNTS = {
    "rejected": "rejected",
    "duplicates": "duplicate",
    "conflicts": "conflict",
    "dropped_values": "dropped_value",
}
ISSUE_COLUMNS = ["person_id", "kind", "reason", "variable", "message"]
_STORED_COLUMNS = [*ISSUE_COLUMNS, "owner_id"]


def drop_pending_issues(db: sa.Connection, connection_id: int) -> None:
    """Removes the issues of a run that was never applied."""
    table = tables.issues
    db.execute(table.delete().where(table.c.connection_id == connection_id, table.c.pending))


def add_pending_issues(db: sa.Connection, connection_id: int, issues: pd.DataFrame) -> None:
    """`issues`: person_id (Int64, may be NA), kind, reason, variable (str or None), message (str), and optionally
    owner_id (Int64, may be NA)."""
    if issues.empty:
        return
    rows = issues.reindex(columns=_STORED_COLUMNS).astype(object)
    rows = rows.where(rows.notna(), None)
    rows.insert(0, "connection_id", connection_id)
    rows["pending"] = True
    rows["found_at"] = str(utc_now())
    copy_into(db, tables.issues.name, rows)


def repeat_issues(db: sa.Connection, connection_id: int, kind: str, reason: str) -> None:
    """Copies the current issues of one kind and reason into this run, as if it had found them again."""
    table = tables.issues
    names = ["connection_id", *_STORED_COLUMNS, "found_at"]
    standing = sa.select(*(table.c[name] for name in names), sa.true()).where(
        table.c.connection_id == connection_id,
        table.c.kind == kind,
        table.c.reason == reason,
        ~table.c.pending,
    )
    db.execute(table.insert().from_select([*names, "pending"], standing.order_by(table.c.id)))


def forget_pending_of(db: sa.Connection, connection_id: int, person_ids: Sequence[int]) -> None:
    """Removes the issues that this run has found for these persons so far."""
    table = tables.issues
    for start in range(0, len(person_ids), 1_000):
        db.execute(
            table.delete().where(
                table.c.connection_id == connection_id,
                table.c.pending,
                among(db, table.c.person_id, person_ids[start : start + 1_000]),
            )
        )


def add_missing_issues(db: sa.Connection, connection_id: int, issues: pd.DataFrame) -> None:
    """Adds the issues that this run does not have yet. Two equal issues count as two."""
    import pandas as pd

    pending = Counter(
        (issue["person_id"], issue["message"]) for issue in read_issues(db, connection_id, pending=True)
    )
    missing = []
    for person_id, message in zip(issues["person_id"].tolist(), issues["message"], strict=True):
        key = (None if pd.isna(person_id) else person_id, message)
        missing.append(pending[key] == 0)
        pending[key] -= 1 if pending[key] else 0
    add_pending_issues(db, connection_id, issues[missing])


def add_mapping_issues(db: sa.Connection, connection_id: int) -> None:
    """Adds to this run the values dropped when the staged persons were mapped."""
    table, mapped = tables.issues, tables.mapping_issues
    found = sa.select(
        mapped.c.connection_id,
        *(mapped.c[name] for name in ISSUE_COLUMNS),
        sa.true(),
        sa.literal(utc_now(), table.c.found_at.type),
    ).where(mapped.c.connection_id == connection_id)
    names = ["connection_id", *ISSUE_COLUMNS, "pending", "found_at"]
    db.execute(table.insert().from_select(names, found.order_by(mapped.c.person_id)))


def settle_issues(db: sa.Connection, connection_id: int) -> None:
    """Replaces the issues of earlier runs with those of this run."""
    table = tables.issues
    db.execute(table.delete().where(table.c.connection_id == connection_id, ~table.c.pending))
    db.execute(table.update().where(table.c.connection_id == connection_id).values(pending=False))


def settle_issues_of(db: sa.Connection, connection_id: int, kind: str, reason: str) -> None:
    """Replaces the issues of one kind and reason with those of this run."""
    table = tables.issues
    mine = sa.and_(table.c.connection_id == connection_id, table.c.kind == kind, table.c.reason == reason)
    db.execute(table.delete().where(mine, ~table.c.pending))
    db.execute(table.update().where(mine).values(pending=False))


def read_issues(
    db: sa.Connection,
    connection_id: int,
    *,
    pending: bool = False,
    kind: str | None = None,
    reason: str | None = None,
    limit: int | None = None,
    offset: int = 0,
) -> list[dict[str, Any]]:
    """Ordered by person, then by the order in which they were found: person_id, kind, reason, variable, message.

    `pending`: the issues of a run that is not applied yet, instead of the current ones. `kind`, `reason`: only these.
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
    rows = db.execute(query.limit(limit).offset(offset)).mappings()
    return [dict(row) for row in rows]


def issues_by_reason(
    db: sa.Connection, connection_id: int, *, pending: bool = False
) -> dict[tuple[str, str], int]:
    """How many issues there are per (kind, reason)."""
    table = tables.issues
    rows = db.execute(
        sa.select(table.c.kind, table.c.reason, sa.func.count())
        .where(table.c.connection_id == connection_id, table.c.pending == pending)
        .group_by(table.c.kind, table.c.reason)
        .order_by(table.c.kind, table.c.reason)
    )
    return {(kind, reason): count for kind, reason, count in rows}


def standing_counts(db: sa.Connection, connection_id: int) -> dict[str, int]:
    """What is missing from the list now, whichever run found it: rejected, duplicates, conflicts (persons) and
    dropped_values."""
    by_kind: Counter[str] = Counter()
    for (kind, _), count in issues_by_reason(db, connection_id).items():
        by_kind[kind] += count
    return {name: by_kind[kind] for name, kind in _KINDS_OF_COUNTS.items()}
