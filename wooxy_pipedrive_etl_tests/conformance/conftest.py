"""Fixtures of the conformance tests: the databases that they copy."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from wooxy_pipedrive_etl.store import Store

from ..scenario import isolate
from .databases import Databases, PostgresDatabases, SqliteDatabases, copied

NewDatabase = Callable[[], AbstractContextManager[str]]


@pytest.fixture(autouse=True)
def _isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    isolate(monkeypatch, tmp_path)


@pytest.fixture(params=["sqlite", "postgres"])
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> Databases:
    """Each test that takes this runs on both databases."""
    if request.param == "sqlite":
        return SqliteDatabases(tmp_path)
    return PostgresDatabases(request.getfixturevalue("postgres_server"))


@pytest.fixture(scope="session")
def _templates() -> dict[str, str]:
    """An empty database of each kind, brought up to date, once it was needed."""
    return {}


@pytest.fixture
def new_database(databases: Databases, _templates: dict[str, str]) -> NewDatabase:
    """Gives the URL of a fresh database, brought up to date, for as long as the context lasts."""
    if databases.name not in _templates:
        template = databases.new()
        Store.open(template).close()
        _templates[databases.name] = template
    return lambda: copied(databases, _templates[databases.name])
