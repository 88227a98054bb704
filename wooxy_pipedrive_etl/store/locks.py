"""One writer a connection, and one editor of its matching: locks that the system itself lets go when their holder dies,
however it dies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import sqlalchemy as sa
from filelock import FileLock, Timeout
from sqlalchemy.exc import DBAPIError

from .connections import ConnectionRecord
from .errors import StoreError

# The first halves of the keys of PostgreSQL's advisory locks; the second is the connection's id.
_LOCK_SPACE = 1_870_034
_MATCHING_LOCK_SPACE = 1_870_035
# Somebody who only looks whether a connection is held has SQLite's lock for less than this.
_LOOK_SECONDS = 0.2


class ConnectionBusy(StoreError):
    """Another run is at work on the connection."""


@contextmanager
def sole_writer(engine: sa.Engine, record: ConnectionRecord) -> Iterator[None]:
    """Holds the connection for one run. Raises ConnectionBusy if another run has it, without waiting for it."""
    busy = ConnectionBusy(
        f"Another run of the connection {record.name} is at work; wait until it has ended, then start again."
    )
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            key = (sa.cast(_LOCK_SPACE, sa.Integer), sa.cast(record.id, sa.Integer))
            if not connection.scalar(sa.select(sa.func.pg_try_advisory_lock(*key))):
                raise busy
            try:
                yield
            finally:
                # If the server ended this session, the lock went with it, and the run has its own end to tell of.
                with suppress(DBAPIError):
                    connection.execute(sa.select(sa.func.pg_advisory_unlock(*key)))
    else:
        lock = _file_lock(engine, record.id)
        try:
            lock.acquire(timeout=_LOOK_SECONDS, poll_interval=_LOOK_SECONDS / 10)
        except Timeout:
            raise busy from None
        try:
            yield
        finally:
            lock.release()


def is_held(connection: sa.Connection, connection_id: int) -> bool:
    """Whether a run holds the connection at this moment. To ask often, as pages do, keeps no run from beginning."""
    if connection.dialect.name == "postgresql":
        held = sa.text(
            "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database "
            "WHERE datname = current_database() AND locktype = 'advisory' AND granted "
            "AND classid::bigint = :space AND objid::bigint = :connection"
        )
        return bool(connection.scalar(held, {"space": _LOCK_SPACE, "connection": connection_id}))
    lock = _file_lock(connection.engine, connection_id)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def sole_editor(connection: sa.Connection, record: ConnectionRecord) -> None:
    """Until the transaction ends nobody else changes the connection's matching; waits for who does. For use in a
    transaction that writes.

    Not the connection's row: a run that writes the list wants that at the end, and an Import must wait for that run.
    """
    # Writers on SQLite take turns anyway.
    if connection.dialect.name == "postgresql":
        key = (sa.cast(_MATCHING_LOCK_SPACE, sa.Integer), sa.cast(record.id, sa.Integer))
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(*key)))


def _file_lock(engine: sa.Engine, connection_id: int) -> FileLock:
    database = Path(str(engine.url.database))
    return FileLock(database.with_name(f"{database.name}.connection-{connection_id}.lock"))
