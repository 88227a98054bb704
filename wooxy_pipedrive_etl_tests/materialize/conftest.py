"""One world per module: starting Dagster's services takes longer than most of the tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from wooxy_pipedrive_etl_tests.scenario import closing_databases, isolate
from wooxy_pipedrive_etl_tests.web.browser import launched

from .world import NAMES, World, running_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two connections on SQLite, with the product's own executor."""
    folder = tmp_path_factory.mktemp("dagster")
    with pytest.MonkeyPatch.context() as patched, closing_databases():
        isolate(patched, folder)
        with running_world(folder, f"sqlite:///{folder / 'list.db'}", names=NAMES[:2]) as world:
            yield world


@pytest.fixture
def browser() -> Iterator[Browser]:
    """Lives only as long as its test, because Playwright has an event loop in this thread."""
    yield from launched()
