"""Opens the database of the state and the lists: an embedded SQLite file, or PostgreSQL in production."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import URL, ExceptionContext
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from . import errors
from .errors import StoreError

if TYPE_CHECKING:
    # Where it is needed to run, it is imported there: most of what only looks at SQLite is done before it is loaded.
    import psycopg

# How long a writer waits for another one on SQLite, which knows a single writer at a time, unless it says otherwise.
_SQLITE_WAIT_SECONDS = 120

# How long PostgreSQL's host may take to answer, unless the URL says otherwise.
_CONNECT_SECONDS = "10"

# A machine that loses its power or its network says no goodbye. After 30 seconds of silence the other end asks, and
# takes it for dead after 60; by itself the system would wait for two hours, and a dead worker's locks with it. For the
# client, where the URL does not say otherwise, and for the server's end of each session.
_KEEPALIVES = {"keepalives_idle": "30", "keepalives_interval": "10", "keepalives_count": "3"}
_KEEP_ALIVE = "SELECT " + ", ".join(
    f"set_config('tcp_{name}', '{value}', false)" for name, value in _KEEPALIVES.items()
)


class DatabaseUnavailable(StoreError):
    """The database can't be opened; the message says why, without credentials."""


def open_database(url: str, sqlite_wait_seconds: float | None = None) -> Engine:
    """An engine for a SQLAlchemy URL, checked by connecting once. Its errors tell no values.

    `sqlite_wait_seconds`: how long a writer waits for another one on SQLite, if not two minutes.
    Raises DatabaseUnavailable if the URL can't be read, names another database than SQLite or PostgreSQL, or
    if nothing answers there.
    """
    parsed = _parse(url.strip())
    try:
        on_sqlite = parsed.get_backend_name() == "sqlite"
        engine = _sqlite(parsed, sqlite_wait_seconds) if on_sqlite else _postgresql(parsed)
        with engine.connect():
            pass
    except (SQLAlchemyError, OSError) as error:
        raise _unavailable(parsed, error) from None
    except errors.DATABASE_ERRORS as error:
        raise _unavailable(parsed, error) from None
    return engine


def _unavailable(url: URL, error: Exception) -> DatabaseUnavailable:
    reason = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
    if url.password:
        reason = reason.replace(str(url.password), "***")
    name = f" {url.database}" if url.database else ""
    at = f" at {url.host}" if url.host else ""
    return DatabaseUnavailable(
        f"The database{name}{at} can't be opened ({reason}); check WOOXY_PIPEDRIVE_DATABASE_URL."
    )


def _parse(url: str) -> URL:
    url = re.sub("^postgres(?=://|\\+)", "postgresql", url)
    if url.startswith("postgresql"):
        _check_punctuation(url)
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
        # Where a password may also be, it would be shown with the rest.
        password = parsed.password or parsed.normalized_query.get("password", [None])[-1]
        query = {"connect_timeout": _CONNECT_SECONDS, **_KEEPALIVES, **parsed.query}
        query.pop("password", None)
        return parsed.set(drivername="postgresql+psycopg", password=password, query=query)
    if parsed.database in (None, "", ":memory:") or str(parsed.database).startswith("file:"):
        raise DatabaseUnavailable(
            "WOOXY_PIPEDRIVE_DATABASE_URL names a SQLite database in memory; name a file, "
            "since the list must outlive the run."
        )
    return parsed.set(drivername="sqlite")


def _check_punctuation(url: str) -> None:
    """A bare @, / or : in a password makes its rest a part of the host or the database, which messages show."""
    credentials, at, place = url.partition("://")[2].partition("@")
    user = credentials.partition(":")[0]
    if at and ("@" in place or "/" in user or "?" in user):
        raise DatabaseUnavailable(
            "WOOXY_PIPEDRIVE_DATABASE_URL can be read in more than one way; write special characters of the user and "
            "the password percent-encoded: @ as %40, / as %2F, : as %3A."
        )


def _postgresql(url: URL) -> Engine:
    import psycopg

    engine = create_engine(url, pool_pre_ping=True, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def prepare(connection: psycopg.Connection[Any], _record: Any) -> None:
        # Outside of a transaction, whose end could take the settings back.
        connection.autocommit = True
        connection.execute(_KEEP_ALIVE)
        connection.autocommit = False

    @event.listens_for(engine, "handle_error")
    def on_error(context: ExceptionContext) -> None:
        error, wrapped = context.original_exception, context.sqlalchemy_exception
        if isinstance(error, psycopg.Error):
            hide_values(error)
            if context.connection is not None and not context.is_disconnect:
                # For the statement that a sentence tells to run.
                driver = context.connection.connection.driver_connection
                error.role = driver.info.user  # type: ignore[attr-defined,union-attr]
            if wrapped is not None:
                wrapped.args = (f"({type(error).__name__}) {error}",)

    return engine


def hide_values(error: psycopg.Error) -> None:
    """Makes the error say what was refused without the rows that PostgreSQL quotes: these are people's data."""
    import psycopg

    told = error.diag
    by_trigger = (error.sqlstate or "").startswith("P0")
    if by_trigger or isinstance(error, psycopg.DataError | psycopg.IntegrityError):
        where = filter(None, (told.table_name, told.column_name, told.constraint_name))
        error.args = (f"SQLSTATE {error.sqlstate} {' '.join(where)}".rstrip(),)
    elif told.message_primary:
        error.args = (told.message_primary,)


def _sqlite(url: URL, wait_seconds: float | None) -> Engine:
    database = Path(str(url.database))
    if not database.exists():
        # These are people's data: the file, and those that SQLite lays beside it, are the owner's alone.
        database.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        database.touch(mode=0o600)
    wait_seconds = _SQLITE_WAIT_SECONDS if wait_seconds is None else wait_seconds
    engine = create_engine(url, connect_args={"timeout": wait_seconds}, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: Any) -> None:
        # The driver would begin a transaction only before the first write, and never before DDL.
        connection.isolation_level = None
        _use_wal(connection, time.monotonic() + wait_seconds)
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "invalidate")
    def roll_back(connection: sqlite3.Connection, _record: Any, _error: BaseException | None) -> None:
        # A signal that breaks off a statement has the connection closed, which leaves its transaction open, and every
        # writer waiting, for as long as a traceback knows the cursor.
        with suppress(sqlite3.Error):
            connection.rollback()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A reader that turns writer halfway can't wait for another writer, it fails at once: so writers say
        # so first.
        immediate = connection.get_execution_options().get("read_only") is not True
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


def _use_wal(connection: sqlite3.Connection, deadline: float) -> None:
    """Of programs that open a new file at once, one makes it a WAL file; SQLite refuses the others without waiting."""
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


@contextmanager
def writing_soon(engine: Engine, seconds: float) -> Iterator[Connection]:
    """A write transaction for what had better fail than wait: on SQLite it waits so long for another writer, and then
    raises as any writer does that waits in vain."""
    with engine.connect() as db:
        driver = db.connection.dbapi_connection
        if isinstance(driver, sqlite3.Connection):
            (usual,) = driver.execute("PRAGMA busy_timeout").fetchone()
            driver.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")
        try:
            with db.begin():
                yield db
        finally:
            if isinstance(driver, sqlite3.Connection):
                driver.execute(f"PRAGMA busy_timeout = {usual}")


def reading(engine: Engine) -> Connection:
    """A connection that only reads: on SQLite it waits for no writer. For use in `with`."""
    return engine.connect().execution_options(read_only=True)
