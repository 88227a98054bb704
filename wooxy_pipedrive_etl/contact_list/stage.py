"""The stage of a connection: the mapped contacts of all its live persons, on their way into the list.

It outlives the run, so that the next one maps only the persons that changed: each row says which text of the snapshot
it was mapped from, and what does not fit the snapshot any more, or was lost, is mapped again. The tables of the plan
are made anew for each run. All are named after the connection. Their own columns have an underscore in their names,
which no variable of a list has.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from wooxy_pipedrive_etl.store import tables
from wooxy_pipedrive_etl.store.bulk import among, copy_into

from . import dialects
from .columns import IDENTIFIERS, sql_type
from .contact_list import ContactList
from .errors import ListError

# What comes before the fed variables in a `contacts` dataframe, and what it is called here.
_LEADING = {"person_id": "person_id", "version": "person_version", "marketing_status": "marketing_status"}
_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_BATCH = 5_000

# Whether the memory of opt-outs knows the staged number, by channel; apply fills it in.
OPTED_OUT = {
    "smsSubscribe": "sms_opted_out",
    "viberSubscribe": "viber_opted_out",
    "emailSubscribe": "email_opted_out",
}


@dataclass(frozen=True)
class Work:
    """The tables of one run of a connection.

    `stage`: the mapped contacts. `meetings`: which person meets which contact that is not its own, by a stored
    identifier. `decisions`: persons that are not as simple as "own contact or a new one". `plan`: what to do for each
    person. `leaving`: what to do with each contact that has lost its person.
    """

    stage: sa.Table
    meetings: sa.Table
    decisions: sa.Table
    plan: sa.Table
    leaving: sa.Table

    @property
    def identifiers(self) -> list[str]:
        """The identifiers that are fed."""
        return [name for name in IDENTIFIERS if name in self.stage.c]


def work_tables(
    db: sa.Connection, connection_id: int, fed: Sequence[str], stored: dict[str, str | None]
) -> Work:
    """The tables for SQLAlchemy; `stored` are the list's columns. Raises ListError if a fed one isn't there."""
    missing = [name for name in fed if stored.get(name) is None]
    if missing:
        raise ListError(
            f"The list has no column {missing[0]} that can be filled; set its row of the matching to another variable."
        )
    fed_types = tuple((name, stored[name] or "text") for name in fed)
    return _work_tables(connection_id, fed_types, tuple(dialects.scratch_prefixes(db)))


# As with the list: one object for one table.
@lru_cache(maxsize=64)
def _work_tables(connection_id: int, fed: tuple[tuple[str, str], ...], prefixes: tuple[str, ...]) -> Work:
    def scratch(kind: str, *columns: sa.Column[Any]) -> sa.Table:
        return sa.Table(f"sync_{kind}_{connection_id}", sa.MetaData(), *columns, prefixes=list(prefixes))

    stage = scratch(
        "stage",
        sa.Column("person_id", _ID, primary_key=True, autoincrement=False),
        sa.Column("mapped_from", sa.Text, nullable=False),  # the fingerprint of the person in the snapshot
        sa.Column("mapped_by", sa.Text, nullable=False),  # the run that mapped or read the person last
        sa.Column("person_version", sa.BigInteger, nullable=False),
        sa.Column("marketing_status", sa.Text),
        *(sa.Column(name, sa.Boolean) for name in OPTED_OUT.values()),
        *(sa.Column(sa.quoted_name(name, quote=True), sql_type(stores)) for name, stores in fed),
    )
    meetings = scratch(
        "meetings",
        sa.Column("person_id", _ID),
        sa.Column("contact_id", _ID),
        sa.Column("identifier", sa.Text),
        sa.Column("own_contact_id", _ID),  # the person's own, by link; it may be gone
        sa.Column("holder_id", _ID),  # the person that the contact is linked to
        sa.Column("adopted", sa.Boolean),
    )
    decisions = scratch(
        "decisions",
        sa.Column("person_id", _ID, primary_key=True, autoincrement=False),
        sa.Column("state", sa.Text, nullable=False),  # write, duplicate, conflict
        sa.Column("contact_id", _ID),  # whose contact it becomes, if not its own or a new one
        sa.Column("adopts", sa.Boolean, nullable=False),
        sa.Column("takes_over", sa.Boolean, nullable=False),
        sa.Column("owner_id", _ID),  # the person it is a duplicate of
        sa.Column("detail", sa.Text),  # what a conflict is about
    )
    plan = scratch(
        "plan",
        sa.Column("person_id", _ID, nullable=False),
        sa.Column("contact_id", _ID),  # null: none yet, or none at all
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("adopts", sa.Boolean, nullable=False),
        sa.Column("takes_over", sa.Boolean, nullable=False),
        sa.Column("owner_id", _ID),
        sa.Column("detail", sa.Text),
    )
    leaving = scratch(
        "leaving", sa.Column("contact_id", _ID, nullable=False), sa.Column("action", sa.Text, nullable=False)
    )
    return Work(stage, meetings, decisions, plan, leaving)


def staged_work(db: sa.Connection, connection_id: int, stored: dict[str, str | None]) -> Work:
    """The tables of a stage that is there, with the variables that it has."""
    columns = dialects.real_columns(db, None, f"sync_stage_{connection_id}")
    return work_tables(db, connection_id, _variables(columns), stored)


def stage_variables(stage: sa.Table) -> list[str]:
    """The fed variables of a stage."""
    return _variables(column.name for column in stage.c)


def _variables(columns: Iterable[str]) -> list[str]:
    return [name for name in columns if "_" not in name]


def begin_stage(db: sa.Connection, contact_list: ContactList, connection_id: int, fed: Sequence[str]) -> None:
    """Makes an empty stage for the fed variables. Raises ListError if the list lacks one of them."""
    drop_stage(db, connection_id)
    work_tables(db, connection_id, fed, contact_list.stored(db)).stage.create(db)


def stage_fits(db: sa.Connection, contact_list: ContactList, connection_id: int, fed: Sequence[str]) -> bool:
    """Whether there is a stage that has the fed variables, and no others, as the list stores them."""
    found = dialects.real_columns(db, None, f"sync_stage_{connection_id}")
    stored = contact_list.stored(db)
    return {name: found[name] for name in _variables(found)} == {name: stored.get(name) for name in fed} and (
        "mapped_from" in found
    )


def persons_to_map(db: sa.Connection, connection_id: int) -> np.ndarray:
    """The live persons of the snapshot that the stage does not have as they are: int64, ascending."""
    stage, snapshot = _own_columns(connection_id), tables.snapshot
    outdated = (
        sa.select(snapshot.c.person_id)
        .outerjoin(stage, stage.c.person_id == snapshot.c.person_id)
        .where(
            snapshot.c.connection_id == connection_id,
            ~snapshot.c.gone,
            stage.c.mapped_from.is_distinct_from(snapshot.c.fingerprint),
        )
        .order_by(snapshot.c.person_id)
    )
    rows = db.scalars(outdated, execution_options={"yield_per": 10_000})
    return np.fromiter(rows, dtype=np.int64)


def load_stage(
    db: sa.Connection,
    connection_id: int,
    contacts: pd.DataFrame,
    fingerprints: Sequence[str],
    run_id: str,
) -> None:
    """Appends a batch, mapped by that run from the persons of these fingerprints. `contacts`: person_id, version
    (int64), marketing_status, and then an object column for each fed variable. A person comes once, and is not there
    yet. The first three go by their place, since a variable may be called `version`."""
    names = [*_LEADING.values(), *contacts.columns[len(_LEADING) :]]
    own = pd.DataFrame({"mapped_from": list(fingerprints), "mapped_by": run_id}, dtype=object)
    rows = pd.concat([own, contacts.set_axis(names, axis="columns")], axis="columns")
    copy_into(db, f"sync_stage_{connection_id}", rows)


def unload_stage(db: sa.Connection, connection_id: int, person_ids: Sequence[int]) -> None:
    """Takes persons out of the stage, who are to be mapped anew."""
    stage = _own_columns(connection_id)
    for start in range(0, len(person_ids), _BATCH):
        some = person_ids[start : start + _BATCH]
        db.execute(stage.delete().where(among(db, stage.c.person_id, some)))


def unload_departed(db: sa.Connection, connection_id: int) -> None:
    """Takes out of the stage whom the snapshot does not have, or no longer as a live person."""
    stage, snapshot = _own_columns(connection_id), tables.snapshot
    live = sa.select(1).where(
        snapshot.c.connection_id == connection_id,
        snapshot.c.person_id == stage.c.person_id,
        ~snapshot.c.gone,
    )
    db.execute(stage.delete().where(~live.exists()))


def note_read(db: sa.Connection, connection_id: int, person_ids: Sequence[int], run_id: str) -> None:
    """Notes that a run has read these persons, whether they changed or not."""
    stage = _own_columns(connection_id)
    for start in range(0, len(person_ids), _BATCH):
        some = person_ids[start : start + _BATCH]
        db.execute(stage.update().values(mapped_by=run_id).where(among(db, stage.c.person_id, some)))


def outdate(db: sa.Connection, connection_id: int, person_ids: sa.Select[Any]) -> None:
    """Has these persons mapped again, though they have not changed themselves."""
    stage = _own_columns(connection_id)
    db.execute(stage.update().values(mapped_from="").where(stage.c.person_id.in_(person_ids)))


def is_stage_empty(db: sa.Connection, connection_id: int) -> bool:
    return db.execute(sa.select(_own_columns(connection_id).c.person_id).limit(1)).first() is None


def count_staged(db: sa.Connection, connection_id: int) -> int:
    return db.execute(sa.select(sa.func.count()).select_from(_own_columns(connection_id))).scalar_one()


def drop_stage(db: sa.Connection, connection_id: int) -> None:
    """Removes the stage and the plan, if there are any."""
    drop_plan(db, connection_id)
    db.exec_driver_sql(f"DROP TABLE IF EXISTS sync_stage_{connection_id:d}")


def drop_plan(db: sa.Connection, connection_id: int) -> None:
    """Removes the plan, if there is one; the stage stays for the next run."""
    for kind in ("meetings", "decisions", "plan", "leaving"):
        db.exec_driver_sql(f"DROP TABLE IF EXISTS sync_{kind}_{connection_id:d}")


@lru_cache(maxsize=64)
def _own_columns(connection_id: int) -> sa.Table:
    """The stage, as far as it is the same for all connections."""
    return sa.Table(
        f"sync_stage_{connection_id}",
        sa.MetaData(),
        sa.Column("person_id", _ID),
        sa.Column("mapped_from", sa.Text),
        sa.Column("mapped_by", sa.Text),
    )
