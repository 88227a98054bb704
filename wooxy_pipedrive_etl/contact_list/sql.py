"""Statements that more than one module puts together in the same way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa


def insert_into(
    db: sa.Connection,
    table: sa.Table,
    values: Mapping[str, sa.ColumnElement[Any]],
    query: sa.Select[Any],
) -> int:
    """Inserts a row for each row of the query, and returns how many. `values` says what goes into which column; the
    query selects no columns of its own."""
    selected = query.add_columns(*(_named(value, name) for name, value in values.items()))
    insert = table.insert().from_select([table.c[name] for name in values], selected)
    return db.execute(insert.execution_options(preserve_rowcount=True)).rowcount


def _named(value: sa.ColumnElement[Any], name: str) -> sa.ColumnElement[Any]:
    return value if getattr(value, "name", None) == name else value.label(name)


def any_of(conditions: Iterable[sa.ColumnElement[bool]]) -> sa.ColumnElement[bool]:
    """OR, in a form that SQLite takes with more than a thousand conditions."""
    return sa.case(*((condition, sa.true()) for condition in conditions), else_=sa.false()).is_(sa.true())
