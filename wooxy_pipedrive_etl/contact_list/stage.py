"""The stage of a connection: the mapped contacts of all its live persons, on their way into the list.

It outlives the run, so that the next one maps only the persons that changed: each row says which text of the snapshot
it was mapped from, and what no longer fits the snapshot, or was lost, is mapped again.
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

# What comes before the fed variables in a `contacts` dataframe, and what it is called here.
_LEADING = {"person_id": "person_id", "version": "person_version", "marketing_status": "marketing_status"}
_BATCH = 5_000


def begin_stage(db: sa.Connection, view: ListView, connection_id: int, fed: Sequence[str]) -> None:
    """Makes an empty stage for the fed variables. Raises ListError if the list lacks one of them."""
    drop_stage(db, connection_id)
    stage_table(db, connection_id, fed, view.columns).create(db)


def stage_fits(db: sa.Connection, view: ListView, connection_id: int, fed: Sequence[str]) -> bool:
    """Whether there is a stage that has the fed variables, and no others, as the list stores them."""
    found = dialects.real_columns(db, None, f"sync_stage_{connection_id}")
    kept = {name: found[name] for name in stage_variables(found)}
    return "mapped_from" in found and kept == {name: view.columns.get(name) for name in fed}


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


@lru_cache(maxsize=64)
def _own_columns(connection_id: int) -> sa.Table:
    """The stage, as far as it is the same for all connections."""
    return sa.Table(
        f"sync_stage_{connection_id}",
        sa.MetaData(),
        sa.Column("person_id", ID),
        sa.Column("mapped_from", sa.Text),
        sa.Column("mapped_by", sa.Text),
    )
