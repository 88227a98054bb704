"""Which contacts a run would have deleted or deactivated: shown for a refused or dry run, for a user to allow.

Only ids are stored; the contacts are looked up in the list when someone views them.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from . import tables

_table = tables.planned_deletions


def replace(
    db: sa.Connection, connection_id: int, run_id: str, contacts: sa.Select[tuple[int]], keep: str | None
) -> None:
    """Stores what this run would delete, and removes the planned deletions of other runs, except `keep`: a run whose
    deletions a user may be about to allow. `contacts`: their ids."""
    others = [_table.c.run_id != keep] if keep is not None else []
    db.execute(_table.delete().where(_table.c.connection_id == connection_id, *others))
    ids = contacts.subquery("going")
    rows = sa.select(sa.literal(connection_id), sa.literal(run_id), *ids.c)
    db.execute(_table.insert().from_select(["connection_id", "run_id", "contact_id"], rows))


def forget(db: sa.Connection, connection_id: int) -> None:
    """Removes all of them, because the list has been written since."""
    db.execute(_table.delete().where(_table.c.connection_id == connection_id))


def count(db: sa.Connection, connection_id: int, run_id: str) -> int:
    return db.execute(
        sa.select(sa.func.count()).where(_table.c.connection_id == connection_id, _table.c.run_id == run_id)
    ).scalar_one()


def count_others(db: sa.Connection, connection_id: int, run_id: str, contacts: sa.Select[tuple[int]]) -> int:
    """How many of these contacts (their ids) the run did not list."""
    going = contacts.subquery("going")
    (contact_id,) = going.c
    listed = sa.select(1).where(
        _table.c.connection_id == connection_id,
        _table.c.run_id == run_id,
        _table.c.contact_id == contact_id,
    )
    return db.execute(sa.select(sa.func.count()).select_from(going).where(~listed.exists())).scalar_one()


def contact_ids(
    db: sa.Connection, connection_id: int, run_id: str, *, limit: int | None = None, offset: int = 0
) -> Sequence[int]:
    """The ids, ascending."""
    query = (
        sa.select(_table.c.contact_id)
        .where(_table.c.connection_id == connection_id, _table.c.run_id == run_id)
        .order_by(_table.c.contact_id)
        .limit(limit)
        .offset(offset)
    )
    return db.scalars(query).all()
