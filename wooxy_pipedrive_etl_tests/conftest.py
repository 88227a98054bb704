"""Fixtures that several areas use: the two databases that every result must be the same on."""

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

# How long an example takes says more about the machine's other work than about the program.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

# A shell that starts the tests in the background has them ignore Ctrl+C, and Dagster takes what SIGINT does over for
# SIGTERM: whatever a run starts then ignores SIGTERM as well, and the run waits a minute for its end.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What is loaded once stays, and to look through it again and again takes a tenth of the tests' time.
gc.freeze()
gc.set_threshold(100_000, 50, 100)

share_compiled_statements()

# Where it is set, each of the hundreds of processes that tests start would compile the whole program again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """One process more than there are cores: those that wait for Dagster's daemon leave theirs idle."""
    if config.option.numprocesses != "logical":
        return None
    return (psutil.cpu_count(logical=True) or 1) + 1


# Databases come by the hundred, and live for a second: where the system has a folder in memory with room, a database of
# PostgreSQL is there in a twentieth of the time that a disk takes for its files.
_MEMORY, _ROOM = Path("/dev/shm"), 4 << 30
if "TMPDIR" not in os.environ and os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ROOM:
    os.environ["TMPDIR"] = tempfile.tempdir = str(_MEMORY)

# What takes longest begins first, so that no core is idle while it ends.
_LONGEST = ("/materialize/", "/test_way_through.py", "/test_kills.py", "/test_histories.py")

# The folder whose tests share what takes long to start.
_ONE_PROCESS = "/materialize/"

# Where SQL is what is tested. What stands above it runs many tests on each database; each of them takes one of the two.
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
    """Of each test that could run on both, the one of the two that is left out: always the same, by its name."""
    pairs: dict[str, dict[str, pytest.Item]] = {}
    for item in items:
        if not any(folder in item.nodeid for folder in _BOTH_DATABASES):
            parameters: dict[str, str] = item.callspec.params if hasattr(item, "callspec") else {}
            if database := parameters.get("database_url"):
                pairs.setdefault(item.nodeid.replace(database, ""), {})[database] = item
    return [
        pair[("sqlite", "postgres")[zlib.crc32(name.encode()) % 2]]
        for name, pair in pairs.items()
        if len(pair) == 2
    ]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `-n`, the tests of a module of that folder go to one process, and any other test to whoever is free."""
    from xdist.scheduler import LoadScopeScheduling

    scheduling = LoadScopeScheduling(config, log)
    scheduling._split_scope = _shared_by
    return scheduling


def _shared_by(test_id: str) -> str:
    return test_id.partition("::")[0] if _ONE_PROCESS in test_id else test_id


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URI of a real PostgreSQL server that lives as long as the test session."""
    # Not in pytest's folder: as root, the server runs as another user, whom every further session locks out of it.
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    server = started_postgres(folder, "delete")
    with psycopg.connect(server.get_uri(), autocommit=True) as db:
        # What a power cut would lose does not matter here, and databases come and go faster.
        db.execute("ALTER SYSTEM SET fsync = off")
        db.execute("SELECT pg_reload_conf()")
    yield str(server.get_uri())
    server.cleanup()


@pytest.fixture(scope="session")
def prepared_postgres(postgres_server: str) -> str:
    """The URL of a database with the state's empty tables, to be copied."""
    url = PostgresDatabases(postgres_server).new()
    _prepare(url)
    return url


@pytest.fixture(scope="session")
def prepared_sqlite(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a database with the state's empty tables, to be copied."""
    url = f"sqlite:///{tmp_path_factory.mktemp('prepared') / 'list.db'}"
    _prepare(url)
    return url


def _prepare(url: str) -> None:
    """The steps to the present tables take longer than most tests; `store/` tests them."""
    with tempfile.TemporaryDirectory() as home, pytest.MonkeyPatch.context() as environment:
        environment.setenv("WOOXY_PIPEDRIVE_HOME", home)
        environment.delenv("WOOXY_PIPEDRIVE_KEY", raising=False)
        Store.open(url).close()


@pytest.fixture
def postgres_url(postgres_server: str, prepared_postgres: str) -> Iterator[str]:
    """A SQLAlchemy URL of a PostgreSQL database with the state's empty tables, dropped after the test."""
    databases = PostgresDatabases(postgres_server)
    url = databases.copy(prepared_postgres)
    yield url
    databases.drop(url)


@pytest.fixture
def sqlite_url(tmp_path: Path, prepared_sqlite: str) -> str:
    """A SQLAlchemy URL of a SQLite file of its own with the state's empty tables."""
    return SqliteDatabases(tmp_path).copy(prepared_sqlite)


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Each test that takes this can run on both databases, and with `--both-databases` does."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url
