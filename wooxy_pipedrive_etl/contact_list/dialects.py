"""The differences between SQLite and PostgreSQL. Everything else about the list is written once, for both."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa

_POSTGRES_STORAGE = {
    "text": "text",
    "character varying": "text",
    "timestamp without time zone": "datetime",
    "date": "date",
    "boolean": "flag",
    "smallint": "integer",
    "integer": "integer",
    "bigint": "integer",
}
# The names in common use.
_SHORT_TYPES = {
    "character varying": "varchar",
    "character": "char",
    "timestamp without time zone": "timestamp",
    "timestamp with time zone": "timestamptz",
}
# Kinds for which the catalogue does not name the type itself.
_UNTOLD_TYPES = ("USER-DEFINED", "ARRAY")


# Equivalent to information_schema.columns, which takes PostgreSQL five times as long; a run asks about twenty times. A
# column of a (SQL) domain has the domain's base type; columns that the role has no privileges on are left out.
_POSTGRES_COLUMNS = sa.text("""
    SELECT
        attname,
        CASE
            WHEN real.typelem <> 0 AND real.typlen = -1 THEN 'ARRAY'
            WHEN real.typnamespace = 'pg_catalog'::regnamespace THEN format_type(real.oid, NULL)
            ELSE 'USER-DEFINED'
        END,
        real.typname,
        CASE
            WHEN real.typname IN ('varchar', 'bpchar') AND modifier > 3 THEN modifier - 4
            WHEN real.typname IN ('bit', 'varbit') AND modifier > 0 THEN modifier
        END,
        attgenerated <> '' OR attidentity = 'a',
        (attnotnull OR declared.typnotnull) AND NOT atthasdef AND attidentity = ''
    FROM pg_class
        JOIN pg_namespace ON pg_namespace.oid = relnamespace
        JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped
        JOIN pg_type AS declared ON declared.oid = atttypid
        JOIN pg_type AS real ON real.oid = coalesce(nullif(declared.typbasetype, 0), declared.oid)
        CROSS JOIN LATERAL (SELECT CASE WHEN declared.typtype = 'd' THEN declared.typtypmod ELSE atttypmod END)
            AS modified (modifier)
    WHERE nspname = coalesce(:schema, current_schema()) AND relname = :table AND relkind IN ('r', 'p', 'v', 'f')
        AND (
            pg_has_role(relowner, 'USAGE')
            OR has_column_privilege(pg_class.oid, attnum, 'SELECT, INSERT, UPDATE, REFERENCES')
        )
    ORDER BY attnum
""")


def is_postgres(db: sa.Connection) -> bool:
    return db.dialect.name == "postgresql"


@dataclass(frozen=True)
class RealColumn:
    """A column as the table has it. `stores`: text, datetime, date, flag, integer, or None for a type that the sync
    doesn't write. `sql_type`: the database's name for the type. `required`: every new row must have a value."""

    name: str
    stores: str | None
    sql_type: str
    required: bool


def real_columns(db: sa.Connection, schema: str | None, table: str) -> dict[str, str | None]:
    """What each column of the table stores, in column order. Empty if there is no such table."""
    return {column.name: column.stores for column in described_columns(db, schema, table)}


def described_columns(db: sa.Connection, schema: str | None, table: str) -> list[RealColumn]:
    """The columns of the table, in order. Empty if there is no such table."""
    if is_postgres(db):
        rows = db.execute(_POSTGRES_COLUMNS, {"schema": schema, "table": table})
        return [
            RealColumn(
                name,
                None if length or generated else _POSTGRES_STORAGE.get(data_type),
                _SHORT_TYPES.get(data_type, udt_name if data_type in _UNTOLD_TYPES else data_type)
                + (f"({length})" if length else "")
                + (" GENERATED ALWAYS" if generated else ""),
                required,
            )
            for name, data_type, udt_name, length, generated, required in rows
        ]
    # hidden: 2 and 3 are generated columns.
    rows = db.execute(
        sa.text(
            'SELECT name, type, hidden, "notnull" AND dflt_value IS NULL AND NOT pk AND NOT hidden '
            "FROM pragma_table_xinfo(:table) ORDER BY cid"
        ),
        {"table": table},
    )
    return [
        RealColumn(
            name,
            None if hidden else _sqlite_storage(declared),
            (declared or "untyped").lower() + (" GENERATED ALWAYS" if hidden else ""),
            bool(required),
        )
        for name, declared, hidden, required in rows
    ]


class Standing(NamedTuple):
    """What a relation is. `is_table`: a table, not a view. `owned`: we may alter it."""

    is_table: bool
    owned: bool


def standing(db: sa.Connection, schema: str | None, name: str) -> Standing:
    if not is_postgres(db):
        kind = sa.text("SELECT type FROM sqlite_master WHERE name = :name")
        return Standing(db.scalar(kind, {"name": name}) == "table", owned=True)
    known = sa.text(
        "SELECT relkind IN ('r', 'p'), pg_has_role(relowner, 'USAGE') "
        "FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace "
        "WHERE nspname = coalesce(:schema, current_schema()) AND relname = :name"
    )
    return Standing(*db.execute(known, {"schema": schema, "name": name}).one())


def _sqlite_storage(declared: str) -> str | None:
    kind = re.sub(r"\s*\(.*", "", declared).upper()
    if kind in ("DATE", "BOOLEAN"):
        return {"DATE": "date", "BOOLEAN": "flag"}[kind]
    if kind in ("DATETIME", "TIMESTAMP"):
        return "datetime"
    if "INT" in kind:
        return "integer"
    return "text" if any(part in kind for part in ("CHAR", "TEXT", "CLOB")) else None


def folded(db: sa.Connection, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """An email address for comparison without regard to case. ASCII letters only: SQLite folds no others, and
    PostgreSQL's own case rules depend on how the database was created."""
    return sa.func.lower(sa.collate(column, "C") if is_postgres(db) else column)


def scratch_prefixes(db: sa.Connection) -> list[str]:
    """Prefixes for creating a table that can be rebuilt at any time: it may be empty after a server crash."""
    return ["UNLOGGED"] if is_postgres(db) else []


def ready_for_joins(db: sa.Connection, table: sa.Table, *indexes: Sequence[str]) -> None:
    """Prepares a freshly filled scratch table for lookups by these columns.

    PostgreSQL needs statistics to choose hash joins; SQLite joins efficiently only with indexes.
    """
    quote = db.dialect.identifier_preparer.quote
    if is_postgres(db):
        columns = ", ".join(map(quote, dict.fromkeys(column for index in indexes for column in index)))
        db.exec_driver_sql(f"ANALYZE {quote(table.name)} ({columns})")
        return
    for index in indexes:
        columns = ", ".join(map(quote, index))
        name = quote(f"ix_{table.name}_{'_'.join(index)}")
        db.exec_driver_sql(f"CREATE INDEX IF NOT EXISTS {name} ON {quote(table.name)} ({columns})")


def next_contact_id(db: sa.Connection, table: sa.Table) -> sa.ColumnElement[int]:
    """An expression that gives each row of an ordered SELECT the next `contact_id`, never one used before.

    Someone may have inserted rows with ids of their own, so the highest id in the table counts as used.
    """
    highest = db.execute(sa.select(sa.func.max(table.c.contact_id))).scalar() or 0
    if not is_postgres(db):
        return sa.literal(max(highest, _given_on_sqlite(db, table))) + _ROW_NUMBER
    name = db.dialect.identifier_preparer.format_table(table)
    sequence = db.execute(
        sa.text("SELECT pg_get_serial_sequence(:table, 'contact_id')"), {"table": name}
    ).scalar()
    if sequence is None:  # a table not created by the sync
        return sa.literal(highest) + _ROW_NUMBER
    # PostgreSQL returns the sequence's name quoted as needed.
    last = db.exec_driver_sql(
        f"SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM {sequence}"  # noqa: S608
    ).scalar_one()
    # Imported here, so that SQLite's users need not wait for it.
    from sqlalchemy.dialects.postgresql import REGCLASS

    numbers = sa.cast(sequence, REGCLASS)
    if highest > last:
        db.execute(sa.select(sa.func.setval(numbers, highest)))
    return sa.func.nextval(numbers, type_=sa.BigInteger)


_ROW_NUMBER: sa.ColumnElement[int] = sa.literal_column("row_number() OVER ()", sa.BigInteger)


def _given_on_sqlite(db: sa.Connection, table: sa.Table) -> int:
    counted = db.exec_driver_sql("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'").scalar()
    if not counted:  # a table not created by the sync
        return 0
    return db.exec_driver_sql("SELECT seq FROM sqlite_sequence WHERE name = ?", (table.name,)).scalar() or 0


def exported(db: sa.Connection, column: sa.ColumnElement[Any], stores: str | None) -> sa.ColumnElement[Any]:
    """A column of the list for export: a flag stays a flag, everything else becomes text."""
    if stores == "flag":
        return sa.func.coalesce(column, sa.false())
    if stores == "text":
        return sa.func.nullif(column, "")
    formats = {
        "date": ("%Y-%m-%d", "YYYY-MM-DD"),
        "datetime": ("%Y-%m-%dT%H:%M:%SZ", 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
    }
    if stores not in formats:
        return sa.cast(column, sa.Text)
    for_sqlite, for_postgres = formats[stores]
    if is_postgres(db):
        return sa.func.to_char(column, for_postgres)
    # SQLite accepts anything in any column; a value that isn't a date-time is exported as it is.
    plain = sa.type_coerce(column, sa.Text)
    return sa.func.coalesce(sa.func.strftime(for_sqlite, plain), sa.func.nullif(plain, ""))
