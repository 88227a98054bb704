"""Runs that users have requested and that have not begun: at most one per connection, as JSON."""

from __future__ import annotations

import sqlalchemy as sa

from . import tables
from .upserts import put

_table = tables.run_requests


def ask(db: sa.Connection, connection_id: int, request: str) -> None:
    """Stores a request, replacing one that is still waiting."""
    put(db, _table, {"connection_id": connection_id}, {"request": request})


def withdraw(db: sa.Connection, connection_id: int) -> None:
    """Removes the request: its run has begun or will not happen."""
    db.execute(_table.delete().where(_table.c.connection_id == connection_id))
