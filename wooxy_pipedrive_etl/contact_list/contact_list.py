"""One domain's Default Contact List: where its table is, which variables it has, and its contents."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa

from wooxy_pipedrive_etl.store import tables

from . import dialects
from .columns import BUILT_IN, CUSTOM_TYPES, MAX_COLUMNS, check_custom_name, sql_type, storage
from .errors import ListError
from .view import ListView

_TABLE = "default_contact_list"
_MAX_SLUG = 50
_READ_BATCH = 2000
# The columns that every new contact has a value for.
_ALWAYS_FILLED = ("contact_id", "active", "createdAt", "updatedAt")


class ListVariable(NamedTuple):
    """A variable of the list, built-in or custom. `created_by_sync`: an Import may rename it."""

    name: str
    type: str
    format: str
    built_in: bool
    targetable: bool
    created_by_sync: bool


@dataclass(frozen=True)
class ContactList:
    """The Default Contact List of a domain. It is found by name, and created if missing."""

    domain_id: int
    domain: str
    schema: str | None
    table_name: str

    @classmethod
    def of_domain(cls, db: sa.Connection, domain: str) -> ContactList:
        """Finds or creates the list: its `sync_domains` row, its schema (PostgreSQL), its table and indexes.

        An existing table that was not created by the sync gets the built-in variables that it lacks.
        Raises ListError if such a table can't be a Default Contact List.
        """
        row = db.execute(sa.select(tables.domains).where(tables.domains.c.name == domain)).one_or_none()
        if row is None:
            schema, table = _place(db, domain)
            domain_id = db.execute(
                tables.domains.insert()
                .values(name=domain, list_schema=schema, list_table=table)
                .returning(tables.domains.c.id)
            ).scalar_one()
            found = cls(domain_id, domain, schema, table)
        else:
            found = cls(row.id, row.name, row.list_schema, row.list_table)
        found._make_table(db, first_time=row is None)
        return found

    @property
    def qualified_name(self) -> str:
        """The table as you would write it in SQL, without quotes."""
        return f"{self.schema}.{self.table_name}" if self.schema else self.table_name

    def stored(self, db: sa.Connection) -> dict[str, str | None]:
        """The table's columns, as `dialects.real_columns` returns them."""
        return dialects.real_columns(db, self.schema, self.table_name)

    def table(self, stored: dict[str, str | None]) -> sa.Table:
        """The table for SQLAlchemy. All names are quoted, because a variable may be called `order`."""
        return _table(self.schema, self.table_name, tuple(stored.items()))

    def view(self, db: sa.Connection) -> ListView:
        """The list as a plan sees it."""
        stored = self.stored(db)
        return ListView(stored, self.table(stored))

    def variables(self, db: sa.Connection) -> list[ListVariable]:
        """The variables in column order, as they are in the table. A custom column is targetable only if it is text or
        a timestamp."""
        stored = self.stored(db)
        created = self._created(db)
        rows = [
            ListVariable(variable.name, variable.type, variable.format, True, variable.targetable, False)
            for variable in BUILT_IN
            if variable.name in stored
        ]
        built_in = {variable.name for variable in BUILT_IN}
        for name, stores in stored.items():
            if name in built_in or name == "contact_id":
                continue
            targetable = stores in CUSTOM_TYPES.values()
            format = "DateTime" if stores in ("date", "datetime") else "String"
            rows.append(ListVariable(name, stores or "text", format, False, targetable, name in created))
        return rows

    def add_variable(self, db: sa.Connection, name: str, format: str) -> None:
        """Adds a custom variable; format String or DateTime. Raises ListError if that is not possible."""
        check_custom_name(name)
        stored = self.stored(db)
        _check_free(name, stored)
        if len(stored) >= MAX_COLUMNS:
            raise ListError(
                f"The list has {MAX_COLUMNS:,} columns, and no room for {name}; match fewer fields."
            )
        column = sa.Column(sa.quoted_name(name, quote=True), sql_type(CUSTOM_TYPES[format]))
        self._add_column(db, column)
        db.execute(tables.created_variables.insert().values(domain_id=self.domain_id, name=name))

    def rename_variable(self, db: sa.Connection, old: str, new: str) -> None:
        """Renames a custom variable; its values stay. Raises ListError if that is not possible."""
        if old not in self._created(db):
            raise ListError(f"The variable {old} was not created by the sync, so it keeps its name.")
        check_custom_name(new)
        stored = self.stored(db)
        _check_free(new, {name: stores for name, stores in stored.items() if name != old})
        if old not in stored:
            raise ListError(f"The list no longer has the variable {old}, so it can't become {new}.")
        quote = db.dialect.identifier_preparer.quote_identifier
        db.exec_driver_sql(f"ALTER TABLE {self._sql_name(db)} RENAME COLUMN {quote(old)} TO {quote(new)}")
        created = tables.created_variables
        db.execute(
            created.update()
            .where(created.c.domain_id == self.domain_id, created.c.name == old)
            .values(name=new)
        )

    def count(self, db: sa.Connection) -> int:
        """How many contacts the list has."""
        table = self.table({"contact_id": "integer"})
        return int(db.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())

    def read(
        self,
        db: sa.Connection,
        columns: Sequence[str] | None = None,
        limit: int | None = None,
        after: int = 0,
    ) -> Iterator[dict[str, Any]]:
        """The contacts in order of `contact_id`, starting after `after`, ready for JSON: `contact_id` (int), then each
        variable (or those in `columns`): None, bool for a flag, else str; date-times as YYYY-MM-DDTHH:MM:SSZ. Reads in
        batches during iteration."""
        stored = self.stored(db)
        table = self.table(stored)
        names = [name for name in (stored if columns is None else columns) if name != "contact_id"]
        flags = [name for name in names if stored[name] == "flag"]
        values = [dialects.exported(db, table.c[name], stored[name]).label(name) for name in names]
        query = sa.select(table.c.contact_id, *values).order_by(table.c.contact_id)
        left = limit
        while left is None or left > 0:
            size = _READ_BATCH if left is None else min(_READ_BATCH, left)
            rows = db.execute(query.where(table.c.contact_id > after).limit(size)).all()
            for row in rows:
                contact = dict(zip(("contact_id", *names), row, strict=True))
                for flag in flags:
                    contact[flag] = bool(contact[flag])
                yield contact
            if len(rows) < size:
                return
            after = rows[-1][0]
            left = None if left is None else left - size

    def _make_table(self, db: sa.Connection, *, first_time: bool) -> None:
        if self.schema and not sa.inspect(db).has_schema(self.schema):
            db.execute(sa.schema.CreateSchema(self.schema))
        columns = dialects.described_columns(db, self.schema, self.table_name)
        if not columns:
            self._create_table(db)
            return
        standing = dialects.standing(db, self.schema, self.table_name) if first_time else None
        if standing is not None and not standing.is_table:
            raise ListError(
                f"{self.qualified_name} is a view, and the Default Contact List must be a table; "
                "move it out of the way."
            )
        obstacles = _unfit(columns, db.dialect) + (_unfilled(columns) if first_time else [])
        if obstacles:
            raise ListError(
                f"The table {self.qualified_name} can't be a Default Contact List: {'; '.join(obstacles)}. "
                "Change these columns, or move the table out of the way."
            )
        present = {column.name for column in columns}
        for variable in BUILT_IN:
            if variable.name not in present:
                self._add_column(db, sa.Column(variable.name, sql_type(variable.type)))
        if standing is not None and standing.owned:
            self._create_indexes(db, self.table(self.stored(db)))

    def _create_table(self, db: sa.Connection) -> None:
        key = sa.Column(
            "contact_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            sa.Identity(always=False),
            primary_key=True,
        )
        table = sa.Table(
            self.table_name,
            sa.MetaData(),
            key,
            *(sa.Column(sa.quoted_name(v.name, quote=True), sql_type(v.type)) for v in BUILT_IN),
            schema=self.schema,
            sqlite_autoincrement=True,
        )
        table.create(db)
        self._create_indexes(db, table)

    def _create_indexes(self, db: sa.Connection, table: sa.Table) -> None:
        looked_up = {
            "email": dialects.folded(db, table.c.email),
            "phone_number": table.c.phoneNumber,
            "user_id": table.c.userId,
        }
        for name, expression in looked_up.items():
            # A hash index, since a key of PostgreSQL's ordinary index may not be longer than a third of a page.
            index = sa.Index(
                f"ix_{self.table_name}_{name}", expression, _table=table, postgresql_using="hash"
            )
            db.execute(sa.schema.CreateIndex(index, if_not_exists=True))

    def _add_column(self, db: sa.Connection, column: sa.Column[Any]) -> None:
        quote = db.dialect.identifier_preparer.quote_identifier
        kind = column.type.compile(dialect=db.dialect)
        db.exec_driver_sql(f"ALTER TABLE {self._sql_name(db)} ADD COLUMN {quote(column.name)} {kind}")

    def _sql_name(self, db: sa.Connection) -> str:
        return db.dialect.identifier_preparer.format_table(self.table({"contact_id": "integer"}))

    def _created(self, db: sa.Connection) -> set[str]:
        created = tables.created_variables
        query = sa.select(created.c.name).where(created.c.domain_id == self.domain_id)
        return set(db.execute(query).scalars())


# SQLAlchemy caches compiled statements by table object, so reuse the same object for the same table.
@lru_cache(maxsize=64)
def _table(schema: str | None, name: str, stored: tuple[tuple[str, str | None], ...]) -> sa.Table:
    columns = [
        sa.Column(
            sa.quoted_name(column, quote=True), sql_type(stores or "text"), primary_key=column == "contact_id"
        )
        for column, stores in stored
    ]
    return sa.Table(name, sa.MetaData(), *columns, schema=schema)


def _unfit(columns: Sequence[dialects.RealColumn], dialect: sa.Dialect) -> list[str]:
    """A phrase for each column whose type does not fit the list."""
    present = {column.name: column for column in columns}
    found = []
    for name, type in {"contact_id": "integer", **{each.name: each.type for each in BUILT_IN}}.items():
        column = present.get(name)
        needed = sql_type(type).compile(dialect=dialect).lower().removesuffix(" without time zone")
        if column is not None and column.stores != storage(type):
            found.append(f"{name} is {column.sql_type} and must be {needed}")
        elif column is None and name == "contact_id":
            found.append(f"{name} is missing and must be {needed}")
    return found


def _unfilled(columns: Sequence[dialects.RealColumn]) -> list[str]:
    """A phrase for each required column that not every new contact has a value for."""
    return [
        f"{column.name} is NOT NULL without a default, and not every contact has a value for it"
        for column in columns
        if column.required and column.name not in _ALWAYS_FILLED
    ]


def _check_free(name: str, stored: dict[str, str | None]) -> None:
    taken = next((other for other in stored if other.lower() == name.lower()), None)
    if taken is not None:
        also = "" if taken == name else f" (small and capital letters count as the same as in {name})"
        raise ListError(f"The list has a variable {taken} already{also}; choose another name.")


def _place(db: sa.Connection, domain: str) -> tuple[str | None, str]:
    """A schema and a table name that no other domain uses."""
    slug = _slug(domain)
    rows = db.execute(sa.select(tables.domains.c.list_schema, tables.domains.c.list_table)).all()
    taken = {(row.list_schema, row.list_table) for row in rows}
    number = 1
    while True:
        ending = "" if number == 1 else f"_{number}"
        unique = slug[: _MAX_SLUG - len(ending)] + ending
        place = (unique, _TABLE) if dialects.is_postgres(db) else (None, f"{_TABLE}_{unique}")
        if place not in taken:
            return place
        number += 1


def _slug(domain: str) -> str:
    # Imported here: a new domain is rare, and loading PostgreSQL's dialect takes time.
    from sqlalchemy.dialects.postgresql.base import RESERVED_WORDS

    slug = re.sub(r"[^a-z0-9]+", "_", domain.lower())[:_MAX_SLUG]
    # So that nobody has to quote the name. PostgreSQL reserves names that begin with pg_.
    if slug[:1].isdigit() or slug.startswith("pg_") or slug == "information_schema" or slug in RESERVED_WORDS:
        return f"d_{slug}"[:_MAX_SLUG]
    return slug
