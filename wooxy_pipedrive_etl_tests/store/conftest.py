"""The state's database, brought up to date, with one connection in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from wooxy_pipedrive_etl.store import tables
from wooxy_pipedrive_etl.store.connections import ConnectionRecord, add_connection
from wooxy_pipedrive_etl.store.database import open_database
from wooxy_pipedrive_etl.store.migrations import upgrade


@pytest.fixture(autouse=True)
def home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test touches the user's own folder, key or database."""
    folder = tmp_path / "home"
    monkeypatch.setenv("WOOXY_PIPEDRIVE_HOME", str(folder))
    for name in ("WOOXY_PIPEDRIVE_KEY", "WOOXY_PIPEDRIVE_DATABASE_URL", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def engine(database_url: str) -> Iterator[sa.Engine]:
    """The state's tables, empty."""
    engine = open_database(database_url)
    upgrade(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def connection(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction on the state."""
    with engine.begin() as connection:
        yield connection


@pytest.fixture
def record(connection: sa.Connection) -> ConnectionRecord:
    """The connection `acme` of the domain shop.example.com, in the same transaction as `connection`."""
    return new_connection(connection, "acme", "shop.example.com")


def new_domain(connection: sa.Connection, domain: str) -> int:
    """A domain as `contact_list` records it; returns its id."""
    added = connection.execute(
        tables.domains.insert().values(name=domain, list_schema=None, list_table="default_contact_list")
    )
    return int(added.inserted_primary_key[0])


def new_connection(connection: sa.Connection, name: str, domain: str) -> ConnectionRecord:
    """A connection of a domain of its own."""
    return add_connection(
        connection,
        name=name,
        domain_id=new_domain(connection, domain),
        api_url="https://acme.pipedrive.com",
        encrypted_api_token="encrypted",
        company_id=7,
    )
