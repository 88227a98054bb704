from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from wooxy_pipedrive_etl.store.connections import get_connection
from wooxy_pipedrive_etl.store.database import open_database
from wooxy_pipedrive_etl.store.locks import ConnectionBusy, is_held, sole_writer
from wooxy_pipedrive_etl.store.migrations import upgrade

from .conftest import new_connection, url_of
from .programs import program, read_line, say

_HOLD = """
import sys
from wooxy_pipedrive_etl.store.connections import get_connection
from wooxy_pipedrive_etl.store.database import open_database, reading
from wooxy_pipedrive_etl.store.locks import ConnectionBusy, sole_writer
engine = open_database(sys.argv[1])
with reading(engine) as db:
    record = get_connection(db, "acme")
try:
    with sole_writer(engine, record):
        print("holds", flush=True)
        input()
    print("let go", flush=True)
except ConnectionBusy as busy:
    print(busy, flush=True)
"""


@pytest.fixture(autouse=True)
def _two_connections(engine: sa.Engine) -> None:
    with engine.begin() as db:
        new_connection(db, "acme", "shop.example.com")
        new_connection(db, "bolt", "news.example.com")


def _hold(engine: sa.Engine, name: str) -> None:
    with engine.connect() as db:
        record = get_connection(db, name)
    with sole_writer(engine, record):
        pass


def test_second_holder_is_refused_in_the_same_program(engine: sa.Engine) -> None:
    with engine.connect() as db:
        record = get_connection(db, "acme")
    with sole_writer(engine, record):
        with pytest.raises(ConnectionBusy, match="acme is at work; wait until it has ended"):
            _hold(engine, "acme")
        _hold(engine, "bolt")
    _hold(engine, "acme")


def test_checking_the_lock_never_prevents_taking_it(engine: sa.Engine) -> None:
    with engine.connect() as db:
        record, other = get_connection(db, "acme"), get_connection(db, "bolt")

    def look() -> tuple[bool, bool]:
        with engine.connect() as db:
            return is_held(db, record.id), is_held(db, other.id)

    assert look() == (False, False)
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            look()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for _ in range(50):
            _hold(engine, "acme")
    finally:
        over.set()
        watcher.join()
    with sole_writer(engine, record):
        assert look() == (True, False)
    assert look() == (False, False)


def test_the_lock_is_released_when_the_run_fails(engine: sa.Engine) -> None:
    with engine.connect() as db:
        record = get_connection(db, "acme")
    with pytest.raises(KeyboardInterrupt), sole_writer(engine, record):
        raise KeyboardInterrupt
    _hold(engine, "acme")


def test_the_holder_may_use_other_transactions(engine: sa.Engine) -> None:
    with engine.connect() as db:
        record = get_connection(db, "acme")
    with sole_writer(engine, record), engine.begin() as db:
        new_connection(db, "core", "core.example.com")


def test_another_programs_lock_is_respected_until_released(
    engine: sa.Engine,
) -> None:
    with program(_HOLD, url_of(engine)) as holder:
        assert read_line(holder) == "holds"
        with pytest.raises(ConnectionBusy):
            _hold(engine, "acme")
        with program(_HOLD, url_of(engine)) as second:
            assert "Another run of the connection acme is at work" in read_line(second)
        _hold(engine, "bolt")
        say(holder)
        assert read_line(holder) == "let go"
        _hold(engine, "acme")


def test_lock_of_a_killed_program_is_free(engine: sa.Engine) -> None:
    with program(_HOLD, url_of(engine)) as holder:
        assert read_line(holder) == "holds"
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        _wait_for_postgresql_to_notice(engine)
        _hold(engine, "acme")


def _wait_for_postgresql_to_notice(engine: sa.Engine) -> None:
    """The server learns of a killed client from the closed socket, a moment later; waiting for the same lock returns
    then."""
    if engine.dialect.name != "postgresql":
        return
    with engine.connect() as db:
        held = db.execute(
            sa.text("SELECT classid::bigint, objid::bigint FROM pg_locks WHERE locktype = 'advisory'")
        ).all()
        for key in held:
            db.execute(sa.text("SELECT pg_advisory_lock(:a, :b)"), {"a": key[0], "b": key[1]})
            db.execute(sa.text("SELECT pg_advisory_unlock(:a, :b)"), {"a": key[0], "b": key[1]})


def test_a_lock_file_is_private_to_its_owner(sqlite_url: str) -> None:
    engine = open_database(sqlite_url)
    upgrade(engine)
    with engine.begin() as db:
        record = new_connection(db, "acme", "shop.example.com")
    with sole_writer(engine, record):
        (lock,) = Path(str(engine.url.database)).parent.glob("*.lock")
        assert lock.stat().st_mode & 0o777 == 0o600
    engine.dispose()
