"""Opens the database of the state and the lists: an embedded SQLite file, or PostgreSQL in production."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from .errors import StoreError

# How long a writer waits for another one on SQLite, which knows a single writer at a time.
_SQLITE_WAIT_SECONDS = 120


class DatabaseUnavailable(StoreError):
    """The database can't be opened; the message says why, without credentials."""


def open_database(url: str) -> Engine:
    """An engine for a SQLAlchemy URL, checked by connecting once.

    Raises DatabaseUnavailable if the URL can't be read, names another database than SQLite or PostgreSQL, or
    if nothing answers there.
    """
    parsed = _parse(url)
    shown = parsed.render_as_string(hide_password=True)
    try:
        engine = (
            _sqlite(parsed)
            if parsed.get_backend_name() == "sqlite"
            else create_engine(parsed, pool_pre_ping=True)
        )
        with engine.connect():
            pass
    except (SQLAlchemyError, OSError) as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        if parsed.password:
            reason = reason.replace(str(parsed.password), "***")
        raise DatabaseUnavailable(
            f"The database {shown} can't be opened ({reason}); check WOOXY_PIPEDRIVE_DATABASE_URL."
        ) from None
    return engine


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
        parsed.get_dialect()
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise DatabaseUnavailable(
            "WOOXY_PIPEDRIVE_DATABASE_URL is not a SQLAlchemy URL; use for example sqlite:////folder/list.db "
            "or postgresql://user:password@host/database."
        ) from None
    backend = parsed.get_backend_name()
    if backend not in ("sqlite", "postgresql"):
        raise DatabaseUnavailable(f"WOOXY_PIPEDRIVE_DATABASE_URL names {backend}; use sqlite or postgresql.")
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.database in (None, "", ":memory:"):
        raise DatabaseUnavailable(
            "WOOXY_PIPEDRIVE_DATABASE_URL names a SQLite database in memory; name a file, "
            "since the list must outlive the run."
        )
    return parsed


def _sqlite(url: URL) -> Engine:
    Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, connect_args={"timeout": _SQLITE_WAIT_SECONDS})

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: Any) -> None:
        # The driver would begin a transaction only before the first write, and never before DDL.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A reader that turns writer halfway can't wait for another writer, it fails at once: so writers say
        # so first.
        immediate = connection.get_execution_options().get("read_only") is not True
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


def reading(engine: Engine) -> Connection:
    """A connection that only reads: on SQLite it waits for no writer. For use in `with`."""
    return engine.connect().execution_options(read_only=True)
