"""Searching and browsing the list: contacts by part of a name, address, number or id, page by page; and one contact
with all its variables."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from . import dialects
from .columns import CHANNELS
from .contact_list import ContactList

PAGE = 50
# Nobody types more, and SQLite rejects very long texts.
MAX_TEXT = 200

_SEARCHED = ("name", "firstName", "lastName", "email", "phoneNumber", "userId")
_SHOWN = ("name", "firstName", "lastName", "email", "phoneNumber", "active", *CHANNELS, "updatedAt")
# What people type between the digits of a number; numbers in the list have none of it.
_BETWEEN_DIGITS = re.compile(r"[\s().\-/]")
# Letters that have no decomposition, and what people type instead.
_PLAIN_LETTERS = str.maketrans(
    {"ł": "l", "ø": "o", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "ŧ": "t", "þ": "th", "æ": "ae", "œ": "oe"}
)
_BATCH = 5_000


@dataclass(frozen=True)
class ContactsPage:
    """`contacts`: contact_id, the names, email, phoneNumber, active, the channels and updatedAt, as in `read_contact`.
    `count`: of all contacts found. `previous` and `next`: the values of `before` and `after` for the adjacent pages, if
    any."""

    contacts: list[dict[str, Any]]
    count: int
    previous: int | None
    next: int | None


def find_contacts(
    db: sa.Connection,
    contact_list: ContactList,
    text: str = "",
    *,
    after: int | None = None,
    before: int | None = None,
    size: int = PAGE,
) -> ContactsPage:
    """The contacts that have every word of the text in a name, email address, phone number or user id, in order of
    contact_id: from the start, after one contact, or before one. Without text: all contacts.

    Case, accents and word order don't matter (`folded_text`), there are no wildcards, and a number may be written with
    spaces, brackets, dots, hyphens and slashes.
    """
    stored = contact_list.stored(db)
    table = contact_list.table(stored)
    key = table.c.contact_id
    query = sa.select(key, *_columns(db, table, stored, _SHOWN)).limit(size + 1)
    wanted = text.strip()[:MAX_TEXT]
    found: list[int] | None = None
    if wanted:
        found = _found(db, table, wanted)
        if before is not None:
            some = found[: bisect_left(found, before)][-size - 1 :]
        else:
            start = 0 if after is None else bisect_right(found, after)
            some = found[start : start + size + 1]
        query = query.where(key.in_(some))
    if before is not None:
        query = query.where(key < before).order_by(key.desc())
    elif after is not None:
        query = query.where(key > after).order_by(key)
    else:
        query = query.order_by(key)
    rows = list(db.execute(query))
    more, rows = len(rows) > size, rows[:size]
    if before is not None:
        rows.reverse()
    earlier, later = (more, True) if before is not None else (after is not None, more)
    if found is not None:
        count = len(found)
    elif earlier or later:
        count = db.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
    else:
        count = len(rows)
    return ContactsPage(
        contacts=[dict(row._mapping) for row in rows],
        count=count,
        previous=rows[0].contact_id if rows and earlier else None,
        next=rows[-1].contact_id if rows and later else None,
    )


def folded_text(text: str) -> str:
    """The text lower-cased and without accents, in any script. Texts that differ only in these become equal."""
    if text.isascii():
        return text.lower()
    letters = unicodedata.normalize("NFKD", text)
    kept = "".join(letter for letter in letters if unicodedata.category(letter) not in ("Mn", "Me", "Cf"))
    return kept.casefold().translate(_PLAIN_LETTERS)


def read_contact(db: sa.Connection, contact_list: ContactList, contact_id: int) -> dict[str, Any] | None:
    """Every variable of a contact: text as in `ContactList.read` or None; a flag is True, False or, until someone sets
    it, None. None if the list has no such contact."""
    stored = contact_list.stored(db)
    table = contact_list.table(stored)
    columns = _columns(db, table, stored, stored)
    row = db.execute(sa.select(*columns).where(table.c.contact_id == contact_id)).one_or_none()
    return None if row is None else dict(row._mapping)


def _columns(
    db: sa.Connection, table: sa.Table, stored: dict[str, str | None], names: Iterable[str]
) -> list[sa.ColumnElement[Any]]:
    return [
        table.c[name]
        if stored[name] == "flag"
        else dialects.exported(db, table.c[name], stored[name]).label(name)
        for name in names
        if name != "contact_id"
    ]


def _found(db: sa.Connection, table: sa.Table, text: str) -> list[int]:
    """The ids of the contacts that have the words, ascending.

    Compared in Python: each database folds different scripts, and few; PostgreSQL's rules depend on how the database
    was created.
    """
    words = folded_text(text).split()
    number = _BETWEEN_DIGITS.sub("", text)
    is_number = number.removeprefix("+").isdecimal()
    names = [name for name in _SEARCHED if name != "phoneNumber"]
    query = sa.select(table.c.contact_id, table.c.phoneNumber, *(table.c[name] for name in names))
    query = query.order_by(table.c.contact_id).execution_options(yield_per=_BATCH)
    found: list[int] = []
    for rows in db.execute(query).partitions():
        for contact_id, phone, *texts in rows:
            searched = folded_text("\n".join(filter(None, texts)))
            phone = phone or ""
            if all(
                # Two digits occur in nearly every number.
                word in searched or (len(word) > 2 and word in phone)
                for word in words
            ) or (is_number and number in phone):
                found.append(contact_id)
    return found
