"""The field catalogue as last read, what changed in it, and the names that persons refer to."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from wooxy_pipedrive_etl.person_fields import PersonField

from . import tables
from .bulk import copy_into, storable
from .clock import utc_now


class SchemaChange(NamedTuple):
    """`kind`: new_field, renamed_field, retyped_field, gone_field, returned_field, new_option, renamed_option or
    gone_option. `message`: a sentence for the user."""

    kind: str
    field_code: str
    message: str


class RecordedChange(NamedTuple):
    """A SchemaChange, and when it was found (UTC, without a zone)."""

    recorded_at: datetime
    kind: str
    field_code: str
    message: str


def read_fields(db: sa.Connection, connection_id: int, *, gone: bool = False) -> list[PersonField]:
    """The catalogue in its own order. `gone`: the fields removed from it instead of the current ones."""
    table = tables.fields
    rows = db.execute(
        sa.select(*(table.c[name] for name in PersonField._fields))
        .where(table.c.connection_id == connection_id, table.c.gone == gone)
        .order_by(table.c.position)
    )
    return [
        PersonField(code, name, kind, custom, optional, None if options is None else json.loads(options))
        for code, name, kind, custom, optional, options in rows
    ]


def save_fields(db: sa.Connection, connection_id: int, fields: Iterable[PersonField]) -> list[SchemaChange]:
    """Stores the catalogue just read, keeps what was removed from it, and records and returns what changed.

    A connection's first catalogue counts as no change.
    """
    # A run and the sensor may both have read it; the second one compares with what the first one stored.
    db.execute(
        sa.select(tables.connections.c.id)
        .where(tables.connections.c.id == connection_id)
        .with_for_update(key_share=True)
    )
    known = {field.field_code: field._asdict() for field in read_fields(db, connection_id)}
    gone = {field.field_code: field._asdict() for field in read_fields(db, connection_id, gone=True)}
    current = {field.field_code: _storable_field(field) for field in fields}
    changes: list[SchemaChange] = []
    for code, row in current.items():
        before = known.get(code) or gone.get(code)
        if before is None:
            changes.append(SchemaChange("new_field", code, f"The field {row['field_name']} is new."))
            continue
        # An entry without a type has not changed its type.
        row["field_type"] = row["field_type"] or before["field_type"]
        changes += _compare(code, before, row, returned=code not in known)
        # If a field lost its options with its old type, its values are no longer ids.
        if row["options"] or before["field_type"] == row["field_type"]:
            row["options"] = _with_gone_options(before["options"], row["options"])
    for code, row in known.items():
        if code not in current:
            changes.append(
                SchemaChange("gone_field", code, f"The field {row['field_name']} is gone from Pipedrive.")
            )
    vanished = [row for code, row in {**gone, **known}.items() if code not in current]
    _replace(db, connection_id, list(current.values()), vanished)
    if not known and not gone:
        return []
    _record(db, connection_id, changes)
    return changes


def recent_schema_changes(db: sa.Connection, connection_id: int, limit: int = 50) -> list[RecordedChange]:
    """Newest first."""
    table = tables.schema_changes
    rows = db.execute(
        sa.select(*(table.c[name] for name in RecordedChange._fields))
        .where(table.c.connection_id == connection_id)
        .order_by(table.c.id.desc())
        .limit(limit)
    )
    return [RecordedChange(*row) for row in rows]


def newest_schema_change(db: sa.Connection, connection_id: int) -> datetime | None:
    """When the last change was recorded (UTC, without a zone)."""
    table = tables.schema_changes
    recorded_at: datetime | None = db.scalar(
        sa.select(sa.func.max(table.c.recorded_at)).where(table.c.connection_id == connection_id)
    )
    return recorded_at


def save_names(db: sa.Connection, connection_id: int, kind: str, names: Mapping[int, str]) -> list[int]:
    """Stores the names of organisations (`org`), users (`user`) or persons (`person`); leaves all other names alone.

    Returns the ids whose name is new or changed.
    """
    # Imported only where dataframes are made, so that callers that only read need not wait for it.
    import pandas as pd

    table = tables.names
    known = read_names(db, connection_id)[kind]
    cleaned = {entity_id: storable(name) for entity_id, name in names.items()}
    changed = {entity_id: name for entity_id, name in cleaned.items() if known.get(entity_id) != name}
    if not changed:
        return []
    forget_names(db, connection_id, kind, changed.keys() & known.keys())
    rows = pd.DataFrame({"entity_id": list(changed), "name": list(changed.values())})
    rows.insert(0, "kind", kind)
    rows.insert(0, "connection_id", connection_id)
    copy_into(db, table.name, rows)
    return list(changed)


def forget_names(db: sa.Connection, connection_id: int, kind: str, entity_ids: Collection[int]) -> None:
    table = tables.names
    unwanted = sorted(entity_ids)
    for start in range(0, len(unwanted), 1_000):
        db.execute(
            table.delete().where(
                table.c.connection_id == connection_id,
                table.c.kind == kind,
                table.c.entity_id.in_(unwanted[start : start + 1_000]),
            )
        )


def read_names(db: sa.Connection, connection_id: int) -> dict[str, dict[int, str]]:
    """Names by kind and id, as last read from Pipedrive."""
    table = tables.names
    names: dict[str, dict[int, str]] = {kind: {} for kind in tables.NAMED_KINDS}
    for kind, entity_id, name in db.execute(
        sa.select(table.c.kind, table.c.entity_id, table.c.name).where(table.c.connection_id == connection_id)
    ):
        names[kind][entity_id] = name
    return names


def _storable_field(field: PersonField) -> dict[str, Any]:
    options = field.options and [{**option, "label": storable(option["label"])} for option in field.options]
    return {**field._asdict(), "field_name": storable(field.field_name), "options": options}


def _compare(code: str, before: dict[str, Any], now: dict[str, Any], *, returned: bool) -> list[SchemaChange]:
    changes = []
    name = now["field_name"]
    if returned:
        changes.append(SchemaChange("returned_field", code, f"The field {name} is back."))
    if before["field_name"] != name:
        changes.append(
            SchemaChange("renamed_field", code, f"The field {before['field_name']} is now called {name}.")
        )
    if before["field_type"] != now["field_type"]:
        changes.append(
            SchemaChange(
                "retyped_field",
                code,
                f"The field {name} changed its type from {before['field_type']} to {now['field_type']}.",
            )
        )
    old_labels = {str(o["id"]): o["label"] for o in before["options"] or [] if not o.get("gone")}
    new_labels = {str(o["id"]): o["label"] for o in now["options"] or []}
    for option_id, label in new_labels.items():
        if option_id not in old_labels:
            changes.append(SchemaChange("new_option", code, f"The field {name} has a new option, {label}."))
        elif old_labels[option_id] != label:
            message = f"The option {old_labels[option_id]} of the field {name} is now called {label}."
            changes.append(SchemaChange("renamed_option", code, message))
    for option_id, label in old_labels.items():
        if option_id not in new_labels:
            changes.append(
                SchemaChange("gone_option", code, f"The option {label} of the field {name} is gone.")
            )
    return changes


def _with_gone_options(
    before: list[dict[str, Any]] | None, now: list[dict[str, Any]] | None
) -> list[dict[str, Any]] | None:
    """Keeps the last label of each removed option, at the end: persons may still hold its id."""
    present = {str(option["id"]) for option in now or []}
    vanished = [{**option, "gone": True} for option in before or [] if str(option["id"]) not in present]
    return [*(now or []), *vanished] if vanished else now


def _replace(
    db: sa.Connection,
    connection_id: int,
    current: list[dict[str, Any]],
    vanished: list[dict[str, Any]],
) -> None:
    table = tables.fields
    db.execute(table.delete().where(table.c.connection_id == connection_id))
    rows = [
        {
            **row,
            "connection_id": connection_id,
            "position": position,
            "options": None if row["options"] is None else json.dumps(row["options"]),
            "gone": position >= len(current),
        }
        for position, row in enumerate([*current, *vanished])
    ]
    if rows:
        db.execute(table.insert(), rows)


def _record(db: sa.Connection, connection_id: int, changes: list[SchemaChange]) -> None:
    if changes:
        now = utc_now().replace(microsecond=0)
        db.execute(
            tables.schema_changes.insert(),
            [{"connection_id": connection_id, "recorded_at": now, **change._asdict()} for change in changes],
        )
