"""The program's own settings, by name."""

from __future__ import annotations

import sqlalchemy as sa

from . import tables


def get(db: sa.Connection, name: str) -> str | None:
    table = tables.settings
    return db.execute(sa.select(table.c.value).where(table.c.name == name)).scalar()


def put_if_missing(db: sa.Connection, name: str, value: str) -> bool:
    """Whether it was missing; of two who put it at once, one is told so."""
    # Only those who write here need PostgreSQL's dialect, which SQLite's users would wait for.
    from sqlalchemy.dialects import postgresql, sqlite

    insert = postgresql.insert if db.dialect.name == "postgresql" else sqlite.insert
    statement = insert(tables.settings).values(name=name, value=value).on_conflict_do_nothing()
    return db.execute(statement).rowcount == 1
