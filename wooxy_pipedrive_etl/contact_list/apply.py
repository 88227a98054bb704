"""Writes a plan into the list, and with it the links, the memory of opt-outs and the history of contacts. Touches only
rows that differ, and compares again while writing, since someone may have changed the list after the plan was made."""

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
from .scratch import RELEASED, stage_variables
from .sql import any_of, insert_into
from .view import ListView
from .work import ListSettings, Tables, tables_of

links = tables.links


@dataclass(frozen=True)
class AppliedCounts:
    """How many contacts were really written. `unchanged`: all others that take part; together they add up to what was
    planned."""

    created: int
    updated: int
    unchanged: int
    deleted: int
    deactivated: int
    released: int


def apply_plan(
    db: sa.Connection,
    contact_list: ContactList,
    connection_id: int,
    settings: ListSettings,
    hash_key: HashKey,
    run_id: str,
    now: datetime,
) -> AppliedCounts:
    """Applies the plan in the caller's transaction. `settings`: those that the plan was made with.

    `hash_key`: the key that opted-out numbers are hashed with. `run_id`: for the history. `now`: for the history,
    createdAt and updatedAt; a naive time is UTC.
    """
    memory = channels.Memory(contact_list.domain_id, hash_key)
    stored = contact_list.stored(db)
    listed = contact_list.table(stored)
    t = tables_of(db, ListView(stored, listed), connection_id, settings)
    w = Writing(t, listed, memory, memory.is_lost(db), run_id, _utc(now))
    update_opt_outs(db, w)
    move_links(db, w)
    updated = update_contacts(db, w)
    created = create_contacts(db, w)
    deleted, deactivated, released = end_orphaned(db, w)
    close_links(db, w)
    unchanged = _count_taking_part(db, w) - created - updated
    return AppliedCounts(created, updated, unchanged, deleted, deactivated, released)


def _utc(moment: datetime) -> datetime:
    naive = moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    return naive.replace(microsecond=0)


@dataclass(frozen=True)
class Writing:
    """`listed`: the list as the target of the writes. `memory_lost`: see `channels`."""

    t: Tables
    listed: sa.Table
    memory: channels.Memory
    memory_lost: bool
    run_id: str
    now: datetime

    @property
    def has_phone(self) -> bool:
        return "phoneNumber" in self.t.stage.c

    @property
    def moment(self) -> sa.ColumnElement[datetime]:
        return sa.literal(self.now, self.listed.c.updatedAt.type)


def update_opt_outs(db: sa.Connection, w: Writing) -> None:
    """Updates the memory of opt-outs before numbers move, and marks the staged numbers that it contains."""
    listed, stage, plan = w.listed, w.t.stage, w.t.plan
    flags = [listed.c[channel] for channel in channels.REMEMBERED]
    phones = sa.select(listed.c.phoneNumber, *flags).where(listed.c.phoneNumber != "")
    deleted = phones.where(listed.c.contact_id.in_(_orphaned(w, "delete")))
    channels.forget(db, w.memory, deleted)
    if w.has_phone:
        changed = (
            phones.join(plan, plan.c.contact_id == listed.c.contact_id)
            .join(stage, stage.c.person_id == plan.c.person_id)
            .where(plan.c.action == "update", w.t.changes["phoneNumber"])
        )
        channels.forget(db, w.memory, changed)
    channels.remember(db, w.memory, listed)
    if w.has_phone:
        getting = (
            sa.select(stage.c.person_id, stage.c.phoneNumber)
            .join(plan, plan.c.person_id == stage.c.person_id)
            .outerjoin(listed, listed.c.contact_id == plan.c.contact_id)
            .where(plan.c.action.in_(["create", "update"]), channels.gets_number(stage, listed))
        )
        channels.mark_opted_out(db, w.memory, stage, getting)


def move_links(db: sa.Connection, w: Writing) -> None:
    """Links persons to the existing contacts that they get. Removes links to contacts that no longer exist."""
    listed, plan = w.listed, w.t.plan
    there = sa.select(1).where(listed.c.contact_id == links.c.contact_id)
    db.execute(links.delete().where(w.t.our_links, ~there.exists()))
    moves = (w.t.our_links, links.c.contact_id == plan.c.contact_id, plan.c.handed_over)
    _note(db, w, "handed_over", sa.select(links.c.contact_id, plan.c.person_id).where(*moves))
    db.execute(links.update().where(*moves).values(person_id=plan.c.person_id))
    adopted = (
        sa.select()
        .select_from(plan)
        .join(listed, listed.c.contact_id == plan.c.contact_id)
        .where(plan.c.adopts, sa.not_(plan.c.handed_over))
    )
    insert_into(
        db,
        links,
        {
            "connection_id": sa.literal(w.t.connection_id),
            "person_id": plan.c.person_id,
            "contact_id": plan.c.contact_id,
            "adopted": sa.true(),
            "phone_filled": sa.func.coalesce(listed.c.phoneNumber, "") != "",
            "deactivated": sa.false(),
        },
        adopted,
    )
    _note(db, w, "adopted", adopted.add_columns(plan.c.contact_id, plan.c.person_id))


def update_contacts(db: sa.Connection, w: Writing) -> int:
    """Returns how many were updated."""
    listed, stage, plan, settings = w.listed, w.t.stage, w.t.plan, w.t.settings
    switched_on = sa.and_(links.c.deactivated, listed.c.active.is_not(sa.true()))
    values: dict[str, sa.ColumnElement[Any]] = {}
    for name in w.t.changes:
        staged = stage.c[name]
        values[name] = sa.func.coalesce(staged, listed.c[name]) if settings.ignore_empty else staged
    values |= channels.flags_of_known(
        stage, listed, links.c.phone_filled, settings.consent, memory_lost=w.memory_lost
    )
    values["active"] = sa.case((switched_on, sa.true()), else_=listed.c.active)
    values["updatedAt"] = w.moment
    updates = (
        plan.c.action == "update",
        listed.c.contact_id == plan.c.contact_id,
        stage.c.person_id == plan.c.person_id,
        w.t.our_links,
        links.c.contact_id == plan.c.contact_id,
        any_of([*w.t.changes.values(), switched_on]),
    )
    changed = changed_variables(listed, w.t.changes, values)
    _note(db, w, "updated", sa.select(plan.c.contact_id, plan.c.person_id, changed).where(*updates))
    return db.execute(
        listed.update().values({listed.c[name]: value for name, value in values.items()}).where(*updates)
    ).rowcount


def create_contacts(db: sa.Connection, w: Writing) -> int:
    """Returns how many were created. Their links are inserted first, because the links assign the contact ids."""
    listed, stage, plan = w.listed, w.t.stage, w.t.plan
    new = (
        sa.select(plan.c.person_id)
        .where(plan.c.action == "create")
        .order_by(plan.c.person_id)
        .subquery("new")
    )
    numbered = sa.select(new.c.person_id, dialects.next_contact_id(db, listed).label("contact_id")).subquery(
        "numbered"
    )
    insert_into(
        db,
        links,
        {
            "connection_id": sa.literal(w.t.connection_id),
            "person_id": numbered.c.person_id,
            "contact_id": numbered.c.contact_id,
            "adopted": sa.false(),
            "phone_filled": stage.c.phoneNumber.is_not(None) if w.has_phone else sa.false(),
            "deactivated": sa.false(),
        },
        sa.select().select_from(numbered).join(stage, stage.c.person_id == numbered.c.person_id),
    )
    created = (
        sa.select()
        .select_from(plan)
        .join(stage, stage.c.person_id == plan.c.person_id)
        .join(links, sa.and_(w.t.our_links, links.c.person_id == plan.c.person_id))
        .where(plan.c.action == "create")
        .order_by(links.c.contact_id)
    )
    _note(db, w, "created", created.add_columns(links.c.contact_id, links.c.person_id))
    return insert_into(
        db,
        listed,
        {
            "contact_id": links.c.contact_id,
            **{name: stage.c[name] for name in stage_variables(stage.c.keys())},
            **channels.flags_of_new(stage, w.t.settings.consent, memory_lost=w.memory_lost),
            "createdAt": w.moment,
            "updatedAt": w.moment,
        },
        created,
    )


def end_orphaned(db: sa.Connection, w: Writing) -> tuple[int, int, int]:
    """Returns how many of the orphaned contacts were deleted, deactivated and released."""
    listed = w.listed
    still_on = listed.c.active.is_not(sa.false())
    _note(db, w, "released", _orphaned_links(w, RELEASED))
    _note(
        db,
        w,
        "deactivated",
        _orphaned_links(w, "deactivate")
        .join(listed, listed.c.contact_id == links.c.contact_id)
        .where(still_on),
    )
    contact_history.forget_contacts(db, w.t.connection_id, _orphaned(w, "delete"))
    _note(db, w, "deleted", _orphaned_links(w, "delete"))
    deleted = db.execute(listed.delete().where(listed.c.contact_id.in_(_orphaned(w, "delete")))).rowcount
    released = db.execute(
        links.delete().where(w.t.our_links, links.c.contact_id.in_(_orphaned(w, RELEASED)))
    ).rowcount
    db.execute(links.delete().where(w.t.our_links, links.c.contact_id.in_(_orphaned(w, "delete"))))
    deactivated = db.execute(
        listed.update()
        .values({listed.c.active: sa.false(), listed.c.updatedAt: w.moment})
        .where(listed.c.contact_id.in_(_orphaned(w, "deactivate")), still_on)
    ).rowcount
    db.execute(
        links.update()
        .values(deactivated=True)
        .where(w.t.our_links, links.c.contact_id.in_(_orphaned(w, "deactivate")))
    )
    return deleted, deactivated, released


def close_links(db: sa.Connection, w: Writing) -> None:
    """Updates the links of the written contacts: which have had a number, and which are active again."""
    listed, plan = w.listed, w.t.plan
    written = sa.select(plan.c.contact_id).where(plan.c.action.in_(["update", "unchanged"]))
    with_phone = sa.select(listed.c.contact_id).where(listed.c.phoneNumber != "")
    db.execute(
        links.update()
        .values(phone_filled=True)
        .where(
            w.t.our_links,
            sa.not_(links.c.phone_filled),
            links.c.contact_id.in_(with_phone),
            links.c.contact_id.in_(written),
        )
    )
    db.execute(
        links.update()
        .values(deactivated=False)
        .where(w.t.our_links, links.c.deactivated, links.c.contact_id.in_(written))
    )


def _count_taking_part(db: sa.Connection, w: Writing) -> int:
    taking_part = w.t.plan.c.action.in_(["create", "update", "unchanged"])
    return db.execute(sa.select(sa.func.count()).where(taking_part)).scalar_one()


def _orphaned(w: Writing, action: str) -> sa.Select[Any]:
    """The ids of the orphaned contacts with this action."""
    orphaned = w.t.orphaned
    return sa.select(orphaned.c.contact_id).where(orphaned.c.action == action)


def _orphaned_links(w: Writing, action: str) -> sa.Select[Any]:
    """The same contacts, each with its person."""
    return sa.select(links.c.contact_id, links.c.person_id).where(
        w.t.our_links, links.c.contact_id.in_(_orphaned(w, action))
    )


def _note(db: sa.Connection, w: Writing, action: contact_history.Action, contacts: sa.Select[Any]) -> None:
    """`contacts`: contact_id, person_id and, for an update, the names of the variables that it changes."""
    if action != "updated":
        contacts = contacts.add_columns(sa.null())
    contact_history.note(db, w.t.connection_id, w.run_id, w.now, action, contacts)
