"""Matchings: every change is a new revision; the newest confirmed one is in force, a newer one is a draft."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import sqlalchemy as sa

from . import tables

COLUMNS = ["pipedrive", "label", "wooxy", "format", "field_type"]


@dataclass(frozen=True)
class StoredMatching:
    """`variables`: columns pipedrive, label (str), wooxy (str or None), format ("String" or "DateTime"), field_type
    (str; None where it was not known when the row was stored), all object."""

    revision: int
    ignore_empty_values: bool
    variables: pd.DataFrame
    confirmed_at: datetime | None


def save_matching(
    connection: sa.Connection,
    connection_id: int,
    *,
    ignore_empty_values: bool,
    variables: pd.DataFrame,
    confirmed: bool,
) -> StoredMatching:
    """Stores a new revision in place of a draft that there may be: a draft's number is used again."""
    table = tables.matchings
    connection.execute(
        table.delete().where(table.c.connection_id == connection_id, table.c.confirmed_at.is_(None))
    )
    last = connection.execute(
        sa.select(sa.func.max(table.c.revision)).where(table.c.connection_id == connection_id)
    ).scalar()
    stored = StoredMatching(
        revision=(last or 0) + 1,
        ignore_empty_values=ignore_empty_values,
        variables=_plain(variables),
        confirmed_at=datetime.now(UTC).replace(tzinfo=None, microsecond=0) if confirmed else None,
    )
    connection.execute(
        table.insert().values(
            connection_id=connection_id,
            revision=stored.revision,
            ignore_empty_values=ignore_empty_values,
            variables=json.dumps(stored.variables.to_dict("records")),
            confirmed_at=stored.confirmed_at,
        )
    )
    return stored


def latest_matching(connection: sa.Connection, connection_id: int) -> StoredMatching | None:
    """The newest revision, confirmed or not: what a person sees and edits."""
    return _read(connection, connection_id, tables.matchings.c.revision.is_not(None))


def confirmed_matching(connection: sa.Connection, connection_id: int) -> StoredMatching | None:
    """The newest confirmed revision: what the list is mapped with."""
    return _read(connection, connection_id, tables.matchings.c.confirmed_at.is_not(None))


def _read(
    connection: sa.Connection, connection_id: int, condition: sa.ColumnElement[bool]
) -> StoredMatching | None:
    table = tables.matchings
    row: Any = connection.execute(
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
        # Rows stored before they had a field_type lack it.
        variables=_plain(pd.DataFrame(json.loads(row.variables), columns=COLUMNS, dtype=object)),
        confirmed_at=row.confirmed_at,
    )


def _plain(variables: pd.DataFrame) -> pd.DataFrame:
    """The columns as object, a missing value or field_type as None: what reading gives back, too."""
    columns = variables.reindex(columns=COLUMNS).reset_index(drop=True).astype(object)
    return columns.where(columns.notna(), None)
