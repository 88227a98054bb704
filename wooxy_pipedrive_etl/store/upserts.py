"""INSERT … ON CONFLICT, which SQLAlchemy has for each kind of database apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa


def insert(db: sa.Connection, table: sa.Table) -> Any:
    """An insert of this database's own kind."""
    # Only those who write here need PostgreSQL's dialect, which SQLite's users would wait for.
    from sqlalchemy.dialects import postgresql, sqlite

    return (postgresql.insert if db.dialect.name == "postgresql" else sqlite.insert)(table)


def put(db: sa.Connection, table: sa.Table, key: Mapping[str, object], values: Mapping[str, object]) -> None:
    """The row with this primary key has these values from now on, whoever else writes it at once."""
    statement = insert(db, table).values(**key, **values)
    db.execute(statement.on_conflict_do_update(index_elements=list(key), set_=dict(values)))
