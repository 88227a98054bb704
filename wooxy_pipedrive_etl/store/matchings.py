"""Matchings: every change is a new revision; the newest confirmed one is in force, a newer one is a draft."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from . import tables

if TYPE_CHECKING:
    # Imported where dataframes are made: what only looks need not wait for it.
    import pandas as pd

COLUMNS = ["pipedrive", "label", "wooxy", "format", "field_type"]
MatchingRow = tuple[str, str, str | None, str, str | None]


@dataclass(frozen=True)
class StoredMatching:
    """`rows`: of each variable pipedrive, label (str), wooxy (str or None), format ("String" or "DateTime"), field_type
    (str; None where it was not known when the row was stored)."""

    revision: int
    ignore_empty_values: bool
    rows: list[MatchingRow]
    confirmed_at: datetime | None

    @cached_property
    def variables(self) -> pd.DataFrame:
        """The rows as a dataframe, all columns of dtype object."""
        import pandas as pd

        return pd.DataFrame(self.rows, columns=COLUMNS, dtype=object)


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
        rows=_plain(variables),
        confirmed_at=datetime.now(UTC).replace(tzinfo=None, microsecond=0) if confirmed else None,
    )
    connection.execute(
        table.insert().values(
            connection_id=connection_id,
            revision=stored.revision,
            ignore_empty_values=ignore_empty_values,
            variables=json.dumps([dict(zip(COLUMNS, row, strict=True)) for row in stored.rows]),
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
        rows=[
            (each["pipedrive"], each["label"], each["wooxy"], each["format"], each.get("field_type"))
            for each in json.loads(row.variables)
        ],
        confirmed_at=row.confirmed_at,
    )


def _plain(variables: pd.DataFrame) -> list[MatchingRow]:
    """A missing value, or a missing column field_type, as None: what reading gives back, too."""
    columns = variables.reindex(columns=COLUMNS).astype(object)
    return list(columns.where(columns.notna(), None).itertuples(index=False, name=None))
