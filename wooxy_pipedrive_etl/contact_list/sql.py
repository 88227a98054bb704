"""Statements that several modules build in the same way."""

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
    """Inserts a row for each row of the query; returns how many. `values`: the expression for each column; the query
    itself selects no columns."""
    selected = query.add_columns(*(_named(value, name) for name, value in values.items()))
    insert = table.insert().from_select([table.c[name] for name in values], selected)
    return db.execute(insert.execution_options(preserve_rowcount=True)).rowcount


def _named(value: sa.ColumnElement[Any], name: str) -> sa.ColumnElement[Any]:
    return value if getattr(value, "name", None) == name else value.label(name)


def any_of(conditions: Iterable[sa.ColumnElement[bool]]) -> sa.ColumnElement[bool]:
    """OR, in a form that SQLite accepts with more than a thousand conditions."""
    return sa.case(*((condition, sa.true()) for condition in conditions), else_=sa.false()).is_(sa.true())
