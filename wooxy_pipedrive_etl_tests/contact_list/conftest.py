"""Both databases, opened once for this area."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from wooxy_pipedrive_etl.store import tables
from wooxy_pipedrive_etl.store.database import open_database

from .desk import Desk


@pytest.fixture(scope="session")
def sqlite_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sa.Engine]:
    yield from _opened(f"sqlite:///{Path(tmp_path_factory.mktemp('lists')) / 'list.db'}")


@pytest.fixture(scope="session")
def postgres_engine(postgres_server: str) -> Iterator[sa.Engine]:
    with psycopg.connect(postgres_server, autocommit=True) as db:
        db.execute("CREATE DATABASE contact_lists")
    url = postgres_server.replace("postgresql://", "postgresql+psycopg://")
    yield from _opened(url.replace("/postgres?", "/contact_lists?"))


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest) -> sa.Engine:
    found: sa.Engine = request.getfixturevalue(f"{request.param}_engine")
    return found


@pytest.fixture
def desk(engine: sa.Engine) -> Desk:
    """An empty list with only the built-in variables."""
    if engine not in _DESKS:
        _DESKS[engine] = Desk(engine)
    _DESKS[engine].clear()
    return _DESKS[engine]


@pytest.fixture
def own_desk(engine: sa.Engine) -> Desk:
    """For a test that changes the columns."""
    return Desk(engine)


# One per database: making a list costs more than most tests.
_DESKS: dict[sa.Engine, Desk] = {}


def _opened(url: str) -> Iterator[sa.Engine]:
    engine = open_database(url)
    with engine.begin() as db:
        tables.metadata.create_all(db)
    yield engine
    engine.dispose()
