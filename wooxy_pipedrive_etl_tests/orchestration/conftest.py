"""Keeps the tests of this folder off the user's own files, and runs jobs in an in-memory instance."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from wooxy_pipedrive_etl_tests.scenario import FakeClock, closing_databases, isolate


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeClock]:
    with closing_databases():
        yield isolate(monkeypatch, tmp_path)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def home(database_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The database that sensors and runs open, set through the environment."""
    monkeypatch.setenv("WOOXY_PIPEDRIVE_DATABASE_URL", database_url)
    return database_url
