"""Writes a plan into the list, and with it the links, the memory of opt-outs and the history of contacts. Touches only
rows that differ, and looks again while writing: someone may have changed the list since the plan was made."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from wooxy_pipedrive_etl.store import contact_history, tables
from wooxy_pipedrive_etl.store.keys import HashKey

from . import channels, dialects
from .contact_list import ContactList
from .history import changed_variables
from .plan import ListSettings, any_of, changes
from .stage import Work, stage_variables, staged_work

links = tables.links


@dataclass(frozen=True)
class AppliedCounts:
    """What was really touched. `unchanged` are all others of those who take part: they add up to what was planned."""

    created: int
    updated: int
    unchanged: int
    deleted: int
    deactivated: int
    let_go: int


def apply_plan(
    db: sa.Connection,
    contact_list: ContactList,
    connection_id: int,
    settings: ListSettings,
    hash_key: HashKey,
    run_id: str,
    now: datetime,
) -> AppliedCounts:
    """Applies the plan of the stage in the caller's transaction; `settings` as the plan was made with.

    `hash_key`: what opted-out numbers are hashed with. `run_id`: for the history. `now`: for that, createdAt and
    updatedAt; naive is UTC.
    """
    stored = contact_list.stored(db)
    work = staged_work(db, connection_id, stored)
    listed = contact_list.table(stored)
    memory = channels.Memory(contact_list.domain_id, hash_key)
    writer = _Writer(db, listed, stored, connection_id, work, settings, memory, run_id, _utc(now))
    writer.look_after_opt_outs()
    writer.move_links()
    updated = writer.update()
    created = writer.create()
    deleted, deactivated, let_go = writer.leave()
    writer.close_links()
    unchanged = writer.taking_part() - created - updated
    return AppliedCounts(created, updated, unchanged, deleted, deactivated, let_go)


def _utc(moment: datetime) -> datetime:
    naive = moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    return naive.replace(microsecond=0)


class _Writer:
    def __init__(
        self,
        db: sa.Connection,
        listed: sa.Table,
        stored: dict[str, str | None],
        connection_id: int,
        work: Work,
        settings: ListSettings,
        memory: channels.Memory,
        run_id: str,
        now: datetime,
    ) -> None:
        self.connection = db
        self.listed = listed
        self.stored = stored
        self.connection_id = connection_id
        self.stage, self.plan, self.leaving = work.stage, work.plan, work.leaving
        self.settings = settings
        self.memory = memory
        self.memory_lost = memory.is_lost(db)
        self.run_id = run_id
        self.now = now
        self.has_phone = "phoneNumber" in work.identifiers
        self.ours = links.c.connection_id == connection_id

    def look_after_opt_outs(self) -> None:
        listed, stage, plan = self.listed, self.stage, self.plan
        flags = [listed.c[channel] for channel in channels.REMEMBERED]
        phones = sa.select(listed.c.phoneNumber, *flags).where(listed.c.phoneNumber != "")
        deleted = phones.where(listed.c.contact_id.in_(self._leaving("delete")))
        channels.forget(self.connection, self.memory, deleted)
        if self.has_phone:
            changed = (
                phones.join(plan, plan.c.contact_id == listed.c.contact_id)
                .join(stage, stage.c.person_id == plan.c.person_id)
                .where(
                    plan.c.action == "update",
                    changes(stage, listed, self.stored, self.settings)["phoneNumber"],
                )
            )
            channels.forget(self.connection, self.memory, changed)
        channels.remember(self.connection, self.memory, listed)
        if self.has_phone:
            getting = (
                sa.select(stage.c.person_id, stage.c.phoneNumber)
                .join(plan, plan.c.person_id == stage.c.person_id)
                .outerjoin(listed, listed.c.contact_id == plan.c.contact_id)
                .where(plan.c.action.in_(["create", "update"]), channels.gets_number(stage, listed))
            )
            channels.mark_opted_out(self.connection, self.memory, stage, getting)

    def move_links(self) -> None:
        """Persons get the contacts that are there already; a link to a contact that is gone goes."""
        listed, plan = self.listed, self.plan
        there = sa.select(1).where(listed.c.contact_id == links.c.contact_id)
        self.connection.execute(links.delete().where(self.ours, ~there.exists()))
        moves = (self.ours, links.c.contact_id == plan.c.contact_id, plan.c.takes_over)
        self._note("handed_over", sa.select(links.c.contact_id, plan.c.person_id).where(*moves))
        self.connection.execute(links.update().where(*moves).values(person_id=plan.c.person_id))
        adopted = (
            sa.select(
                sa.literal(self.connection_id),
                plan.c.person_id,
                plan.c.contact_id,
                sa.true(),
                sa.func.coalesce(listed.c.phoneNumber, "") != "",
                sa.false(),
            )
            .join(listed, listed.c.contact_id == plan.c.contact_id)
            .where(plan.c.adopts, sa.not_(plan.c.takes_over))
        )
        self.connection.execute(links.insert().from_select(_LINK, adopted))
        self._note("adopted", adopted.with_only_columns(plan.c.contact_id, plan.c.person_id))

    def update(self) -> int:
        listed, stage, plan = self.listed, self.stage, self.plan
        differs = changes(stage, listed, self.stored, self.settings)
        switched_on = sa.and_(links.c.deactivated, listed.c.active.is_not(sa.true()))
        values: dict[str, sa.ColumnElement[Any]] = {}
        for name in differs:
            staged = stage.c[name]
            values[name] = sa.func.coalesce(staged, listed.c[name]) if self.settings.ignore_empty else staged
        values |= channels.flags_of_known(
            stage, listed, links.c.phone_filled, self.settings.consent, memory_lost=self.memory_lost
        )
        values["active"] = sa.case((switched_on, sa.true()), else_=listed.c.active)
        values["updatedAt"] = sa.literal(self.now, listed.c.updatedAt.type)
        updates = (
            plan.c.action == "update",
            listed.c.contact_id == plan.c.contact_id,
            stage.c.person_id == plan.c.person_id,
            self.ours,
            links.c.contact_id == plan.c.contact_id,
            any_of([*differs.values(), switched_on]),
        )
        changed = changed_variables(listed, differs, values)
        self._note("updated", sa.select(plan.c.contact_id, plan.c.person_id, changed).where(*updates))
        return self.connection.execute(
            listed.update().values({listed.c[name]: value for name, value in values.items()}).where(*updates)
        ).rowcount

    def create(self) -> int:
        listed, stage, plan = self.listed, self.stage, self.plan
        new = (
            sa.select(plan.c.person_id)
            .where(plan.c.action == "create")
            .order_by(plan.c.person_id)
            .subquery("new")
        )
        has_phone = stage.c.phoneNumber.is_not(None) if self.has_phone else sa.false()
        numbered = sa.select(
            new.c.person_id, dialects.next_contact_id(self.connection, listed).label("contact_id")
        ).subquery("numbered")
        created = sa.select(
            sa.literal(self.connection_id),
            numbered.c.person_id,
            numbered.c.contact_id,
            sa.false(),
            has_phone,
            sa.false(),
        ).join(stage, stage.c.person_id == numbered.c.person_id)
        self.connection.execute(links.insert().from_select(_LINK, created))

        moment = sa.literal(self.now, listed.c.updatedAt.type)
        values: dict[str, sa.ColumnElement[Any]] = {"contact_id": links.c.contact_id}
        values |= {name: stage.c[name] for name in stage_variables(stage)}
        values |= channels.flags_of_new(stage, self.settings.consent, memory_lost=self.memory_lost)
        values |= {"createdAt": moment, "updatedAt": moment}
        rows = (
            sa.select(*values.values())
            .select_from(plan)
            .join(stage, stage.c.person_id == plan.c.person_id)
            .join(links, sa.and_(self.ours, links.c.person_id == plan.c.person_id))
            .where(plan.c.action == "create")
            .order_by(links.c.contact_id)
        )
        self._note("created", rows.with_only_columns(links.c.contact_id, links.c.person_id))
        insert = listed.insert().from_select([listed.c[name] for name in values], rows)
        return self.connection.execute(insert.execution_options(preserve_rowcount=True)).rowcount

    def leave(self) -> tuple[int, int, int]:
        """Contacts that lost their person: deleted, deactivated, let go."""
        listed = self.listed
        still_on = listed.c.active.is_not(sa.false())
        self._note("released", self._left("let_go"))
        self._note(
            "deactivated",
            self._left("deactivate").join(listed, listed.c.contact_id == links.c.contact_id).where(still_on),
        )
        contact_history.forget_contacts(self.connection, self.connection_id, self._leaving("delete"))
        self._note("deleted", self._left("delete"))
        deleted = self.connection.execute(
            listed.delete().where(listed.c.contact_id.in_(self._leaving("delete")))
        ).rowcount
        let_go = self.connection.execute(
            links.delete().where(self.ours, links.c.contact_id.in_(self._leaving("let_go")))
        ).rowcount
        self.connection.execute(
            links.delete().where(self.ours, links.c.contact_id.in_(self._leaving("delete")))
        )
        deactivated = self.connection.execute(
            listed.update()
            .values(
                {
                    listed.c.active: sa.false(),
                    listed.c.updatedAt: sa.literal(self.now, listed.c.updatedAt.type),
                }
            )
            .where(listed.c.contact_id.in_(self._leaving("deactivate")), still_on)
        ).rowcount
        self.connection.execute(
            links.update()
            .values(deactivated=True)
            .where(self.ours, links.c.contact_id.in_(self._leaving("deactivate")))
        )
        return deleted, deactivated, let_go

    def close_links(self) -> None:
        """Notes in the links what has happened to the contacts of those who take part."""
        listed = self.listed
        written = self._planned("update", "unchanged")
        with_phone = sa.select(listed.c.contact_id).where(listed.c.phoneNumber != "")
        self.connection.execute(
            links.update()
            .values(phone_filled=True)
            .where(
                self.ours,
                sa.not_(links.c.phone_filled),
                links.c.contact_id.in_(with_phone),
                links.c.contact_id.in_(written),
            )
        )
        self.connection.execute(
            links.update()
            .values(deactivated=False)
            .where(self.ours, links.c.deactivated, links.c.contact_id.in_(written))
        )

    def taking_part(self) -> int:
        plan = self.plan
        taking_part = plan.c.action.in_(["create", "update", "unchanged"])
        return self.connection.execute(sa.select(sa.func.count()).where(taking_part)).scalar_one()

    def _leaving(self, action: str) -> sa.Select[Any]:
        return sa.select(self.leaving.c.contact_id).where(self.leaving.c.action == action)

    def _left(self, action: str) -> sa.Select[Any]:
        """The contacts that lost their person in this way, and the person."""
        return sa.select(links.c.contact_id, links.c.person_id).where(
            self.ours, links.c.contact_id.in_(self._leaving(action))
        )

    def _note(self, action: contact_history.Action, contacts: sa.Select[Any]) -> None:
        """`contacts`: contact_id, person_id and, of an update, the names of what it changes."""
        if action != "updated":
            contacts = contacts.add_columns(sa.null())
        contact_history.note(self.connection, self.connection_id, self.run_id, self.now, action, contacts)

    def _planned(self, *actions: str) -> sa.Select[Any]:
        return sa.select(self.plan.c.contact_id).where(self.plan.c.action.in_(actions))


_LINK = ["connection_id", "person_id", "contact_id", "adopted", "phone_filled", "deactivated"]
