"""Locks that the system releases when their holder dies, however it dies: one writer per connection, one renewer of its
tokens, and one editor of its matching."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from .connections import ConnectionRecord
from .errors import StoreError

if TYPE_CHECKING:
    # Loading it takes time, asyncio's included, and only locks on SQLite need it.
    from filelock import FileLock

# The first halves of the keys of PostgreSQL's advisory locks. The second half is the connection's id.
_WRITER_SPACE = 1_870_034
_RENEWAL_SPACE = 1_870_035
_MATCHING_SPACE = 1_870_036
# A mere check whether a connection is held keeps SQLite's lock for less than this.
_LOOK_SECONDS = 0.2


class ConnectionBusy(StoreError):
    """Another run holds the connection."""


@contextmanager
def sole_writer(engine: sa.Engine, record: ConnectionRecord) -> Iterator[None]:
    """Holds the connection for one run. Raises ConnectionBusy at once if another run holds it."""
    try:
        with _held(engine, _WRITER_SPACE, "connection", record.id, wait=False):
            yield
    except _Taken:
        raise ConnectionBusy(
            f"Another run of the connection {record.name} is at work; wait until it has ended, then start again."
        ) from None


@contextmanager
def sole_renewer(engine: sa.Engine, record: ConnectionRecord) -> Iterator[None]:
    """Holds the renewal of the connection's tokens; waits for the current holder. The holder may be a thread of a run
    or independent of the run that holds the connection, and holds the lock only for a few requests."""
    with _held(engine, _RENEWAL_SPACE, "tokens", record.id, wait=True):
        yield


class _Taken(Exception):
    """Someone else holds the lock."""


@contextmanager
def _held(engine: sa.Engine, space: int, what: str, connection_id: int, *, wait: bool) -> Iterator[None]:
    """`wait`: wait until the lock is free; otherwise raises _Taken. On SQLite the lock is a file beside the database,
    so it does not compete with SQLite's writers."""
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
            key = (sa.cast(space, sa.Integer), sa.cast(connection_id, sa.Integer))
            if wait:
                db.execute(sa.select(sa.func.pg_advisory_lock(*key)))
            elif not db.scalar(sa.select(sa.func.pg_try_advisory_lock(*key))):
                raise _Taken
            try:
                yield
            finally:
                # If the server ended this session, the lock is already released, and the holder gets an error of its
                # own.
                with suppress(DBAPIError):
                    db.execute(sa.select(sa.func.pg_advisory_unlock(*key)))
    else:
        from filelock import Timeout

        lock = _file_lock(engine, what, connection_id)
        try:
            lock.acquire(timeout=-1 if wait else _LOOK_SECONDS, poll_interval=_LOOK_SECONDS / 10)
        except Timeout:
            raise _Taken from None
        try:
            yield
        finally:
            lock.release()


def is_held(db: sa.Connection, connection_id: int) -> bool:
    """Whether a run holds the connection now. Frequent checks, as by pages, don't keep a run from starting."""
    if db.dialect.name == "postgresql":
        held = sa.text(
            "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database "
            "WHERE datname = current_database() AND locktype = 'advisory' AND granted "
            "AND classid::bigint = :space AND objid::bigint = :connection"
        )
        return bool(db.scalar(held, {"space": _WRITER_SPACE, "connection": connection_id}))
    from filelock import Timeout

    lock = _file_lock(db.engine, "connection", connection_id)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def sole_editor(db: sa.Connection, record: ConnectionRecord) -> None:
    """Keeps others from changing the connection's matching until the transaction ends; waits for the current editor.
    Use in a transaction that writes.

    Does not lock the connection's row: a run that writes the list needs that row at the end, and an Import must wait
    for that run.
    """
    # SQLite has only one writer at a time anyway.
    if db.dialect.name == "postgresql":
        key = (sa.cast(_MATCHING_SPACE, sa.Integer), sa.cast(record.id, sa.Integer))
        db.execute(sa.select(sa.func.pg_advisory_xact_lock(*key)))


def _file_lock(engine: sa.Engine, what: str, connection_id: int) -> FileLock:
    from filelock import FileLock

    database = Path(str(engine.url.database))
    # Anyone who can open the file can hold the lock.
    return FileLock(database.with_name(f"{database.name}.{what}-{connection_id}.lock"), mode=0o600)
