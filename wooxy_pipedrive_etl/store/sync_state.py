"""How far each connection is synced: what was read, what the list was made from, and what walks have shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict, Unpack

import sqlalchemy as sa

from . import tables

_table = tables.states


@dataclass(frozen=True)
class SyncState:
    """One row of `sync_states`; `tables.py` explains each column."""

    watermark: int | None
    names_watermark: int | None
    left_out_fields: str | None
    null_update_times: bool | None
    applied_revision: int | None
    mapped_with: str | None
    unapplied: bool
    plain_walk_began: int | None
    windows_refused_at: int | None

    @property
    def left_out(self) -> list[str]:
        """The optional fields that Pipedrive rejected in the last walk."""
        return [name for name in (self.left_out_fields or "").split(",") if name]


class Changes(TypedDict, total=False):
    """The columns that a step of a run changes."""

    watermark: int | None
    names_watermark: int | None
    left_out_fields: str
    null_update_times: bool
    applied_revision: int
    mapped_with: str | None
    unapplied: bool
    plain_walk_began: int
    windows_refused_at: int


def add(db: sa.Connection, connection_id: int) -> None:
    """Adds the state of a new connection: nothing read yet."""
    db.execute(_table.insert().values(connection_id=connection_id))


def advance(db: sa.Connection, connection_id: int, **changes: Unpack[Changes]) -> None:
    db.execute(_table.update().where(_table.c.connection_id == connection_id).values(**changes))


def fall_behind(db: sa.Connection, connection_id: int) -> None:
    """Records that something was stored that is not in the list yet, so a run is due."""
    advance(db, connection_id, unapplied=True)
