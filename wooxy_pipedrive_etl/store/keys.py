"""Which key the stored opt-outs belong to. Another key would find none of the opted-out numbers, and people who opted
out would be subscribed again. So while there are opt-outs, a new key is refused until a user confirms it (`check` has
the one exception).

Each accepted key has a row in `sync_keys`, and each hash refers to the row of its key. Hashes of another key are kept:
they can't be read, but while a domain has any, numbers that are new to its list count as opted out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import sqlalchemy as sa

from wooxy_pipedrive_etl.settings import KEY_VARIABLE

from . import tables
from .database import reading
from .secrets import KeyUnusable, SecretBox

_keys, _opt_outs = tables.keys, tables.opt_outs

# Two programs that start at once must not both record their key.
_LOCK = 7_036_871_206

WAYS_ON = (
    "It is best to put the old key back from your backup: the key file, or the value of "
    f"{KEY_VARIABLE}. If it is lost for good, decide: wooxy-pipedrive key accept --new-numbers-opted-out (numbers that "
    "are new to a list are not subscribed) or --forget-opt-outs (people who opted out may be subscribed again)."
)
OTHER_KEY = (
    "The key is not the one that the opt-outs in the database were stored with, so nobody could tell who opted out; "
    f"nothing was read or written. {WAYS_ON}"
)
MISSING_KEY = (
    "The database has opt-outs or credentials that were stored with it, so no new key was made; nothing was read or "
    f"written. {WAYS_ON}"
)


class OtherKey(KeyUnusable):
    """The database has opt-outs, and nothing shows that this key may be used with them."""


@dataclass(frozen=True)
class HashKey:
    """The key that phone numbers are hashed with. `id`: its row in `sync_keys`."""

    id: int
    hash_phone: Callable[[str], str]


def check(engine: sa.Engine, secrets: SecretBox) -> None:
    """Raises OtherKey. Records a key that is new to the database if that is safe: there are no opt-outs; or an earlier
    version stored them without a key, and this key decrypts all credentials."""
    with reading(engine) as db:
        if key_id(db, secrets) is not None:
            return
    with engine.begin() as db:
        _take_turns(db)
        if key_id(db, secrets) is not None:
            return
        if _has_any(db, _opt_outs):
            if _has_any(db, _keys) or not _reads_all_credentials(db, secrets):
                raise OtherKey(OTHER_KEY)
            db.execute(_opt_outs.update().values(key_id=_record(db, secrets)))
        else:
            _record(db, secrets)


def accept(engine: sa.Engine, secrets: SecretBox, *, forget_opt_outs: bool) -> int:
    """Accepts this key from now on, confirmed by a user, and keeps or forgets the opt-outs that it can't read.

    Returns how many opt-outs it can't read, or could not read before they were forgotten.
    """
    # Record the key normally if the credentials prove it: its own opt-outs must not count as another key's.
    with suppress(OtherKey):
        check(engine, secrets)
    with engine.begin() as db:
        _take_turns(db)
        mine = key_id(db, secrets)
        if mine is None:
            mine = _record(db, secrets)
        unreadable = _opt_outs.c.key_id.is_distinct_from(mine)
        count = db.execute(sa.select(sa.func.count()).where(unreadable)).scalar_one()
        if forget_opt_outs:
            db.execute(_opt_outs.delete().where(unreadable))
            _drop_unused_keys(db, mine)
        return count


def key_id(db: sa.Connection, secrets: SecretBox) -> int | None:
    """The row of this key, or None if the key is not accepted here."""
    return db.scalar(sa.select(_keys.c.id).where(_keys.c.fingerprint == secrets.fingerprint))


def hash_key(db: sa.Connection, secrets: SecretBox) -> HashKey:
    """Raises OtherKey."""
    mine = key_id(db, secrets)
    if mine is None:
        raise OtherKey(OTHER_KEY)
    return HashKey(mine, secrets.hash_phone)


def domains_with_unreadable(db: sa.Connection, key_id: int | None) -> frozenset[int]:
    """The ids of the domains with opt-outs of another key: numbers that are new to these domains count as opted out."""
    query = sa.select(_opt_outs.c.domain_id).where(_opt_outs.c.key_id.is_distinct_from(key_id)).distinct()
    return frozenset(db.scalars(query))


def is_needed(engine: sa.Engine) -> bool:
    """Whether the database has opt-outs or credentials, which a new key could not read."""
    with reading(engine) as db:
        return _has_any(db, _opt_outs) or next(_credentials(db), None) is not None


def reads_all_credentials(engine: sa.Engine, secrets: SecretBox) -> bool:
    """Whether this key decrypts all stored credentials; true if there are none."""
    with reading(engine) as db:
        return all(_reads(secrets, each) for each in _credentials(db))


def _reads_all_credentials(db: sa.Connection, secrets: SecretBox) -> bool:
    """Whether there are credentials, and this key decrypts them all."""
    read = [_reads(secrets, each) for each in _credentials(db)]
    return bool(read) and all(read)


def _reads(secrets: SecretBox, encrypted: str) -> bool:
    try:
        secrets.decrypt(encrypted)
    except KeyUnusable:
        return False
    return True


def _credentials(db: sa.Connection) -> Iterator[str]:
    """Everything that is stored encrypted."""
    for table in (tables.credentials, tables.webhooks, tables.installations):
        for column in table.c:
            if column.name.startswith("encrypted_"):
                yield from db.scalars(sa.select(column).where(column != ""))


def _record(db: sa.Connection, secrets: SecretBox) -> int:
    """Records this key and drops those without opt-outs: a key without opt-outs proves nothing."""
    _drop_unused_keys(db, None)
    row = _keys.insert().values(fingerprint=secrets.fingerprint).returning(_keys.c.id)
    recorded: int = db.execute(row).scalar_one()
    return recorded


def _drop_unused_keys(db: sa.Connection, mine: int | None) -> None:
    used = sa.exists().where(_opt_outs.c.key_id == _keys.c.id)
    db.execute(_keys.delete().where(~used, _keys.c.id.is_distinct_from(mine)))


def _has_any(db: sa.Connection, table: sa.Table) -> bool:
    return db.scalar(sa.select(sa.literal(1)).select_from(table).limit(1)) is not None


def _take_turns(db: sa.Connection) -> None:
    # SQLite has only one writer at a time anyway.
    if db.dialect.name == "postgresql":
        db.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
