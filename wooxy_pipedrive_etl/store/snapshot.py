"""The snapshot: the last known state of every live person, raw, as Pipedrive gave it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from . import tables
from .bulk import copy_into

_COLUMNS = ["person_id", "version", "raw"]


def land_persons(connection: sa.Connection, connection_id: int, persons: pd.DataFrame) -> int:
    """Takes a page of persons (person_id int64, version int64, raw str) into the snapshot; returns how many differed.

    The newest version on the page wins, and the page over what was known; a row that says the same as before is
    not touched.
    """
    if persons.empty:
        return 0
    newest = persons.sort_values("version", kind="stable").drop_duplicates("person_id", keep="last")
    page = sa.table("sync_page", *(sa.column(name) for name in _COLUMNS))
    _create_page_table(connection)
    copy_into(connection, "sync_page", newest[_COLUMNS])
    target = tables.snapshot
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement: Any = insert(target).from_select(
        ["connection_id", *_COLUMNS],
        # SQLite needs a WHERE between SELECT and ON CONFLICT to parse it.
        sa.select(sa.literal(connection_id), page.c.person_id, page.c.version, page.c.raw).where(sa.true()),
    )
    changed = connection.execute(
        statement.on_conflict_do_update(
            index_elements=[target.c.connection_id, target.c.person_id],
            set_={
                "version": statement.excluded.version,
                "raw": statement.excluded.raw,
                "gone": sa.false(),
            },
            where=sa.or_(target.c.raw != statement.excluded.raw, target.c.gone),
        )
    )
    return int(changed.rowcount)


def read_persons(
    connection: sa.Connection, connection_id: int, batch_size: int = 5_000
) -> Iterator[pd.DataFrame]:
    """The live persons of the snapshot in batches by person_id: person_id int64, version int64, raw (str)."""
    after = -1
    table = tables.snapshot
    while True:
        rows = connection.execute(
            sa.select(table.c.person_id, table.c.version, table.c.raw)
            .where(table.c.connection_id == connection_id, table.c.person_id > after, ~table.c.gone)
            .order_by(table.c.person_id)
            .limit(batch_size)
        ).all()
        if not rows:
            return
        after = rows[-1].person_id
        yield _frame(rows)


def _frame(rows: Sequence[Any]) -> pd.DataFrame:
    ids, versions, raws = zip(*rows, strict=True) if rows else ((), (), ())
    return pd.DataFrame(
        {
            "person_id": pd.array(ids, dtype="int64"),
            "version": pd.array(versions, dtype="int64"),
            "raw": pd.Series(raws, dtype=object),
        }
    )


def persons_of(connection: sa.Connection, connection_id: int, ids: Sequence[int]) -> pd.DataFrame:
    """Those of the given persons that the snapshot has, gone or not; columns as `read_persons`."""
    table = tables.snapshot
    rows: list[Any] = []
    for start in range(0, len(ids), 1_000):
        rows += connection.execute(
            sa.select(table.c.person_id, table.c.version, table.c.raw).where(
                table.c.connection_id == connection_id, table.c.person_id.in_(ids[start : start + 1_000])
            )
        )
    return _frame(rows)


def count_persons(connection: sa.Connection, connection_id: int) -> int:
    return connection.execute(
        sa.select(sa.func.count())
        .select_from(tables.snapshot)
        .where(tables.snapshot.c.connection_id == connection_id, ~tables.snapshot.c.gone)
    ).scalar_one()


def sample_persons(connection: sa.Connection, connection_id: int, size: int) -> pd.DataFrame:
    """Up to `size` live persons picked at random."""
    table = tables.snapshot
    ids = connection.scalars(
        sa.select(table.c.person_id)
        .where(table.c.connection_id == connection_id, ~table.c.gone)
        .order_by(sa.func.random())
        .limit(size)
    ).all()
    return persons_of(connection, connection_id, ids)


def missing_persons(connection: sa.Connection, connection_id: int, seen: np.ndarray) -> list[int]:
    """The persons of the snapshot that are not among `seen` (int64 ids), those marked gone before included."""
    table = tables.snapshot
    known = np.fromiter(
        connection.scalars(
            sa.select(table.c.person_id).where(table.c.connection_id == connection_id),
            # For this statement alone: a connection keeps its options.
            execution_options={"yield_per": 10_000},
        ),
        dtype=np.int64,
    )
    missing: list[int] = np.setdiff1d(known, seen).tolist()
    return missing


def mark_gone(connection: sa.Connection, connection_id: int, person_ids: Sequence[int]) -> None:
    """Marks persons that Pipedrive no longer has; `forget_gone_persons` lets them go with their contacts."""
    table = tables.snapshot
    for start in range(0, len(person_ids), 1_000):
        connection.execute(
            table.update()
            .where(
                table.c.connection_id == connection_id,
                table.c.person_id.in_(person_ids[start : start + 1_000]),
            )
            .values(gone=True)
        )


def forget_gone_persons(connection: sa.Connection, connection_id: int) -> None:
    """Takes the persons marked gone out of the snapshot; only their ids and the time stay."""
    table = tables.snapshot
    person_ids = connection.scalars(
        sa.select(table.c.person_id).where(table.c.connection_id == connection_id, table.c.gone)
    ).all()
    now = datetime.now(UTC).replace(tzinfo=None)
    for start in range(0, len(person_ids), 1_000):
        ids = person_ids[start : start + 1_000]
        for table in (tables.snapshot, tables.tombstones):
            connection.execute(
                table.delete().where(table.c.connection_id == connection_id, table.c.person_id.in_(ids))
            )
        connection.execute(
            tables.tombstones.insert(),
            [{"connection_id": connection_id, "person_id": i, "deleted_at": now} for i in ids],
        )


def _create_page_table(connection: sa.Connection) -> None:
    connection.exec_driver_sql(
        "CREATE TEMP TABLE IF NOT EXISTS sync_page (person_id BIGINT, version BIGINT, raw TEXT)"
    )
    # PostgreSQL would keep deleted rows of a temporary table as long as the session lasts.
    emptied = "TRUNCATE sync_page" if connection.dialect.name == "postgresql" else "DELETE FROM sync_page"
    connection.exec_driver_sql(emptied)
