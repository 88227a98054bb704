"""The stage of a connection: the mapped contacts of all its live persons, on their way into the list.

It outlives the run, so that the next run maps only the persons that changed. Each row records the snapshot fingerprint
that it was mapped from; rows that are missing or no longer match the snapshot are mapped again.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from wooxy_pipedrive_etl.store import tables
from wooxy_pipedrive_etl.store.bulk import among, copy_into

from . import dialects
from .scratch import ID, drop_plan, stage_table, stage_variables
from .view import ListView

# The first columns of a `contacts` dataframe, before the fed variables, and their names in the stage.
_LEADING = {"person_id": "person_id", "version": "person_version", "marketing_status": "marketing_status"}
_BATCH = 5_000


def begin_stage(db: sa.Connection, view: ListView, connection_id: int, fed: Sequence[str]) -> None:
    """Creates an empty stage for the fed variables. Raises ListError if the list lacks one of them."""
    drop_stage(db, connection_id)
    stage_table(db, connection_id, fed, view.columns).create(db)


def stage_fits(db: sa.Connection, view: ListView, connection_id: int, fed: Sequence[str]) -> bool:
    """Whether there is a stage with exactly the fed variables, as the list stores them."""
    found = dialects.real_columns(db, None, f"sync_stage_{connection_id}")
    kept = {name: found[name] for name in stage_variables(found)}
    return "mapped_from" in found and kept == {name: view.columns.get(name) for name in fed}


def persons_to_map(db: sa.Connection, connection_id: int) -> np.ndarray:
    """The live persons of the snapshot whose current version is not in the stage: int64, ascending."""
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
    """Appends a batch that the run mapped from the persons with these fingerprints. `contacts`: person_id, version
    (int64), marketing_status, then an object column per fed variable. Each person occurs once and is not in the stage
    yet. The first three columns are found by position, since a variable may be called `version`."""
    names = [*_LEADING.values(), *contacts.columns[len(_LEADING) :]]
    own = pd.DataFrame({"mapped_from": list(fingerprints), "mapped_by": run_id}, dtype=object)
    rows = pd.concat([own, contacts.set_axis(names, axis="columns")], axis="columns")
    copy_into(db, f"sync_stage_{connection_id}", rows)


def unload_stage(db: sa.Connection, connection_id: int, person_ids: Sequence[int]) -> None:
    """Removes persons from the stage, so that they are mapped again."""
    stage = _own_columns(connection_id)
    for start in range(0, len(person_ids), _BATCH):
        some = person_ids[start : start + _BATCH]
        db.execute(stage.delete().where(among(db, stage.c.person_id, some)))


def unload_departed(db: sa.Connection, connection_id: int) -> None:
    """Removes the persons that the snapshot no longer has, or has marked deleted."""
    stage, snapshot = _own_columns(connection_id), tables.snapshot
    live = sa.select(1).where(
        snapshot.c.connection_id == connection_id,
        snapshot.c.person_id == stage.c.person_id,
        ~snapshot.c.gone,
    )
    db.execute(stage.delete().where(~live.exists()))


def note_read(db: sa.Connection, connection_id: int, person_ids: Sequence[int], run_id: str) -> None:
    """Records that a run has read these persons, whether they changed or not."""
    stage = _own_columns(connection_id)
    for start in range(0, len(person_ids), _BATCH):
        some = person_ids[start : start + _BATCH]
        db.execute(stage.update().values(mapped_by=run_id).where(among(db, stage.c.person_id, some)))


def outdate(db: sa.Connection, connection_id: int, person_ids: sa.Select[Any]) -> None:
    """Makes the next mapping include these persons, although they have not changed themselves."""
    stage = _own_columns(connection_id)
    db.execute(stage.update().values(mapped_from="").where(stage.c.person_id.in_(person_ids)))


def is_stage_empty(db: sa.Connection, connection_id: int) -> bool:
    return db.execute(sa.select(_own_columns(connection_id).c.person_id).limit(1)).first() is None


def count_staged(db: sa.Connection, connection_id: int) -> int:
    return db.execute(sa.select(sa.func.count()).select_from(_own_columns(connection_id))).scalar_one()


def drop_stage(db: sa.Connection, connection_id: int) -> None:
    """Drops the stage and the plan, if they exist."""
    drop_plan(db, connection_id)
    db.exec_driver_sql(f"DROP TABLE IF EXISTS sync_stage_{connection_id:d}")


@lru_cache(maxsize=64)
def _own_columns(connection_id: int) -> sa.Table:
    """The columns of the stage that are the same for all connections."""
    return sa.Table(
        f"sync_stage_{connection_id}",
        sa.MetaData(),
        sa.Column("person_id", ID),
        sa.Column("mapped_from", sa.Text),
        sa.Column("mapped_by", sa.Text),
    )
