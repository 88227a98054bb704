"""The snapshot: the last known state of every live person, raw, as Pipedrive sent it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from . import tables
from .bulk import among, copy_into, rows_with_bytes
from .clock import utc_now

if TYPE_CHECKING:
    # Imported only where dataframes are made: counting persons need not wait for it.
    import numpy as np
    import pandas as pd

_LANDED = ("person_id", "version", "raw")
_HASHED_AT_ONCE = 2_047


def land_persons(db: sa.Connection, connection_id: int, persons: pd.DataFrame) -> int:
    """Stores a page of persons (person_id int64, version int64, raw str) in the snapshot; returns how many differed.

    The newest version on the page wins, and the page wins over the snapshot. A row that is already the same is not
    touched.
    """
    import pandas as pd

    if persons.empty:
        return 0
    table = tables.snapshot
    newest: dict[int, tuple[int, str]] = {}
    for person_id, version, raw in zip(*(persons[name].tolist() for name in _LANDED), strict=True):
        if person_id not in newest or newest[person_id][0] <= version:
            newest[person_id] = (version, raw)
    # Compare fingerprints here, so that an unchanged person's text need not be sent to the database.
    known = {
        row.person_id: None if row.gone else row.fingerprint
        for row in db.execute(
            sa.select(table.c.person_id, table.c.fingerprint, table.c.gone).where(
                table.c.connection_id == connection_id,
                # The ids on a page of a walk by id are close together, so this is a short range of the index.
                table.c.person_id.between(min(newest), max(newest)),
                among(db, table.c.person_id, list(newest)),
            )
        )
    }
    landed = []
    for person_id, (version, raw) in newest.items():
        fingerprint = _fingerprint(raw)
        if known.get(person_id) != fingerprint:
            landed.append((connection_id, person_id, version, raw, fingerprint))
    stale = [person_id for _, person_id, *_ in landed if person_id in known]
    if stale:
        own = table.c.connection_id == connection_id
        db.execute(table.delete().where(own, among(db, table.c.person_id, stale)))
    rows = pd.DataFrame(landed, columns=["connection_id", *_LANDED, "fingerprint"])
    copy_into(db, table.name, rows, types=["int8", "int8", "int8", "text", "text"])
    return len(landed)


def _fingerprint(raw: str) -> str:
    # In chunks small enough for hashlib to keep the GIL: getting it back from the thread that reads the next page takes
    # several times as long as hashing.
    digest = blake2b(digest_size=16)
    text = raw.encode()
    for start in range(0, len(text), _HASHED_AT_ONCE):
        digest.update(text[start : start + _HASHED_AT_ONCE])
    return digest.hexdigest()


def read_persons(
    db: sa.Connection, connection_id: int, person_ids: np.ndarray, batch_size: int
) -> Iterator[pd.DataFrame]:
    """The given persons (int64 ids, ascending) that the snapshot has, in batches by person_id: person_id int64, version
    int64, fingerprint (str), raw (bytes, UTF-8)."""
    table = tables.snapshot
    for start in range(0, len(person_ids), batch_size):
        ids = person_ids[start : start + batch_size]
        query = (
            sa.select(table.c.person_id, table.c.version, table.c.fingerprint)
            .where(
                table.c.connection_id == connection_id,
                # Neighbouring ids are close together, so this is a short range of the index.
                table.c.person_id.between(int(ids[0]), int(ids[-1])),
                among(db, table.c.person_id, ids),
            )
            .order_by(table.c.person_id)
        )
        yield _frame(rows_with_bytes(db, query, table.c.raw))


def _frame(rows: Sequence[Any]) -> pd.DataFrame:
    import pandas as pd

    ids, versions, fingerprints, raws = zip(*rows, strict=True) if rows else ((), (), (), ())
    return pd.DataFrame(
        {
            "person_id": pd.array(ids, dtype="int64"),
            "version": pd.array(versions, dtype="int64"),
            "fingerprint": pd.Series(fingerprints, dtype=object),
            "raw": pd.Series(raws, dtype=object),
        }
    )


def persons_of(db: sa.Connection, connection_id: int, ids: Sequence[int]) -> pd.DataFrame:
    """The given persons that the snapshot has, including those marked deleted; columns as in `read_persons`."""
    import numpy as np
    import pandas as pd

    batches = read_persons(db, connection_id, np.sort(np.array(ids, dtype=np.int64)), 1_000)
    return pd.concat([_frame([]), *batches], ignore_index=True)


def count_persons(db: sa.Connection, connection_id: int) -> int:
    return db.execute(
        sa.select(sa.func.count())
        .select_from(tables.snapshot)
        .where(tables.snapshot.c.connection_id == connection_id, ~tables.snapshot.c.gone)
    ).scalar_one()


def sample_persons(db: sa.Connection, connection_id: int, size: int) -> pd.DataFrame:
    """Up to `size` live persons picked at random."""
    table = tables.snapshot
    own = table.c.connection_id == connection_id
    at_random = sa.select(table.c.person_id).where(own).order_by(sa.func.random())
    count = 2 * size
    while True:
        # From the index alone: the `gone` column is stored behind the raw text, and there are many texts.
        picked = db.scalars(at_random.limit(count)).all()
        among_them = among(db, table.c.person_id, picked)
        live = set(db.scalars(sa.select(table.c.person_id).where(own, among_them, ~table.c.gone)))
        if len(live) >= size or len(picked) < count:
            return persons_of(db, connection_id, [each for each in picked if each in live][:size])
        count *= 10


def missing_persons(db: sa.Connection, connection_id: int, seen: np.ndarray) -> list[int]:
    """The persons of the snapshot that are not among `seen` (int64 ids), including those already marked deleted."""
    import numpy as np

    table = tables.snapshot
    known = np.fromiter(
        db.scalars(
            sa.select(table.c.person_id).where(table.c.connection_id == connection_id),
            # For this statement only: a connection keeps its options.
            execution_options={"yield_per": 10_000},
        ),
        dtype=np.int64,
    )
    missing: list[int] = np.setdiff1d(known, seen).tolist()
    return missing


def update_times(db: sa.Connection, connection_id: int) -> np.ndarray:
    """When the persons were updated, or else added: epoch seconds (int64), ascending."""
    import numpy as np

    table = tables.snapshot
    versions = db.scalars(
        sa.select(table.c.version).where(table.c.connection_id == connection_id, ~table.c.gone),
        execution_options={"yield_per": 10_000},
    )
    return np.sort(np.fromiter(versions, dtype=np.int64)) // 1_000_000


def highest_person_id(db: sa.Connection, connection_id: int) -> int:
    """The highest id ever seen; 0 if there is none."""
    found = [
        db.scalar(sa.select(sa.func.max(table.c.person_id)).where(table.c.connection_id == connection_id))
        for table in (tables.snapshot, tables.tombstones)
    ]
    return max(each or 0 for each in found)


def newest_version(db: sa.Connection, connection_id: int, not_after: int) -> int | None:
    """The greatest version (epoch microseconds) of a person, up to `not_after`: an absurd time in the far future says
    nothing about what has been read."""
    table = tables.snapshot
    newest: int | None = db.scalar(
        sa.select(sa.func.max(table.c.version)).where(
            table.c.connection_id == connection_id, table.c.version <= not_after
        )
    )
    return newest


def mark_gone(db: sa.Connection, connection_id: int, person_ids: Sequence[int]) -> int:
    """Marks persons that Pipedrive no longer has. `forget_gone_persons` removes them along with their contacts.

    Returns how many were known and not yet marked.
    """
    table = tables.snapshot
    marked = 0
    for start in range(0, len(person_ids), 1_000):
        marked += db.execute(
            table.update()
            .where(
                table.c.connection_id == connection_id,
                table.c.person_id.in_(person_ids[start : start + 1_000]),
                ~table.c.gone,
            )
            .values(gone=True)
        ).rowcount
    return marked


def departed_persons(db: sa.Connection, connection_id: int, person_ids: Sequence[int]) -> list[int]:
    """The given persons that are marked deleted, or were deleted earlier and have not come back."""
    snapshot, tombstones = tables.snapshot, tables.tombstones
    departed: set[int] = set()
    for start in range(0, len(person_ids), 1_000):
        some = person_ids[start : start + 1_000]
        known = {
            row.person_id: row.gone
            for row in db.execute(
                sa.select(snapshot.c.person_id, snapshot.c.gone).where(
                    snapshot.c.connection_id == connection_id, among(db, snapshot.c.person_id, some)
                )
            )
        }
        buried = db.scalars(
            sa.select(tombstones.c.person_id).where(
                tombstones.c.connection_id == connection_id, among(db, tombstones.c.person_id, some)
            )
        )
        departed.update(person_id for person_id, gone in known.items() if gone)
        departed.update(person_id for person_id in buried if person_id not in known)
    return sorted(departed)


def forget_gone_persons(db: sa.Connection, connection_id: int) -> None:
    """Removes the persons marked deleted from the snapshot; only their ids and the time stay, as tombstones."""
    table = tables.snapshot
    person_ids = db.scalars(
        sa.select(table.c.person_id).where(table.c.connection_id == connection_id, table.c.gone)
    ).all()
    now = utc_now()
    for start in range(0, len(person_ids), 1_000):
        ids = person_ids[start : start + 1_000]
        for table in (tables.snapshot, tables.tombstones):
            db.execute(
                table.delete().where(table.c.connection_id == connection_id, table.c.person_id.in_(ids))
            )
        db.execute(
            tables.tombstones.insert(),
            [{"connection_id": connection_id, "person_id": i, "deleted_at": now} for i in ids],
        )


def differing_persons(db: sa.Connection, connection_id: int, persons: pd.DataFrame) -> int:
    """How many of these persons (columns as in `land_persons`) would change the snapshot; stores none."""
    table = tables.snapshot
    known: set[tuple[int, str]] = set()
    ids = persons["person_id"].tolist()
    for start in range(0, len(ids), 1_000):
        wanted = sa.select(table.c.person_id, table.c.fingerprint).where(
            table.c.connection_id == connection_id,
            table.c.person_id.in_(ids[start : start + 1_000]),
            ~table.c.gone,
        )
        known.update((person_id, fingerprint) for person_id, fingerprint in db.execute(wanted))
    found = zip(ids, map(_fingerprint, persons["raw"]), strict=True)
    return sum(each not in known for each in found)
