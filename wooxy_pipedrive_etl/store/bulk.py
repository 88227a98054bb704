"""Fast bulk inserts and reads that bypass the per-value work of SQLAlchemy and the drivers: COPY on PostgreSQL,
`executemany` on SQLite."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from .database import hide_values

if TYPE_CHECKING:
    import pandas as pd

# Databases store no NUL, and UTF-8 has no lone surrogates.
_NOT_STORABLE = re.compile("[\x00\ud800-\udfff]")


def storable(text: str) -> str:
    """The text with U+FFFD for each NUL and lone surrogate, which databases reject."""
    return _NOT_STORABLE.sub("\ufffd", text)


def copy_into(
    db: sa.Connection,
    table: str,
    rows: pd.DataFrame,
    schema: str | None = None,
    types: Sequence[str] | None = None,
) -> None:
    """Appends `rows` to a table whose columns have the dataframe's column names; None is NULL.

    Values are str, int, bool or None; a str must be storable (see `storable`). `types`: PostgreSQL's names of the
    column types (`int8`, `text`), if every value has its column's type. Long texts are then sent as they are, not
    scanned for characters to escape. Raises SQLAlchemy's errors.
    """
    if rows.empty:
        return
    quote = db.dialect.identifier_preparer.quote
    target = f"{quote(schema)}.{quote(table)}" if schema else quote(table)
    names = ", ".join(quote(name) for name in rows.columns)
    # Convert columns to lists first: reading a dataframe value by value takes several times as long.
    values = zip(*(rows[name].tolist() for name in rows.columns), strict=True)
    if db.dialect.name == "postgresql":
        statement = f"COPY {target} ({names}) FROM STDIN{' (FORMAT binary)' if types else ''}"
        with _told_by_sqlalchemy(statement), db.connection.cursor().copy(statement) as copy:
            if types:
                copy.set_types(types)
            # Row by row, so that the server reads the first rows while the next ones are written.
            for row in values:
                copy.write_row(row)
    else:
        marks = ", ".join("?" * len(rows.columns))
        # Names are quoted and values are bound.
        statement = f"INSERT INTO {target} ({names}) VALUES ({marks})"  # noqa: S608
        db.exec_driver_sql(statement, list(values))


def rows_with_bytes(db: sa.Connection, query: sa.Select[Any], text: sa.ColumnElement[str]) -> Sequence[Any]:
    """The rows of a query with one long text as their last column, as UTF-8 bytes. For callers that decode it
    themselves, so that the driver need not create a str first. Raises SQLAlchemy's errors."""
    if db.dialect.name == "postgresql":
        # Only PostgreSQL needs its driver.
        import psycopg
        from psycopg.types.string import ByteaBinaryLoader

        # Give the other text columns another type, since only the long text should arrive as bytes.
        others = [
            sa.cast(each, sa.String) if isinstance(each.type, sa.Text) else each
            for each in query.selected_columns
        ]
        statement = query.with_only_columns(*others, text).compile(db)
        driver = db.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        with _told_by_sqlalchemy(statement.string), driver.cursor(binary=True) as cursor:
            cursor.adapters.register_loader("text", ByteaBinaryLoader)
            return cursor.execute(statement.string, statement.params).fetchall()
    return db.execute(query.add_columns(sa.cast(text, sa.LargeBinary))).all()


@contextmanager
def _told_by_sqlalchemy(statement: str) -> Iterator[None]:
    """Raises errors of direct driver calls as SQLAlchemy's, without the rejected values."""
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        hide_values(error)
        raise sa.exc.DBAPIError.instance(statement, None, error, psycopg.Error) from error


def among(db: sa.Connection, column: sa.ColumnElement[int], ids: Iterable[int]) -> sa.ColumnElement[bool]:
    """`column IN (ids)` with one parameter for all ids: hundreds of parameters cost more than the query itself. It is
    sent as text, because drivers process a list number by number, and SQLAlchemy holds on to its parameters until the
    next cycle collection."""
    listed = ",".join(map(str, ids))
    if db.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql

        return column == sa.any_(sa.cast(sa.literal(f"{{{listed}}}"), postgresql.ARRAY(sa.BigInteger)))
    values = sa.func.json_each(f"[{listed}]").table_valued("value")
    return column.in_(sa.select(values.c.value))


def tell_of_new_rows(engine: sa.Engine, table: sa.Table) -> None:
    """Analyzes a table that connections share after many rows were added, instead of waiting for autovacuum. Until then
    PostgreSQL's planner expects a single row for a new connection and joins row by row.

    Runs in its own transaction, since two runs at once would wait for each other. If it fails, autovacuum catches up
    later.
    """
    if engine.dialect.name == "postgresql":
        with (
            suppress(DBAPIError),
            engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db,
        ):
            db.exec_driver_sql(f"ANALYZE {table.name}")
