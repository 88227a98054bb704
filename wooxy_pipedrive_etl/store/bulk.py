"""Many rows into a table and out of it the fast way, past what SQLAlchemy and the drivers do value by value: COPY on
PostgreSQL, `executemany` on SQLite."""

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

# No database stores the one, and neither is text in UTF-8 with the others.
_NOT_STORABLE = re.compile("[\x00\ud800-\udfff]")


def storable(text: str) -> str:
    """The text with U+FFFD for each NUL and lone surrogate, which databases refuse."""
    return _NOT_STORABLE.sub("\ufffd", text)


def copy_into(
    db: sa.Connection,
    table: str,
    rows: pd.DataFrame,
    schema: str | None = None,
    types: Sequence[str] | None = None,
) -> None:
    """Appends `rows` to a table whose columns are named like the dataframe's; None is NULL.

    Values are str, int, bool or None; a str must be storable (see `storable`). `types`: PostgreSQL's names of the
    columns' types, if each is that of its values (`int8`, `text`): then long texts go as they are, without being looked
    through for what must be escaped. Raises SQLAlchemy's errors.
    """
    if rows.empty:
        return
    quote = db.dialect.identifier_preparer.quote
    target = f"{quote(schema)}.{quote(table)}" if schema else quote(table)
    names = ", ".join(quote(name) for name in rows.columns)
    # Columns as lists first: what comes out of a dataframe value by value takes several times as long.
    values = zip(*(rows[name].tolist() for name in rows.columns), strict=True)
    if db.dialect.name == "postgresql":
        statement = f"COPY {target} ({names}) FROM STDIN{' (FORMAT binary)' if types else ''}"
        with _told_by_sqlalchemy(statement), db.connection.cursor().copy(statement) as copy:
            if types:
                copy.set_types(types)
            # Row by row, so that the server takes in the first rows while the next are written.
            for row in values:
                copy.write_row(row)
    else:
        marks = ", ".join("?" * len(rows.columns))
        # Names are quoted and values are bound.
        statement = f"INSERT INTO {target} ({names}) VALUES ({marks})"  # noqa: S608
        db.exec_driver_sql(statement, list(values))


def rows_with_bytes(db: sa.Connection, query: sa.Select[Any], text: sa.ColumnElement[str]) -> Sequence[Any]:
    """The rows of a query and, as their last column, a long text as bytes in UTF-8: for who decodes it anyway, so that
    the driver need not make a str of it before. Raises SQLAlchemy's errors."""
    if db.dialect.name == "postgresql":
        # Only PostgreSQL's users need its driver.
        import psycopg
        from psycopg.types.string import ByteaBinaryLoader

        # Another type than that of the long text, which is the only one that comes as bytes.
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
    """Errors of what the driver is told directly come as SQLAlchemy's, and tell no values."""
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        hide_values(error)
        raise sa.exc.DBAPIError.instance(statement, None, error, psycopg.Error) from error


def among(db: sa.Connection, column: sa.ColumnElement[int], ids: Iterable[int]) -> sa.ColumnElement[bool]:
    """`column IN (ids)` with one parameter for all of them: hundreds cost more than the query that they are for. As
    text, since a driver goes through a list number by number, and SQLAlchemy keeps what it was given until cycles are
    looked for."""
    listed = ",".join(map(str, ids))
    if db.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql

        return column == sa.any_(sa.cast(sa.literal(f"{{{listed}}}"), postgresql.ARRAY(sa.BigInteger)))
    values = sa.func.json_each(f"[{listed}]").table_valued("value")
    return column.in_(sa.select(values.c.value))


def tell_of_new_rows(engine: sa.Engine, table: sa.Table) -> None:
    """Tells PostgreSQL's planner of many new rows in a table that connections share, before autovacuum does: of a
    connection that it has not heard of it expects a single row, and then joins row by row. In a transaction of its own,
    since two runs at once would wait for each other; if it can't be, autovacuum does it some time later."""
    if engine.dialect.name == "postgresql":
        with (
            suppress(DBAPIError),
            engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db,
        ):
            db.exec_driver_sql(f"ANALYZE {table.name}")
