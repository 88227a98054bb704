"""The migrated state database, with one connection in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from wooxy_pipedrive_etl.store import tables
from wooxy_pipedrive_etl.store.connections import ConnectionRecord, SyncSettings, add_connection
from wooxy_pipedrive_etl.store.credentials import StoredCredentials
from wooxy_pipedrive_etl.store.database import open_database
from wooxy_pipedrive_etl.store.migrations import upgrade

from ..databases import PostgresDatabases


@pytest.fixture(autouse=True)
def home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test touches the user's own folder, key or database."""
    folder = tmp_path / "home"
    monkeypatch.setenv("WOOXY_PIPEDRIVE_HOME", str(folder))
    for name in ("WOOXY_PIPEDRIVE_KEY", "WOOXY_PIPEDRIVE_DATABASE_URL", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The SQLAlchemy URL of a SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'list.db'}"


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """The SQLAlchemy URL of an empty PostgreSQL database, dropped after the test."""
    databases = PostgresDatabases(postgres_server)
    url = databases.new()
    yield url
    databases.drop(url)


@pytest.fixture(scope="session")
def sqlite_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sa.Engine]:
    """The state's tables on SQLite."""
    engine = open_database(f"sqlite:///{tmp_path_factory.mktemp('state') / 'list.db'}")
    upgrade(engine)
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def postgres_state(postgres_server: str) -> Iterator[sa.Engine]:
    """The state's tables on PostgreSQL."""
    with psycopg.connect(postgres_server, autocommit=True) as db:
        db.execute("CREATE DATABASE state")
    engine = open_database(postgres_server.replace("/postgres?", "/state?"))
    upgrade(engine)
    yield engine
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgres"])
def shared_engine(request: pytest.FixtureRequest) -> sa.Engine:
    engine: sa.Engine = request.getfixturevalue(f"{request.param}_state")
    return engine


@pytest.fixture
def engine(shared_engine: sa.Engine) -> Iterator[sa.Engine]:
    """The state's empty tables, for tests that open their own transactions."""
    yield shared_engine
    with shared_engine.begin() as db:
        for table in reversed(tables.metadata.sorted_tables):
            db.execute(table.delete())


@pytest.fixture
def db(shared_engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction on the state's empty tables, rolled back at the end."""
    with shared_engine.connect() as db:
        yield db
        db.rollback()


def url_of(engine: sa.Engine) -> str:
    """For another program on the same database."""
    return engine.url.render_as_string(hide_password=False)


@pytest.fixture
def record(db: sa.Connection) -> ConnectionRecord:
    """The connection `acme` of the domain shop.example.com, in the same transaction as `db`."""
    return new_connection(db, "acme", "shop.example.com")


def new_domain(db: sa.Connection, domain: str) -> int:
    """Adds a domain as `contact_list` records it; returns its id."""
    statement = tables.domains.insert().values(
        name=domain, list_schema=None, list_table="default_contact_list"
    )
    return int(db.execute(statement.returning(tables.domains.c.id)).scalar_one())


def new_connection(db: sa.Connection, name: str, domain: str) -> ConnectionRecord:
    """A connection with its own domain."""
    return add_connection(
        db,
        name=name,
        domain_id=new_domain(db, domain),
        api_url="https://acme.pipedrive.com",
        company_id=7,
        stored_credentials=StoredCredentials("encrypted"),
        settings=SyncSettings(),
    )
