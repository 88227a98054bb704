"""The program's own settings, by name."""

from __future__ import annotations

import sqlalchemy as sa

from . import tables
from .upserts import insert


def get(db: sa.Connection, name: str) -> str | None:
    table = tables.settings
    return db.execute(sa.select(table.c.value).where(table.c.name == name)).scalar()


def put_if_missing(db: sa.Connection, name: str, value: str) -> bool:
    """Whether it was missing; of two who put it at once, one is told so."""
    statement = insert(db, tables.settings).values(name=name, value=value).on_conflict_do_nothing()
    inserted: bool = db.execute(statement).rowcount == 1
    return inserted
