"""How far the current runs are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from . import Store, runs
from .clock import utc_now
from .connections import ConnectionRecord
from .database import reading
from .inbox import progress as table


@dataclass(frozen=True)
class Progress:
    """`what`: the current step. `done`: how many items of the step are done; `total`: of how many (None: unknown).
    `began_at`: when the step began; `noted_at`: when this was recorded (both UTC, without a zone). `rate`: items per
    second (None: too early to say). `seconds_left`: for this step, as of `noted_at` (None: unknown)."""

    run_id: str
    what: str
    done: int
    total: int | None
    began_at: datetime
    noted_at: datetime
    rate: float | None
    seconds_left: float | None


def note_progress(
    inbox: sa.Engine, connection_id: int, run_id: str, what: str, done: int, total: int | None
) -> None:
    """Records the progress of a step. A new `what` begins a new step."""
    now = utc_now()
    values = {"done": done, "total": total, "noted_at": now}
    mine = table.c.connection_id == connection_id
    with inbox.begin() as db:
        goes_on = db.execute(
            table.update().where(mine, table.c.run_id == run_id, table.c.what == what).values(**values)
        ).rowcount
        if not goes_on:
            db.execute(table.delete().where(mine))
            begins = {"run_id": run_id, "what": what, "began_with": done, "began_at": now}
            db.execute(table.insert().values(connection_id=connection_id, **begins, **values))


def forget_progress(inbox: sa.Engine, connection_id: int, run_id: str) -> None:
    with inbox.begin() as db:
        db.execute(table.delete().where(table.c.connection_id == connection_id, table.c.run_id == run_id))


def read_progress(store: Store, record: ConnectionRecord) -> Progress | None:
    """How far the current run is; None if no run is in progress or it has not recorded anything yet."""
    with reading(store.engine) as db:
        run = runs.current_run(db, record.id)
    if run is None:
        return None
    wanted = sa.select(table).where(table.c.connection_id == record.id, table.c.run_id == run.run_id)
    with reading(store.inbox) as db:
        row = db.execute(wanted).one_or_none()
    if row is None:
        return None
    seconds = (row.noted_at - row.began_at).total_seconds()
    rate = (row.done - row.began_with) / seconds if seconds > 0 and row.done > row.began_with else None
    left = None if row.total is None or row.total < row.done else row.total - row.done
    return Progress(
        row.run_id,
        row.what,
        row.done,
        row.total,
        row.began_at,
        row.noted_at,
        rate,
        None if rate is None or left is None else left / rate,
    )
