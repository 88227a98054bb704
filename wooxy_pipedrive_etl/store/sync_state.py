"""How far each connection is synced: what was read, what the list was made with, what walks have shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict, Unpack

import sqlalchemy as sa

from . import tables

_table = tables.states


@dataclass(frozen=True)
class SyncState:
    """One row of `sync_states`; the table says what each column means."""

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
        """The optional fields that Pipedrive refused in the last walk."""
        return [name for name in (self.left_out_fields or "").split(",") if name]


class Changes(TypedDict, total=False):
    """What a step of a run changes of it."""

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
    """That of a new connection: nothing was read."""
    db.execute(_table.insert().values(connection_id=connection_id))


def advance(db: sa.Connection, connection_id: int, **changes: Unpack[Changes]) -> None:
    db.execute(_table.update().where(_table.c.connection_id == connection_id).values(**changes))


def fall_behind(db: sa.Connection, connection_id: int) -> None:
    """Something was stored that the list does not have yet, so that a run is due."""
    advance(db, connection_id, unapplied=True)
