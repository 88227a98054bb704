"""What a run records about each contact that it touches: the event, and the names of the variables that it changed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import add
from typing import Any

import sqlalchemy as sa

from .columns import CHANNELS

# SQLite rejects expressions deeper than a thousand levels. Each `||` in a chain is one level; all arguments of a call
# share one.
_JOINED_AT_ONCE = 100


def changed_variables(
    listed: sa.Table,
    differs: Mapping[str, sa.ColumnElement[bool]],
    values: Mapping[str, sa.ColumnElement[Any]],
) -> sa.ColumnElement[str]:
    """The names of the variables that an update changes, comma-separated, as an SQL expression.

    `differs`: see `Tables.changes`. `values`: what the update writes into each column.
    """
    # A flag may also change for reasons other than its staged value.
    flags = {
        name: listed.c[name].is_distinct_from(values[name])
        for name in ("active", *CHANNELS)
        if name in values
    }
    names: list[sa.ColumnElement[str]] = [
        sa.case((change, f",{name}"), else_="") for name, change in {**differs, **flags}.items()
    ]
    return sa.func.substr(_joined(names), 2)


def _joined(texts: list[sa.ColumnElement[str]]) -> sa.ColumnElement[str]:
    while len(texts) > 1:
        groups = [texts[start : start + _JOINED_AT_ONCE] for start in range(0, len(texts), _JOINED_AT_ONCE)]
        texts = [sa.func.coalesce(reduce(add, group), "") for group in groups]
    return texts[0]
