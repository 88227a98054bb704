"""The program's own settings, by name."""

from __future__ import annotations

import sqlalchemy as sa

from . import tables
from .upserts import insert


def get(db: sa.Connection, name: str) -> str | None:
    table = tables.settings
    return db.execute(sa.select(table.c.value).where(table.c.name == name)).scalar()


def put_if_missing(db: sa.Connection, name: str, value: str) -> bool:
    """Stores the value if the setting is missing; returns whether it was. If two callers try at once, only one gets
    True."""
    statement = insert(db, tables.settings).values(name=name, value=value).on_conflict_do_nothing()
    inserted: bool = db.execute(statement).rowcount == 1
    return inserted
