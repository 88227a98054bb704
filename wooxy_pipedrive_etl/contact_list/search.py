"""The list as people look through it: contacts found by a part of a name, an address, a number or an id, page by page,
and one contact with all that it has."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from wooxy_pipedrive_etl.store.bulk import storable

from . import dialects
from .columns import CHANNELS
from .contact_list import ContactList

PAGE = 50
# Nobody types more, and SQLite refuses very long ones.
MAX_TEXT = 200

_SEARCHED = ("name", "firstName", "lastName", "email", "phoneNumber", "userId")
_SHOWN = ("name", "firstName", "lastName", "email", "phoneNumber", "active", *CHANNELS, "updatedAt")
# What people put between the digits of a number; the list's numbers have none of it.
_BETWEEN_DIGITS = re.compile(r"[\s().\-/]")
_CAPITALS = {ord(letter): letter.lower() for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


@dataclass(frozen=True)
class ContactsPage:
    """`contacts`: contact_id, the names, email, phoneNumber, active, the channels and updatedAt, as `read_contact`.
    `count`: of all that were found. `previous` and `next`: for `before` and `after` of the pages beside, if any."""

    contacts: list[dict[str, Any]]
    count: int
    previous: int | None
    next: int | None


def find_contacts(
    connection: sa.Connection,
    contact_list: ContactList,
    text: str = "",
    *,
    after: int | None = None,
    before: int | None = None,
    size: int = PAGE,
) -> ContactsPage:
    """The contacts that have the text in a name, e-mail address, phone number or user id, in the order of contact_id:
    the first ones, those after one or those before one. Small and capital ASCII letters count as the same, no character
    stands for others, and a number may be written with spaces, brackets, dots, hyphens and slashes. No text: all."""
    stored = contact_list.stored(connection)
    table = contact_list.table(stored)
    found = _has(connection, table, text)
    key = table.c.contact_id
    query = sa.select(key, *_columns(connection, table, stored, _SHOWN)).where(found).limit(size + 1)
    if before is not None:
        query = query.where(key < before).order_by(key.desc())
    elif after is not None:
        query = query.where(key > after).order_by(key)
    else:
        query = query.order_by(key)
    rows = list(connection.execute(query))
    more, rows = len(rows) > size, rows[:size]
    if before is not None:
        rows.reverse()
    earlier, later = (more, True) if before is not None else (after is not None, more)
    if earlier or later:
        counted = sa.select(sa.func.count()).select_from(table).where(found)
        count = connection.execute(counted).scalar_one()
    else:
        count = len(rows)
    return ContactsPage(
        contacts=[dict(row._mapping) for row in rows],
        count=count,
        previous=rows[0].contact_id if rows and earlier else None,
        next=rows[-1].contact_id if rows and later else None,
    )


def read_contact(
    connection: sa.Connection, contact_list: ContactList, contact_id: int
) -> dict[str, Any] | None:
    """Every variable of a contact: text as `ContactList.read` gives it or None, but for a flag True, False or, as long
    as nobody has said anything, None. None if the list has no such contact."""
    stored = contact_list.stored(connection)
    table = contact_list.table(stored)
    columns = _columns(connection, table, stored, stored)
    row = connection.execute(sa.select(*columns).where(table.c.contact_id == contact_id)).one_or_none()
    return None if row is None else dict(row._mapping)


def _columns(
    connection: sa.Connection, table: sa.Table, stored: dict[str, str | None], names: Iterable[str]
) -> list[sa.ColumnElement[Any]]:
    return [
        table.c[name]
        if stored[name] == "flag"
        else dialects.exported(connection, table.c[name], stored[name]).label(name)
        for name in names
        if name != "contact_id"
    ]


def _has(connection: sa.Connection, table: sa.Table, text: str) -> sa.ColumnElement[bool]:
    wanted = storable(text.strip()[:MAX_TEXT]).translate(_CAPITALS)
    if not wanted:
        return sa.true()
    found = [
        dialects.folded(connection, table.c[name]).contains(wanted, autoescape=True) for name in _SEARCHED
    ]
    number = _BETWEEN_DIGITS.sub("", wanted)
    if number.removeprefix("+").isdecimal() and number != wanted:
        found.append(table.c.phoneNumber.contains(number, autoescape=True))
    return sa.or_(*found)
