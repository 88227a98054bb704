"""The list as an Import of a draft would make it: plans of a draft read this view, and the table stays unchanged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from .columns import CUSTOM_TYPES, sql_type
from .contact_list import ContactList
from .view import ListView


def drafted_view(
    db: sa.Connection,
    contact_list: ContactList,
    renamed: Sequence[tuple[str, str]],
    added: Sequence[tuple[str, str]],
) -> ListView:
    """`renamed`: (old, new) names, applied one after the other; `added`: (name, format) of variables that are empty in
    every contact."""
    stored = contact_list.stored(db)
    table = contact_list.table(stored)
    columns: dict[str, str | None] = {}
    values: dict[str, sa.ColumnElement[Any]] = {}
    for column, stores in stored.items():
        name = column
        for old, new in renamed:
            name = new if name == old else name
        columns[name], values[name] = stores, table.c[column]
    for name, format in added:
        columns[name] = CUSTOM_TYPES[format]
        values[name] = sa.cast(sa.null(), sql_type(CUSTOM_TYPES[format]))
    relation = sa.select(*(value.label(name) for name, value in values.items())).subquery("listed")
    return ListView(columns, relation)
