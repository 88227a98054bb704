"""INSERT … ON CONFLICT, for which SQLAlchemy has a separate construct per database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa


def insert(db: sa.Connection, table: sa.Table) -> Any:
    """An insert for the database in use."""
    # Imported here: only writers need PostgreSQL's dialect, and SQLite's users should not wait for it.
    from sqlalchemy.dialects import postgresql, sqlite

    return (postgresql.insert if db.dialect.name == "postgresql" else sqlite.insert)(table)


def put(db: sa.Connection, table: sa.Table, key: Mapping[str, object], values: Mapping[str, object]) -> None:
    """Sets the values of the row with this primary key, or inserts it; safe with concurrent writers."""
    statement = insert(db, table).values(**key, **values)
    db.execute(statement.on_conflict_do_update(index_elements=list(key), set_=dict(values)))
