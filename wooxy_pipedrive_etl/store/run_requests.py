"""Runs that people have asked for and that have not begun, one for each connection at most, as JSON."""

from __future__ import annotations

import sqlalchemy as sa

from . import tables
from .upserts import put

_table = tables.run_requests


def ask(db: sa.Connection, connection_id: int, request: str) -> None:
    """In place of one that waits already."""
    put(db, _table, {"connection_id": connection_id}, {"request": request})


def withdraw(db: sa.Connection, connection_id: int) -> None:
    """It has begun, or will not."""
    db.execute(_table.delete().where(_table.c.connection_id == connection_id))
