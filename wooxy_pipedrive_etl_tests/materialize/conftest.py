"""One world for a module's tests: starting Dagster's services takes longer than most of what is done with them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser

from wooxy_pipedrive_etl_tests.scenario import closing_databases, isolate
from wooxy_pipedrive_etl_tests.web.browser import launched

from .hosts import write_audience
from .world import World, running_world


@dataclass(frozen=True)
class Shared:
    """`audience`: the code location of the asset that is made of the list."""

    world: World
    audience: str


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """On SQLite, with the product's own executor, and a second code location."""
    folder = tmp_path_factory.mktemp("dagster")
    with pytest.MonkeyPatch.context() as patched, closing_databases():
        isolate(patched, folder)
        audience = write_audience(folder)
        with running_world(folder, f"sqlite:///{folder / 'list.db'}", beside=[audience]) as world:
            yield Shared(world, audience)


@pytest.fixture(scope="module")
def world(shared: Shared) -> World:
    return shared.world


@pytest.fixture
def browser() -> Iterator[Browser]:
    """No longer than its test: Playwright has an event loop in this thread."""
    yield from launched()
