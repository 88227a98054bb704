"""A full walk that is in progress or was interrupted: its position and the persons seen, so that it can be resumed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import sqlalchemy as sa

from . import tables

_IDS = np.dtype("<i8")


@dataclass(frozen=True)
class UnfinishedWalk:
    """`began`: by the server's clock, in epoch microseconds; `fields`: the optional fields that it requests; `seen`:
    the ids (int64) of each page read. A sequential walk resumes at `next_cursor` (None before its first page), a
    windowed walk with the `unread` spans of update_time (epoch seconds)."""

    began: int
    fields: list[str]
    seen: list[np.ndarray]
    next_cursor: str | None
    unread: list[tuple[int | None, int | None]] | None


def begin_walk(db: sa.Connection, connection_id: int, began: int, fields: Sequence[str]) -> UnfinishedWalk:
    """Begins a new walk, replacing any older one."""
    forget_walk(db, connection_id)
    db.execute(
        tables.walks.insert().values(connection_id=connection_id, began=began, fields=",".join(fields))
    )
    return UnfinishedWalk(began, list(fields), [], None, None)


def unfinished_walk(db: sa.Connection, connection_id: int) -> UnfinishedWalk | None:
    """The last walk that began, unless it was forgotten or has nothing left to read."""
    walks, pages = tables.walks, tables.walk_pages
    walk = db.execute(
        sa.select(walks.c.began, walks.c.fields).where(walks.c.connection_id == connection_id)
    ).one_or_none()
    if walk is None:
        return None
    rows = db.execute(
        sa.select(pages.c.person_ids, pages.c.next_cursor, pages.c.unread)
        .where(pages.c.connection_id == connection_id)
        .order_by(pages.c.number)
    ).all()
    unread = None if not rows or rows[-1].unread is None else json.loads(rows[-1].unread)
    if rows and unread is None and rows[-1].next_cursor is None:
        return None
    return UnfinishedWalk(
        walk.began,
        walk.fields.split(",") if walk.fields else [],
        [np.frombuffer(row.person_ids, dtype=_IDS) for row in rows],
        rows[-1].next_cursor if rows else None,
        None if unread is None else [(start, end) for start, end in unread],
    )


def add_page(
    db: sa.Connection,
    connection_id: int,
    person_ids: np.ndarray,
    *,
    next_cursor: str | None = None,
    unread: Sequence[tuple[int | None, int | None]] | None = None,
) -> None:
    """Records a page that was read, after the pages already recorded, and where to resume. Does nothing if the walk was
    forgotten."""
    walks, pages = tables.walks, tables.walk_pages
    if db.scalar(sa.select(walks.c.began).where(walks.c.connection_id == connection_id)) is not None:
        last = db.scalar(sa.select(sa.func.max(pages.c.number)).where(pages.c.connection_id == connection_id))
        db.execute(
            pages.insert().values(
                connection_id=connection_id,
                number=0 if last is None else last + 1,
                next_cursor=next_cursor,
                unread=None if unread is None else json.dumps(unread),
                person_ids=person_ids.astype(_IDS).tobytes(),
            )
        )


def forget_walk(db: sa.Connection, connection_id: int) -> None:
    """Removes the walk: it is complete or can't be resumed."""
    for table in (tables.walk_pages, tables.walks):
        db.execute(table.delete().where(table.c.connection_id == connection_id))
