"""Matchings: every change is a new revision. The newest confirmed revision is in force; a newer one is a draft."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from wooxy_pipedrive_etl.matching_row import Row

from . import tables
from .clock import utc_now


@dataclass(frozen=True)
class StoredMatching:
    revision: int
    ignore_empty_values: bool
    rows: tuple[Row, ...]
    confirmed_at: datetime | None


def save_matching(
    db: sa.Connection,
    connection_id: int,
    *,
    ignore_empty_values: bool,
    rows: Iterable[Row],
    confirmed: bool,
) -> StoredMatching:
    """Stores a new revision, replacing the draft if there is one: the draft's number is used again."""
    drop_draft(db, connection_id)
    table = tables.matchings
    last = db.execute(
        sa.select(sa.func.max(table.c.revision)).where(table.c.connection_id == connection_id)
    ).scalar()
    stored = StoredMatching(
        revision=(last or 0) + 1,
        ignore_empty_values=ignore_empty_values,
        rows=tuple(rows),
        confirmed_at=utc_now().replace(microsecond=0) if confirmed else None,
    )
    db.execute(
        table.insert().values(
            connection_id=connection_id,
            revision=stored.revision,
            ignore_empty_values=ignore_empty_values,
            variables=json.dumps([row._asdict() for row in stored.rows]),
            confirmed_at=stored.confirmed_at,
        )
    )
    return stored


def drop_draft(db: sa.Connection, connection_id: int) -> None:
    """Deletes the draft, if there is one. The newest confirmed revision is then the latest again."""
    table = tables.matchings
    db.execute(table.delete().where(table.c.connection_id == connection_id, table.c.confirmed_at.is_(None)))


def latest_matching(db: sa.Connection, connection_id: int) -> StoredMatching | None:
    """The newest revision, confirmed or not: the one that users see and edit."""
    return _read(db, connection_id, tables.matchings.c.revision.is_not(None))


def confirmed_matching(db: sa.Connection, connection_id: int) -> StoredMatching | None:
    """The newest confirmed revision: the one that the list is mapped with."""
    return _read(db, connection_id, tables.matchings.c.confirmed_at.is_not(None))


def _read(db: sa.Connection, connection_id: int, condition: sa.ColumnElement[bool]) -> StoredMatching | None:
    table = tables.matchings
    row: Any = db.execute(
        sa.select(table)
        .where(table.c.connection_id == connection_id, condition)
        .order_by(table.c.revision.desc())
        .limit(1)
    ).one_or_none()
    if row is None:
        return None
    return StoredMatching(
        revision=row.revision,
        ignore_empty_values=row.ignore_empty_values,
        # Rows stored before the field_type was added lack it.
        rows=tuple(Row(**each) for each in json.loads(row.variables)),
        confirmed_at=row.confirmed_at,
    )
