"""What is stored about the staged persons besides their values: which names they refer to, and which values were
dropped.

A run that maps a few persons again replaces this for those persons only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from . import tables
from .bulk import among, copy_into

if TYPE_CHECKING:
    import pandas as pd

_BATCH = 5_000
_TABLES = (tables.references, tables.mapping_issues)


def save_references(
    db: sa.Connection, connection_id: int, person_ids: Sequence[int], references: pd.DataFrame
) -> None:
    """Adds the references of persons: person_id, entity_id (int64), kind (org, user or person). `person_ids`: the
    persons whose earlier references are replaced."""
    # Sorted like the index, so that it grows at its end.
    rows = references.sort_values("person_id")[["person_id", "kind", "entity_id"]]
    _replace(db, connection_id, tables.references, person_ids, rows, ["int8", "text", "int8"])


def save_mapping_issues(
    db: sa.Connection, connection_id: int, person_ids: Sequence[int], issues: pd.DataFrame
) -> None:
    """Adds the values dropped from persons: person_id (int64), kind, reason, variable (str or None), message.
    `person_ids`: the persons whose earlier issues are replaced."""
    rows = issues[["person_id", "kind", "reason", "variable", "message"]].astype({"person_id": "int64"})
    _replace(db, connection_id, tables.mapping_issues, person_ids, rows, ["int8", *["text"] * 4])


def referenced_entities(db: sa.Connection, connection_id: int) -> dict[str, set[int]]:
    """The ids of the organisations (`org`), users (`user`) and persons (`person`) that any person refers to."""
    return _by_kind(db.execute(_entities(connection_id).distinct()))


def entities_referenced_by(
    db: sa.Connection, connection_id: int, person_ids: Sequence[int]
) -> dict[str, set[int]]:
    """The same, for these persons only."""
    rows: list[Any] = []
    for start in range(0, len(person_ids), _BATCH):
        some = among(db, tables.references.c.person_id, person_ids[start : start + _BATCH])
        # No DISTINCT: to get its order, SQLite would scan the references of all persons.
        rows += db.execute(_entities(connection_id).where(some))
    return _by_kind(rows)


def _entities(connection_id: int) -> sa.Select[Any]:
    table = tables.references
    return sa.select(table.c.kind, table.c.entity_id).where(table.c.connection_id == connection_id)


def _by_kind(rows: Iterable[Any]) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {kind: set() for kind in tables.NAMED_KINDS}
    for kind, entity_id in rows:
        found[kind].add(entity_id)
    return found


def referring_persons(
    db: sa.Connection, connection_id: int, kind: str, entity_ids: Collection[int]
) -> sa.Select[Any]:
    """The persons that refer to any of these entities, as a query for their ids."""
    table = tables.references
    return sa.select(table.c.person_id).where(
        table.c.connection_id == connection_id,
        table.c.kind == kind,
        among(db, table.c.entity_id, list(entity_ids)),
    )


def count_mapping_issues(db: sa.Connection, connection_id: int) -> int:
    table = tables.mapping_issues
    return db.execute(sa.select(sa.func.count()).where(table.c.connection_id == connection_id)).scalar_one()


def forget_departed(db: sa.Connection, connection_id: int) -> None:
    """Removes what is stored about persons that the snapshot no longer has, or has marked deleted."""
    snapshot = tables.snapshot
    for table in _TABLES:
        live = sa.select(1).where(
            snapshot.c.connection_id == connection_id,
            snapshot.c.person_id == table.c.person_id,
            ~snapshot.c.gone,
        )
        db.execute(table.delete().where(table.c.connection_id == connection_id, ~live.exists()))


def forget_all(db: sa.Connection, connection_id: int) -> None:
    for table in _TABLES:
        db.execute(table.delete().where(table.c.connection_id == connection_id))


def _replace(
    db: sa.Connection,
    connection_id: int,
    table: sa.Table,
    person_ids: Sequence[int],
    rows: pd.DataFrame,
    types: list[str],
) -> None:
    for start in range(0, len(person_ids), _BATCH):
        db.execute(
            table.delete().where(
                table.c.connection_id == connection_id,
                among(db, table.c.person_id, person_ids[start : start + _BATCH]),
            )
        )
    copy_into(db, table.name, rows.assign(connection_id=connection_id), types=[*types, "int8"])
