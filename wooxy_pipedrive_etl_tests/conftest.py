"""Fixtures that several areas use: the two databases that every result must be the same on."""

from __future__ import annotations

import signal
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, settings

from .postgres import started_postgres

# How long an example takes says more about the machine's other work than about the program.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

# A shell that starts the tests in the background has them ignore Ctrl+C, and Dagster takes what SIGINT does over for
# SIGTERM: whatever a run starts then ignores SIGTERM as well, and the run waits a minute for its end.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The folder whose tests share what takes long to start.
_ONE_PROCESS = "/materialize/"


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
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        # What a power cut would lose does not matter here, and databases come and go faster.
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
    yield str(server.get_uri())
    server.cleanup()


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """A SQLAlchemy URL of a fresh PostgreSQL database, dropped after the test."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    yield postgres_server.replace("postgresql://", "postgresql+psycopg://").replace("/postgres?", f"/{name}?")
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A SQLAlchemy URL of a SQLite file of its own."""
    return f"sqlite:///{tmp_path / 'list.db'}"


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Each test that takes this runs on both databases."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url
