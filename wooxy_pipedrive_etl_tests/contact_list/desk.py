"""A list with a connection, for tests: add contacts, sync persons, inspect the result."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pandas as pd
import sqlalchemy as sa

from wooxy_pipedrive_etl.contact_list import (
    AppliedCounts,
    ContactList,
    ListSettings,
    PlanSummary,
    apply_plan,
    begin_stage,
    drop_stage,
    load_stage,
    make_plan,
    plan_issues,
)
from wooxy_pipedrive_etl.store import tables
from wooxy_pipedrive_etl.store.keys import HashKey

_numbers = itertools.count(1)

FED = ("userId", "email", "phoneNumber", "name")
FIRST = datetime(2026, 1, 1)
LATER = datetime(2026, 2, 2)
RUN = "this run"


def hash_phone(phone: str) -> str:
    return hashlib.sha256(phone.encode()).hexdigest()


def person(person_id: int, at: int = 0, marketing: str | None = None, **values: Any) -> dict[str, Any]:
    """`at`: its version. All keys but the first three are variables, one of which may be called `version`."""
    return {"person_id": person_id, "person_version": at, "marketing_status": marketing, **values}


@dataclass
class Desk:
    """A fresh list and connection in a database that others use too."""

    engine: sa.Engine
    domain: str = field(default_factory=lambda: f"shop{next(_numbers)}.example.com")

    def __post_init__(self) -> None:
        with self.engine.begin() as db:
            self.list = ContactList.of_domain(db, self.domain)
            inserted = db.execute(
                tables.connections.insert()
                .values(
                    name=self.domain,
                    domain_id=self.list.domain_id,
                    state="active",
                    api_url="https://example.com",
                    company_id=1,
                    consent="respect",
                    on_delete="delete",
                    created_at=FIRST,
                )
                .returning(tables.connections.c.id)
            )
            self.connection_id = inserted.scalar_one()
            self.table = self.list.table(self.list.stored(db))
            key = tables.keys.insert().values(fingerprint=self.domain).returning(tables.keys.c.id)
            self.hash_key = HashKey(db.execute(key).scalar_one(), hash_phone)

    def refresh(self) -> None:
        """Call it after the list's columns change."""
        with self.engine.begin() as db:
            self.table = self.list.table(self.list.stored(db))

    def add_variables(self, *names: str, format: str = "String") -> None:
        with self.engine.begin() as db:
            for name in names:
                self.list.add_variable(db, name, format)
        self.refresh()

    def put(self, **values: Any) -> int:
        """Adds a contact without the sync."""
        with self.engine.begin() as db:
            rows = db.execute(self.table.insert().values(**values).returning(self.table.c.contact_id))
            return int(rows.scalar_one())

    def edit(self, contact_id: int, **values: Any) -> None:
        with self.engine.begin() as db:
            db.execute(self.table.update().where(self.table.c.contact_id == contact_id).values(**values))

    def remove(self, contact_id: int) -> None:
        with self.engine.begin() as db:
            db.execute(self.table.delete().where(self.table.c.contact_id == contact_id))

    def stage(self, *persons: dict[str, Any], fed: tuple[str, ...] = FED) -> None:
        frame = pd.DataFrame(
            {
                "person_id": pd.Series([p["person_id"] for p in persons], dtype="int64"),
                "version": pd.Series([p["person_version"] for p in persons], dtype="int64"),
                "marketing_status": pd.Series([p["marketing_status"] for p in persons], dtype=object),
            }
        )
        fed_values = [pd.Series([p.get(name) for p in persons], dtype=object, name=name) for name in fed]
        with self.engine.begin() as db:
            begin_stage(db, self.list.view(db), self.connection_id, fed)
            contacts = pd.concat([frame, *fed_values], axis="columns")
            load_stage(db, self.connection_id, contacts, ["as it is"] * len(contacts), RUN)

    def plan(self, **settings: Any) -> PlanSummary:
        with self.engine.begin() as db:
            return make_plan(db, self.list.view(db), self.connection_id, ListSettings(**settings))

    def apply(self, now: datetime = FIRST, **settings: Any) -> AppliedCounts:
        with self.engine.begin() as db:
            return apply_plan(
                db, self.list, self.connection_id, ListSettings(**settings), self.hash_key, RUN, now
            )

    def sync(
        self, *persons: dict[str, Any], now: datetime = FIRST, fed: tuple[str, ...] = FED, **settings: Any
    ) -> PlanSummary:
        """A whole run; leaves nothing in the stage."""
        self.stage(*persons, fed=fed)
        summary = self.plan(**settings)
        assert summary.staged == len(persons)
        self.last_issues = self.issues()
        applied = self.apply(now, **settings)
        assert (applied.created, applied.updated) == (summary.created, summary.updated)
        assert applied.unchanged == summary.unchanged
        assert applied.deleted + applied.deactivated == summary.deleted
        assert applied.released == summary.released
        with self.engine.begin() as db:
            drop_stage(db, self.connection_id)
        return summary

    def issues(self) -> dict[int, str]:
        """The kind of issue by person."""
        with self.engine.begin() as db:
            issues = plan_issues(db, self.connection_id)
        return dict(zip(issues["person_id"].tolist(), issues["kind"].tolist(), strict=True))

    def rows(self) -> list[dict[str, Any]]:
        """The whole table."""
        with self.engine.begin() as db:
            rows = db.execute(sa.select(self.table).order_by(self.table.c.contact_id))
            return [dict(row) for row in rows.mappings()]

    def contact(self, contact_id: int) -> dict[str, Any]:
        return next(row for row in self.rows() if row["contact_id"] == contact_id)

    def only(self) -> dict[str, Any]:
        """The list's only contact."""
        (row,) = self.rows()
        return row

    def links(self) -> dict[int, int]:
        """Contact by person."""
        return {row["person_id"]: row["contact_id"] for row in self.full_links()}

    def full_links(self) -> list[dict[str, Any]]:
        links = tables.links
        with self.engine.begin() as db:
            query = (
                sa.select(links)
                .where(links.c.connection_id == self.connection_id)
                .order_by(links.c.person_id)
            )
            return [dict(row) for row in db.execute(query).mappings()]

    def opt_outs(self) -> set[tuple[str, str]]:
        memory = tables.opt_outs
        with self.engine.begin() as db:
            query = sa.select(memory.c.phone_hash, memory.c.channel)
            rows = db.execute(query.where(memory.c.domain_id == self.list.domain_id))
            return {(row.phone_hash, row.channel) for row in rows}

    def clear(self) -> None:
        """Back to an empty list, with ids from 1."""
        with self.engine.begin() as db:
            if self.engine.dialect.name == "postgresql":
                db.exec_driver_sql(f"TRUNCATE {self.list.qualified_name} RESTART IDENTITY")
            else:
                db.execute(self.table.delete())
                db.exec_driver_sql("DELETE FROM sqlite_sequence WHERE name = ?", (self.list.table_name,))
            for table in (tables.links, tables.contact_history):
                db.execute(table.delete().where(table.c.connection_id == self.connection_id))
            memory = tables.opt_outs
            db.execute(memory.delete().where(memory.c.domain_id == self.list.domain_id))
