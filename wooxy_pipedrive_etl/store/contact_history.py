"""The history of contacts: what runs did to each of them. Ids and variable names only, never a value.

A deleted contact keeps only the row that records the deletion: of a deleted person, only the id and the time may stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from . import tables

# handed_over: another person now owns the contact. released: an adopted contact lost its person and stays.
Action = Literal["created", "updated", "adopted", "handed_over", "released", "deactivated", "deleted"]

_COLUMNS = ["contact_id", "person_id", "variables", "connection_id", "run_id", "at", "action"]


@dataclass(frozen=True)
class Event:
    """`at`: UTC, without a zone. `person_id`: the owner after the event. `variables`: names of the variables that an
    update changed; empty for other actions."""

    at: datetime
    run_id: str
    action: str
    person_id: int | None
    variables: tuple[str, ...]


def note(
    db: sa.Connection,
    connection_id: int,
    run_id: str,
    at: datetime,
    action: Action,
    contacts: sa.Select[Any],
) -> None:
    """Records an action. `contacts`: contact_id, person_id, and the comma-separated names of the changed variables, or
    null."""
    table = tables.contact_history
    same = (
        sa.literal(connection_id),
        sa.literal(run_id),
        sa.literal(at, table.c.at.type),
        sa.literal(action),
    )
    db.execute(table.insert().from_select(_COLUMNS, contacts.add_columns(*same)))


def forget_contacts(db: sa.Connection, connection_id: int, contact_ids: sa.Select[Any]) -> None:
    """Removes the history of these contacts."""
    table = tables.contact_history
    db.execute(
        table.delete().where(table.c.connection_id == connection_id, table.c.contact_id.in_(contact_ids))
    )


def history_of(db: sa.Connection, connection_id: int, contact_id: int, limit: int = 200) -> list[Event]:
    """The history of a contact, newest first."""
    table = tables.contact_history
    rows = db.execute(
        sa.select(table.c.at, table.c.run_id, table.c.action, table.c.person_id, table.c.variables)
        .where(table.c.connection_id == connection_id, table.c.contact_id == contact_id)
        .order_by(table.c.id.desc())
        .limit(limit)
    )
    return [
        Event(at, run_id, action, person_id, tuple(variables.split(",")) if variables else ())
        for at, run_id, action, person_id, variables in rows
    ]
