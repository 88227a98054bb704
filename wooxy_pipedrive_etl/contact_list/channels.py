"""Channels: when a flag may change automatically, and the memory of opt-outs.

A flag is null until someone sets it. Nothing here turns a false into a true. The memory knows opted-out numbers only by
a keyed hash, and outlives the contact and the connection. If it has opt-outs of another key (`memory_lost`), it can't
tell who opted out, so nobody is subscribed on getting a number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
import sqlalchemy as sa

from wooxy_pipedrive_etl.list_settings import Consent
from wooxy_pipedrive_etl.store import tables
from wooxy_pipedrive_etl.store.bulk import copy_into
from wooxy_pipedrive_etl.store.keys import HashKey, domains_with_unreadable

from .scratch import OPTED_OUT

# Subscribed when a contact gets its first phone number.
AUTOMATIC = ("smsSubscribe", "viberSubscribe")
REMEMBERED = tuple(OPTED_OUT)

_BATCH = 10_000


@dataclass(frozen=True)
class Memory:
    """The remembered opt-outs of a domain that this key can read."""

    domain_id: int
    key: HashKey

    @property
    def mine(self) -> sa.ColumnElement[bool]:
        memory = tables.opt_outs
        return sa.and_(memory.c.domain_id == self.domain_id, memory.c.key_id == self.key.id)

    def is_lost(self, db: sa.Connection) -> bool:
        """Whether there are opt-outs of another key."""
        return self.domain_id in domains_with_unreadable(db, self.key.id)


def flags_of_new(
    stage: sa.Table, consent: Consent, *, memory_lost: bool = False
) -> dict[str, sa.ColumnElement[Any]]:
    """The flags of a new contact."""
    flags: dict[str, sa.ColumnElement[Any]] = {"active": sa.true()}
    said: sa.ColumnElement[Any] = stage.c.emailSubscribe if "emailSubscribe" in stage.c else sa.null()
    if "phoneNumber" in stage.c:
        has_number = stage.c.phoneNumber.is_not(None)
        subscribed = sa.false() if memory_lost else sa.and_(has_number, _may_subscribe(stage, consent))
        for channel in AUTOMATIC:
            flags[channel] = sa.case((_opted_out(stage, channel), sa.false()), (subscribed, sa.true()))
        if memory_lost and "emailSubscribe" in stage.c:
            # The number may have opted out of email too.
            said = sa.case((sa.and_(has_number, said.is_(sa.true())), sa.null()), else_=said)
    flags["emailSubscribe"] = sa.case((_opted_out(stage, "emailSubscribe"), sa.false()), else_=said)
    return flags


def flags_of_known(
    stage: sa.Table,
    listed: sa.Table,
    phone_filled: sa.ColumnElement[bool],
    consent: Consent,
    *,
    memory_lost: bool = False,
) -> dict[str, sa.ColumnElement[Any]]:
    """The flags of an updated contact. `phone_filled`: whether it has had its first number."""
    flags: dict[str, sa.ColumnElement[Any]] = {}
    if "phoneNumber" in stage.c:
        opts_out = {
            channel: sa.and_(gets_number(stage, listed), _opted_out(stage, channel)) for channel in REMEMBERED
        }
        first = sa.and_(
            sa.not_(phone_filled),
            stage.c.phoneNumber.is_not(None),
            sa.func.nullif(listed.c.phoneNumber, "").is_(None),
            _may_subscribe(stage, consent),
        )
        # If a flag is true before the first number, someone set it; after that, it may belong to the previous number.
        another = sa.and_(phone_filled, gets_number(stage, listed))
        for channel in AUTOMATIC:
            flag = listed.c[channel]
            unknown = (sa.and_(another, flag.is_(sa.true())), sa.null())
            subscribed = (sa.and_(first, flag.is_(None)), sa.true())
            flags[channel] = sa.case(
                (opts_out[channel], sa.false()), unknown if memory_lost else subscribed, else_=flag
            )
        flags["emailSubscribe"] = sa.case(
            (opts_out["emailSubscribe"], sa.false()), else_=listed.c.emailSubscribe
        )
    if "emailSubscribe" in stage.c:
        flags["emailSubscribe"] = sa.case(
            (unsubscribes(stage, listed), sa.false()),
            else_=flags.get("emailSubscribe", listed.c.emailSubscribe),
        )
    return flags


def unsubscribes(stage: sa.Table, listed: sa.FromClause) -> sa.ColumnElement[bool]:
    """Whether the staged `emailSubscribe` turns an existing contact's flag to false, the only change allowed."""
    return sa.and_(
        stage.c.emailSubscribe.is_(sa.false()), listed.c.emailSubscribe.is_distinct_from(sa.false())
    )


def gets_number(stage: sa.Table, listed: sa.Table) -> sa.ColumnElement[bool]:
    """Whether an existing contact gets a number that it doesn't have."""
    return sa.and_(
        stage.c.phoneNumber.is_not(None),
        sa.func.nullif(listed.c.phoneNumber, "").is_distinct_from(stage.c.phoneNumber),
    )


def _may_subscribe(stage: sa.Table, consent: Consent) -> sa.ColumnElement[bool]:
    if consent == Consent.IGNORE:
        return sa.true()
    if consent == Consent.REQUIRE:
        return stage.c.marketing_status.is_not_distinct_from("subscribed")
    return stage.c.marketing_status.is_distinct_from("unsubscribed")


def _opted_out(stage: sa.Table, channel: str) -> sa.ColumnElement[bool]:
    return stage.c[OPTED_OUT[channel]].is_(sa.true())


def forget(db: sa.Connection, memory: Memory, losing: sa.Select[Any]) -> None:
    """Forgets opt-outs that someone took back. `losing`: phoneNumber and REMEMBERED of the contacts that are about to
    lose their number; while a contact has the number, its own flags count."""
    table = tables.opt_outs
    if not _remembered(db, memory):
        return
    for rows in db.execute(losing.execution_options(yield_per=_BATCH)).partitions():
        gone = [
            {"phone_hash_": memory.key.hash_phone(phone), "channel_": channel}
            for phone, *flags in rows
            for channel, flag in zip(REMEMBERED, flags, strict=True)
            if flag
        ]
        if gone:
            db.execute(
                table.delete().where(
                    memory.mine,
                    table.c.phone_hash == sa.bindparam("phone_hash_"),
                    table.c.channel == sa.bindparam("channel_"),
                ),
                gone,
            )


def remember(db: sa.Connection, memory: Memory, listed: sa.Table) -> None:
    """Remembers the numbers of all contacts in the list that have a false flag."""
    flags = [listed.c[channel] for channel in REMEMBERED]
    query = (
        sa.select(listed.c.phoneNumber, *flags)
        .where(listed.c.phoneNumber != "", sa.or_(*(flag.is_(sa.false()) for flag in flags)))
        .execution_options(yield_per=_BATCH)
    )
    known: set[tuple[str, str]] | None = None
    for rows in db.execute(query).partitions():
        if known is None:
            known = _remembered(db, memory)
        said = {
            (memory.key.hash_phone(phone), channel)
            for phone, *values in rows
            for channel, flag in zip(REMEMBERED, values, strict=True)
            if flag is False
        }
        new = sorted(said - known)
        if new:
            known.update(new)
            fresh = pd.DataFrame(new, columns=["phone_hash", "channel"])
            fresh = fresh.assign(domain_id=memory.domain_id, key_id=memory.key.id)
            copy_into(db, tables.opt_outs.name, fresh)


def mark_opted_out(db: sa.Connection, memory: Memory, stage: sa.Table, getting: sa.Select[Any]) -> None:
    """Marks the staged persons whose number is remembered. `getting`: person_id and phoneNumber of persons whose
    contact is about to get a number."""
    marked = [stage.c[name].is_not(None) for name in OPTED_OUT.values()]
    # An earlier run may have marked the stage.
    db.execute(stage.update().where(sa.or_(*marked)).values(dict.fromkeys(OPTED_OUT.values(), None)))
    known = _remembered(db, memory)
    if not known:
        return
    marks: list[dict[str, Any]] = []
    for rows in db.execute(getting.execution_options(yield_per=_BATCH)).partitions():
        for person_id, phone in rows:
            phone_hash = memory.key.hash_phone(phone)
            mark = {channel: (phone_hash, channel) in known for channel in REMEMBERED}
            if any(mark.values()):
                marks.append({"person_id_": person_id, **{OPTED_OUT[c]: out for c, out in mark.items()}})
    if marks:
        db.execute(
            stage.update()
            .where(stage.c.person_id == sa.bindparam("person_id_"))
            .values({name: sa.bindparam(name) for name in OPTED_OUT.values()}),
            marks,
        )


def _remembered(db: sa.Connection, memory: Memory) -> set[tuple[str, str]]:
    table = tables.opt_outs
    query = sa.select(table.c.phone_hash, table.c.channel).where(memory.mine)
    return {(row.phone_hash, row.channel) for row in db.execute(query)}
