"""The tables that a run fills for a connection on its way to the list: the stage, and those of the plan.

All are named after the connection. Their own columns have an underscore in their names, which no variable of a list
has.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa

from . import dialects
from .columns import sql_type
from .errors import ListError

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# The columns of the stage that say, per channel, whether the staged number is a remembered opt-out; filled by apply.
OPTED_OUT = {
    "smsSubscribe": "sms_opted_out",
    "viberSubscribe": "viber_opted_out",
    "emailSubscribe": "email_opted_out",
}


# The action of an orphaned contact that stays but is no longer managed, as shown in samples of a plan.
RELEASED = "let_go"


class PlanTables(NamedTuple):
    """The tables of one plan.

    `identifier_matches`: which person has an identifier that a contact, not its own, has in the list. `resolved`:
    persons that are not simply "own contact or a new one". `plan`: what to do for each person. `orphaned`: what to do
    with each contact that has lost its person.
    """

    identifier_matches: sa.Table
    resolved: sa.Table
    plan: sa.Table
    orphaned: sa.Table


def plan_tables(db: sa.Connection, connection_id: int) -> PlanTables:
    return _plan_tables(connection_id, tuple(dialects.scratch_prefixes(db)))


def drop_plan(db: sa.Connection, connection_id: int) -> None:
    """Drops the plan, if there is one. The stage stays for the next run."""
    for table in plan_tables(db, connection_id):
        db.execute(sa.schema.DropTable(table, if_exists=True))


def stage_table(
    db: sa.Connection, connection_id: int, fed: Sequence[str], stored: dict[str, str | None]
) -> sa.Table:
    """The stage for these variables; `stored`: the list's columns. Raises ListError if a fed one is missing there."""
    missing = [name for name in fed if stored.get(name) is None]
    if missing:
        raise ListError(
            f"The list has no column {missing[0]} that can be filled; set its row of the matching to another variable."
        )
    fed_types = tuple((name, stored[name] or "text") for name in fed)
    return _stage_table(connection_id, fed_types, tuple(dialects.scratch_prefixes(db)))


def existing_stage(db: sa.Connection, connection_id: int, stored: dict[str, str | None]) -> sa.Table:
    """The existing stage, with its variables."""
    columns = dialects.real_columns(db, None, f"sync_stage_{connection_id}")
    return stage_table(db, connection_id, stage_variables(columns), stored)


def stage_variables(columns: Iterable[str]) -> list[str]:
    """The fed variables among the columns of a stage."""
    return [name for name in columns if "_" not in name]


# Cached like the list's table: one object per table.
@lru_cache(maxsize=64)
def _stage_table(connection_id: int, fed: tuple[tuple[str, str], ...], prefixes: tuple[str, ...]) -> sa.Table:
    return _scratch_table(
        f"sync_stage_{connection_id}",
        prefixes,
        sa.Column("person_id", ID, primary_key=True, autoincrement=False),
        sa.Column("mapped_from", sa.Text, nullable=False),  # the fingerprint of the person in the snapshot
        sa.Column("mapped_by", sa.Text, nullable=False),  # the last run that mapped or read the person
        sa.Column("person_version", sa.BigInteger, nullable=False),
        sa.Column("marketing_status", sa.Text),
        *(sa.Column(name, sa.Boolean) for name in OPTED_OUT.values()),
        *(sa.Column(sa.quoted_name(name, quote=True), sql_type(stores)) for name, stores in fed),
    )


@lru_cache(maxsize=64)
def _plan_tables(connection_id: int, prefixes: tuple[str, ...]) -> PlanTables:
    return PlanTables(
        identifier_matches=_scratch_table(
            f"sync_identifier_matches_{connection_id}",
            prefixes,
            sa.Column("person_id", ID),
            sa.Column("contact_id", ID),
            sa.Column("identifier", sa.Text),
            sa.Column("own_contact_id", ID),  # the person's own, by link; may no longer exist
            sa.Column("holder_id", ID),  # the person that the contact is linked to
            sa.Column("adopted", sa.Boolean),
        ),
        resolved=_scratch_table(
            f"sync_resolved_{connection_id}",
            prefixes,
            sa.Column("person_id", ID, primary_key=True, autoincrement=False),
            sa.Column("state", sa.Text, nullable=False),  # write, duplicate, conflict
            sa.Column("contact_id", ID),  # the contact that the person gets, if not its own or a new one
            sa.Column("adopts", sa.Boolean, nullable=False),
            sa.Column("handed_over", sa.Boolean, nullable=False),  # the contact belonged to another person
            sa.Column("owner_id", ID),  # the person that this one is a duplicate of
            sa.Column("detail", sa.Text),  # what a conflict is about
        ),
        plan=_scratch_table(
            f"sync_plan_{connection_id}",
            prefixes,
            sa.Column("person_id", ID, nullable=False),
            sa.Column("contact_id", ID),  # null: none yet, or none at all
            sa.Column("action", sa.Text, nullable=False),
            sa.Column("adopts", sa.Boolean, nullable=False),
            sa.Column("handed_over", sa.Boolean, nullable=False),
            sa.Column("owner_id", ID),
            sa.Column("detail", sa.Text),
        ),
        orphaned=_scratch_table(
            f"sync_orphaned_{connection_id}",
            prefixes,
            sa.Column("contact_id", ID, nullable=False),
            sa.Column("action", sa.Text, nullable=False),  # delete, deactivate, RELEASED
        ),
    )


def _scratch_table(name: str, prefixes: tuple[str, ...], *columns: sa.Column[Any]) -> sa.Table:
    return sa.Table(name, sa.MetaData(), *columns, prefixes=list(prefixes))
