"""When Pipedrive was last checked for changes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import sqlalchemy as sa

from . import tables

_table = tables.polls

Polled = Literal["persons", "fields"]


@dataclass(frozen=True)
class Polls:
    """One row of `sync_polls`; UTC, None for never."""

    persons_at: datetime | None = None
    fields_at: datetime | None = None


def add(db: sa.Connection, connection_id: int) -> None:
    """Adds the row of a new connection, with no polls yet."""
    db.execute(_table.insert().values(connection_id=connection_id))


def note(db: sa.Connection, connection_id: int, polled: Polled, moment: datetime) -> None:
    """Records a poll. `moment`: UTC, without a zone."""
    db.execute(
        _table.update().where(_table.c.connection_id == connection_id).values({f"{polled}_at": moment})
    )
