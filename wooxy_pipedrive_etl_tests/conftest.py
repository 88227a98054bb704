"""Fixtures shared by several areas: the two databases, which must always give the same results."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from hypothesis import HealthCheck, settings

from wooxy_pipedrive_etl.store import Store

from .compiled import share_compiled_statements
from .databases import PostgresDatabases, SqliteDatabases
from .postgres import started_postgres

# An example's duration says more about the machine's load than about the program.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

# A shell makes background tests ignore Ctrl+C, and Dagster copies the SIGINT handler to SIGTERM: whatever a run starts
# would ignore SIGTERM too, and the run would wait a minute for it to end.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What is loaded once stays loaded; scanning it again and again takes a tenth of the test time.
gc.freeze()
gc.set_threshold(100_000, 50, 100)

share_compiled_statements()

# If it is set, each of the hundreds of processes the tests start compiles the whole program again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """One process more than there are cores: tests that wait for Dagster's daemon leave theirs idle."""
    if config.option.numprocesses != "logical":
        return None
    return (psutil.cpu_count(logical=True) or 1) + 1


# Tests create hundreds of short-lived databases. Where the system has an in-memory folder with room, a PostgreSQL
# database is created in a twentieth of the time it takes on disk.
_MEMORY, _ROOM = Path("/dev/shm"), 4 << 30
if "TMPDIR" not in os.environ and os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ROOM:
    os.environ["TMPDIR"] = tempfile.tempdir = str(_MEMORY)

# The slowest tests start first, so that no core is idle at the end.
_LONGEST = ("/materialize/", "/test_way_through.py", "/test_kills.py", "/test_histories.py")

# The folder whose tests share what is slow to start.
_ONE_PROCESS = "/materialize/"

# Areas that test SQL itself run every test on both databases; elsewhere each test runs on one of the two.
_BOTH_DATABASES = ("/conformance/", "/contact_list/", "/store/")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--both-databases",
        action="store_true",
        help="run every test on SQLite and on PostgreSQL, not only those of the SQL (takes a third longer)",
    )
    parser.addoption(
        "--write-plan-sql",
        action="store_true",
        help="have test_plan_sql.py write docs/plan.sql anew",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("both_databases"):
        deselected = _on_the_other_database(items)
        config.hook.pytest_deselected(items=deselected)
        left_out = set(deselected)
        items[:] = [item for item in items if item not in left_out]
    items.sort(key=lambda item: not any(each in item.nodeid for each in _LONGEST))


def _on_the_other_database(items: list[pytest.Item]) -> list[pytest.Item]:
    """For each test that could run on both databases, the one left out: chosen by name, so always the same. Two of
    three run on SQLite, which takes half as long."""
    pairs: dict[str, dict[str, pytest.Item]] = {}
    for item in items:
        if not any(folder in item.nodeid for folder in _BOTH_DATABASES):
            parameters: dict[str, str] = item.callspec.params if hasattr(item, "callspec") else {}
            if database := parameters.get("database_url"):
                pairs.setdefault(item.nodeid.replace(database, ""), {})[database] = item
    return [
        pair["sqlite" if zlib.crc32(name.encode()) % 3 == 0 else "postgres"]
        for name, pair in pairs.items()
        if len(pair) == 2
    ]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `-n`, each module of that folder goes to one process, and other tests to whichever process is free."""
    from xdist.scheduler import LoadScopeScheduling

    scheduling = LoadScopeScheduling(config, log)
    scheduling._split_scope = _shared_by
    return scheduling


def _shared_by(test_id: str) -> str:
    return test_id.partition("::")[0] if _ONE_PROCESS in test_id else test_id


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URI of a real PostgreSQL server that lives for the whole test session."""
    # Not in pytest's folder: as root, the server runs as another user, and every new session locks that user out of it.
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    server = started_postgres(folder, "delete")
    with psycopg.connect(server.get_uri(), autocommit=True) as db:
        # Durability does not matter here, and databases come and go faster without it.
        db.execute("ALTER SYSTEM SET fsync = off")
        db.execute("SELECT pg_reload_conf()")
    yield str(server.get_uri())
    server.cleanup()


@pytest.fixture(scope="session")
def prepared_postgres(postgres_server: str) -> str:
    """The URL of a database with the state's empty tables, used as a template."""
    url = PostgresDatabases(postgres_server).new()
    _prepare(url)
    return url


@pytest.fixture(scope="session")
def prepared_sqlite(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a database with the state's empty tables, used as a template."""
    url = f"sqlite:///{tmp_path_factory.mktemp('prepared') / 'list.db'}"
    _prepare(url)
    return url


def _prepare(url: str) -> None:
    """Migrating to the current tables takes longer than most tests; `store/` tests the migrations."""
    with tempfile.TemporaryDirectory() as home, pytest.MonkeyPatch.context() as environment:
        environment.setenv("WOOXY_PIPEDRIVE_HOME", home)
        environment.delenv("WOOXY_PIPEDRIVE_KEY", raising=False)
        Store.open(url).close()


@pytest.fixture
def postgres_url(postgres_server: str, prepared_postgres: str) -> Iterator[str]:
    """The SQLAlchemy URL of a PostgreSQL database with the state's empty tables, dropped after the test."""
    databases = PostgresDatabases(postgres_server)
    url = databases.copy(prepared_postgres)
    yield url
    databases.drop(url)


@pytest.fixture
def sqlite_url(tmp_path: Path, prepared_sqlite: str) -> str:
    """The SQLAlchemy URL of a new SQLite file with the state's empty tables."""
    return SqliteDatabases(tmp_path).copy(prepared_sqlite)


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Tests that use this can run on both databases, and do with `--both-databases`."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url
