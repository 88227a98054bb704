"""Takes a dataframe into a table the fast way: COPY on PostgreSQL, `executemany` on SQLite."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import pandas as pd
import psycopg
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError

from .database import hide_values

# The backslash first, since the others bring one in.
_ESCAPES = (("\\", "\\\\"), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t"))
# No database stores the one, and neither is text in UTF-8 with the others.
_NOT_STORABLE = re.compile("[\x00\ud800-\udfff]")


def storable(text: str) -> str:
    """The text with U+FFFD for each NUL and lone surrogate, which databases refuse."""
    return _NOT_STORABLE.sub("\ufffd", text)


def copy_into(connection: sa.Connection, table: str, rows: pd.DataFrame, schema: str | None = None) -> None:
    """Appends `rows` to a table whose columns are named like the dataframe's; None is NULL.

    Values are str, int, bool or None; a str must be storable (see `storable`). Raises SQLAlchemy's errors.
    """
    if rows.empty:
        return
    quote = connection.dialect.identifier_preparer.quote
    target = f"{quote(schema)}.{quote(table)}" if schema else quote(table)
    names = ", ".join(quote(name) for name in rows.columns)
    columns = [rows[name].tolist() for name in rows.columns]
    if connection.dialect.name == "postgresql":
        statement = f"COPY {target} ({names}) FROM STDIN"
        try:
            with connection.connection.cursor().copy(statement) as copy:
                copy.write(_copy_text(columns))
        except psycopg.Error as error:
            hide_values(error)
            raise sa.exc.DBAPIError.instance(statement, None, error, psycopg.Error) from error
    else:
        marks = ", ".join("?" * len(columns))
        # Names are quoted and values are bound.
        statement = f"INSERT INTO {target} ({names}) VALUES ({marks})"  # noqa: S608
        connection.exec_driver_sql(statement, list(zip(*columns, strict=True)))


def among(
    connection: sa.Connection, column: sa.ColumnElement[int], ids: Sequence[int]
) -> sa.ColumnElement[bool]:
    """`column IN (ids)` with one parameter for all of them: hundreds cost more than the query that they are for."""
    if connection.dialect.name == "postgresql":
        return column == sa.any_(sa.literal(list(ids), postgresql.ARRAY(sa.BigInteger)))
    values = sa.func.json_each(json.dumps(list(ids))).table_valued("value")
    return column.in_(sa.select(values.c.value))


def _copy_text(columns: list[list[Any]]) -> bytes:
    """The rows in PostgreSQL's text format for COPY."""
    cells: list[Iterable[str]] = [_copy_cells(column) for column in columns]
    # Encoded row by row: in one long text, a single emoji would make each character of all rows four bytes wide.
    return b"\n".join(["\t".join(row).encode() for row in zip(*cells, strict=True)]) + b"\n"


def _copy_cells(column: list[Any]) -> list[str]:
    texts = ["\\N" if value is None else value if type(value) is str else str(value) for value in column]
    # Most columns hold none of the special characters, and one look at all of their text is cheap.
    everything = "".join([value for value in column if isinstance(value, str)])
    escapes = [(character, escape) for character, escape in _ESCAPES if character in everything]
    if not escapes:
        return texts
    return [
        text if value is None else _escaped(text, escapes) for text, value in zip(texts, column, strict=True)
    ]


def _escaped(text: str, escapes: list[tuple[str, str]]) -> str:
    for character, escape in escapes:
        text = text.replace(character, escape)
    return text


def tell_of_new_rows(engine: sa.Engine, table: sa.Table) -> None:
    """Tells PostgreSQL's planner of many new rows in a table that connections share, before autovacuum does: of a
    connection that it has not heard of it expects a single row, and then joins row by row. In a transaction of its own,
    since two runs at once would wait for each other; if it can't be, autovacuum does it some time later."""
    if engine.dialect.name == "postgresql":
        with (
            suppress(DBAPIError),
            engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection,
        ):
            connection.exec_driver_sql(f"ANALYZE {table.name}")
