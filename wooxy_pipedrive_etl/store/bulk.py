"""Takes a dataframe into a table the fast way: COPY on PostgreSQL, `executemany` on SQLite."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd
import sqlalchemy as sa

_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})
_SPECIAL = frozenset("\\\n\r\t")


def copy_into(connection: sa.Connection, table: str, rows: pd.DataFrame, schema: str | None = None) -> None:
    """Appends `rows` to a table whose columns are named like the dataframe's; None is NULL.

    Values are str, int, bool or None; a str must be storable (no NUL, no lone surrogate).
    """
    if rows.empty:
        return
    quote = connection.dialect.identifier_preparer.quote
    target = f"{quote(schema)}.{quote(table)}" if schema else quote(table)
    names = ", ".join(quote(name) for name in rows.columns)
    columns = [rows[name].tolist() for name in rows.columns]
    if connection.dialect.name == "postgresql":
        cursor = connection.connection.cursor()
        with cursor.copy(f"COPY {target} ({names}) FROM STDIN") as copy:
            copy.write(_copy_text(columns))
    else:
        marks = ", ".join("?" * len(columns))
        # Names are quoted and values are bound.
        statement = f"INSERT INTO {target} ({names}) VALUES ({marks})"  # noqa: S608
        connection.exec_driver_sql(statement, list(zip(*columns, strict=True)))


def _copy_text(columns: list[list[Any]]) -> bytes:
    """The rows in PostgreSQL's text format for COPY."""
    cells: list[Iterable[str]] = [_copy_cells(column) for column in columns]
    return ("\n".join(map("\t".join, zip(*cells, strict=True))) + "\n").encode()


def _copy_cells(column: list[Any]) -> list[str]:
    texts = ["\\N" if value is None else value if type(value) is str else str(value) for value in column]
    # Most columns hold none of the special characters, and one look at all of their text is cheap.
    if _SPECIAL.isdisjoint("".join(value for value in column if type(value) is str)):
        return texts
    return ["\\N" if value is None else str(value).translate(_ESCAPES) for value in column]
