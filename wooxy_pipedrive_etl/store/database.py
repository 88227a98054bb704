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
    # Imported at run time only where it is needed: most reads of SQLite take less time than loading it.
    import psycopg

# How long a writer on SQLite waits for another one by default: SQLite allows one writer at a time.
_SQLITE_WAIT_SECONDS = 120

# How long PostgreSQL's host may take to answer, unless the URL sets a limit.
_CONNECT_SECONDS = "10"

# A machine that loses power or network closes no connection. The other end sends a keepalive after 30 seconds of
# silence and gives up after 60; the system's default is two hours, during which a dead worker would keep its locks. Set
# for the client, unless the URL says otherwise, and for the server's end of each session.
_KEEPALIVES = {"keepalives_idle": "30", "keepalives_interval": "10", "keepalives_count": "3"}
_KEEP_ALIVE = "SELECT " + ", ".join(
    f"set_config('tcp_{name}', '{value}', false)" for name, value in _KEEPALIVES.items()
)


class DatabaseUnavailable(StoreError):
    """The database can't be opened. The message says why, without credentials."""


def open_database(url: str, sqlite_wait_seconds: float | None = None) -> Engine:
    """An engine for a SQLAlchemy URL, tested by connecting once. Its errors contain no values.

    `sqlite_wait_seconds`: how long a writer on SQLite waits for another one (default: two minutes).
    Raises DatabaseUnavailable if the URL can't be parsed, names a database other than SQLite or PostgreSQL, or if
    nothing answers there.
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
        # A password in the query would be shown with the rest of the URL, so it moves to the place that SQLAlchemy
        # masks.
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
    """A bare @, / or : in a password would make the rest of it part of the host or the database name, which messages
    show."""
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
        # Outside a transaction: a rollback would undo the settings.
        connection.autocommit = True
        connection.execute(_KEEP_ALIVE)
        connection.autocommit = False

    @event.listens_for(engine, "handle_error")
    def on_error(context: ExceptionContext) -> None:
        error, wrapped = context.original_exception, context.sqlalchemy_exception
        if isinstance(error, psycopg.Error):
            hide_values(error)
            if context.connection is not None and not context.is_disconnect:
                # The role, for the SQL statement that a message tells the user to run.
                driver = context.connection.connection.driver_connection
                error.role = driver.info.user  # type: ignore[attr-defined,union-attr]
            if wrapped is not None:
                wrapped.args = (f"({type(error).__name__}) {error}",)

    return engine


def hide_values(error: psycopg.Error) -> None:
    """Removes the rows that PostgreSQL quotes from the error, which still says what was rejected: rows are personal
    data."""
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
        # The data is personal, so only the owner may read the file and the files that SQLite puts beside it.
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
        # If a signal interrupts a statement, SQLAlchemy closes the connection. Its transaction, and every waiting
        # writer, would then hang for as long as a traceback refers to the cursor.
        with suppress(sqlite3.Error):
            connection.rollback()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A reader that becomes a writer halfway can't wait for another writer, it fails at once. So writers announce
        # themselves at the start.
        immediate = connection.get_execution_options().get("read_only") is not True
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


def _use_wal(connection: sqlite3.Connection, deadline: float) -> None:
    """If several programs open a new file at once, one switches it to WAL; SQLite rejects the others without waiting,
    so they try again."""
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
    """A write transaction for work that should fail rather than wait. On SQLite it waits at most `seconds` for another
    writer, then raises the same error as any writer whose wait times out."""
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
    """A read-only connection: on SQLite it never waits for a writer. Use in `with`."""
    return engine.connect().execution_options(read_only=True)
