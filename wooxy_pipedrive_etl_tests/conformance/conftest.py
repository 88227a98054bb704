"""Fixtures of the conformance tests: the databases that they copy."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from ..databases import Databases, PostgresDatabases, SqliteDatabases, copied
from ..scenario import isolate

NewDatabase = Callable[[], AbstractContextManager[str]]


@pytest.fixture(autouse=True)
def _isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    isolate(monkeypatch, tmp_path)


@pytest.fixture(params=["sqlite", "postgres"])
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> Databases:
    """Tests that use this run on both databases."""
    if request.param == "sqlite":
        return SqliteDatabases(tmp_path)
    return PostgresDatabases(request.getfixturevalue("postgres_server"))


@pytest.fixture
def new_database(request: pytest.FixtureRequest, databases: Databases) -> NewDatabase:
    """Gives the URL of a fresh, migrated database for as long as the context lasts."""
    prepared = "prepared_sqlite" if databases.name == "SQLite" else "prepared_postgres"
    template: str = request.getfixturevalue(prepared)
    return lambda: copied(databases, template)
