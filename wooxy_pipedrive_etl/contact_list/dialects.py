"""All that SQLite and PostgreSQL don't share. Everything else of the list is written once, for both."""

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
# As people write them.
_SHORT_TYPES = {
    "character varying": "varchar",
    "character": "char",
    "timestamp without time zone": "timestamp",
    "timestamp with time zone": "timestamptz",
}
# Where the catalogue only says what kind of type it is.
_UNTOLD_TYPES = ("USER-DEFINED", "ARRAY")


def is_postgres(connection: sa.Connection) -> bool:
    return connection.dialect.name == "postgresql"


@dataclass(frozen=True)
class RealColumn:
    """A column as a table has it. `stores`: text, datetime, date, flag, integer, or None for a type that the sync
    doesn't write. `sql_type`: in the database's words. `required`: each new row must give a value."""

    name: str
    stores: str | None
    sql_type: str
    required: bool


def real_columns(connection: sa.Connection, schema: str | None, table: str) -> dict[str, str | None]:
    """The columns that a table has, in order, and what each stores. Empty if there is no such table."""
    return {column.name: column.stores for column in described_columns(connection, schema, table)}


def described_columns(connection: sa.Connection, schema: str | None, table: str) -> list[RealColumn]:
    """The columns that a table has, in order. Empty if there is no such table."""
    if is_postgres(connection):
        rows = connection.execute(
            sa.text(
                "SELECT column_name, data_type, udt_name, character_maximum_length, "
                "is_generated = 'ALWAYS' OR coalesce(identity_generation, '') = 'ALWAYS', "
                "is_nullable = 'NO' AND column_default IS NULL AND is_identity = 'NO' AND is_generated = 'NEVER' "
                "FROM information_schema.columns "
                "WHERE table_schema = coalesce(:schema, current_schema()) AND table_name = :table "
                "ORDER BY ordinal_position"
            ),
            {"schema": schema, "table": table},
        )
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
    # hidden: 2 and 3 are generated columns
    rows = connection.execute(
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
    """Of something that has columns. `is_table`: it is no view. `owned`: we may alter it."""

    is_table: bool
    owned: bool


def standing(connection: sa.Connection, schema: str | None, name: str) -> Standing:
    if not is_postgres(connection):
        kind = sa.text("SELECT type FROM sqlite_master WHERE name = :name")
        return Standing(connection.scalar(kind, {"name": name}) == "table", owned=True)
    known = sa.text(
        "SELECT relkind IN ('r', 'p'), pg_has_role(relowner, 'USAGE') "
        "FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace "
        "WHERE nspname = coalesce(:schema, current_schema()) AND relname = :name"
    )
    return Standing(*connection.execute(known, {"schema": schema, "name": name}).one())


def _sqlite_storage(declared: str) -> str | None:
    kind = re.sub(r"\s*\(.*", "", declared).upper()
    if kind in ("DATE", "BOOLEAN"):
        return {"DATE": "date", "BOOLEAN": "flag"}[kind]
    if kind in ("DATETIME", "TIMESTAMP"):
        return "datetime"
    if "INT" in kind:
        return "integer"
    return "text" if any(part in kind for part in ("CHAR", "TEXT", "CLOB")) else None


def folded(connection: sa.Connection, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """An e-mail address without regard to case. Only ASCII letters: SQLite knows no others, and PostgreSQL's own
    idea of case depends on how the database was created."""
    return sa.func.lower(sa.collate(column, "C") if is_postgres(connection) else column)


def scratch_prefixes(connection: sa.Connection) -> list[str]:
    """For the making of a table that can be made anew at any time: a crash of the server may empty it."""
    return ["UNLOGGED"] if is_postgres(connection) else []


def ready_for_joins(connection: sa.Connection, table: sa.Table, *indexes: Sequence[str]) -> None:
    """Helps the planner with a scratch table that has just been filled, and is looked up by these columns.

    PostgreSQL wants to know what is in it, and joins by hashing; SQLite joins by nothing but indexes.
    """
    quote = connection.dialect.identifier_preparer.quote
    if is_postgres(connection):
        columns = ", ".join(map(quote, dict.fromkeys(column for index in indexes for column in index)))
        connection.exec_driver_sql(f"ANALYZE {quote(table.name)} ({columns})")
        return
    for index in indexes:
        columns = ", ".join(map(quote, index))
        name = quote(f"ix_{table.name}_{'_'.join(index)}")
        connection.exec_driver_sql(f"CREATE INDEX IF NOT EXISTS {name} ON {quote(table.name)} ({columns})")


def next_contact_id(connection: sa.Connection, table: sa.Table) -> sa.ColumnElement[int]:
    """An expression that gives each row of an ordered SELECT the next `contact_id`, never one given before.

    Someone may have put in rows with ids of their own choice, so the highest one in the table counts as given.
    """
    highest = connection.execute(sa.select(sa.func.max(table.c.contact_id))).scalar() or 0
    if not is_postgres(connection):
        return sa.literal(max(highest, _given_on_sqlite(connection, table))) + _ROW_NUMBER
    name = connection.dialect.identifier_preparer.format_table(table)
    sequence = connection.execute(
        sa.text("SELECT pg_get_serial_sequence(:table, 'contact_id')"), {"table": name}
    ).scalar()
    if sequence is None:  # a table made by other means
        return sa.literal(highest) + _ROW_NUMBER
    # PostgreSQL gives the sequence's name quoted as needed.
    last = connection.exec_driver_sql(
        f"SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM {sequence}"  # noqa: S608
    ).scalar_one()
    # Only here, since SQLite's users would wait for it.
    from sqlalchemy.dialects.postgresql import REGCLASS

    numbers = sa.cast(sequence, REGCLASS)
    if highest > last:
        connection.execute(sa.select(sa.func.setval(numbers, highest)))
    return sa.func.nextval(numbers, type_=sa.BigInteger)


_ROW_NUMBER: sa.ColumnElement[int] = sa.literal_column("row_number() OVER ()", sa.BigInteger)


def _given_on_sqlite(connection: sa.Connection, table: sa.Table) -> int:
    counted = connection.exec_driver_sql(
        "SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'"
    ).scalar()
    if not counted:  # a table made by other means
        return 0
    return (
        connection.exec_driver_sql("SELECT seq FROM sqlite_sequence WHERE name = ?", (table.name,)).scalar()
        or 0
    )


def exported(
    connection: sa.Connection, column: sa.ColumnElement[Any], stores: str | None
) -> sa.ColumnElement[Any]:
    """A column of the list as people get it: text, or a flag. Nothing but a flag is ever something else than text."""
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
    if is_postgres(connection):
        return sa.func.to_char(column, for_postgres)
    # SQLite takes anything into any column; what isn't a moment is shown as it is.
    plain = sa.type_coerce(column, sa.Text)
    return sa.func.coalesce(sa.func.strftime(for_sqlite, plain), sa.func.nullif(plain, ""))
