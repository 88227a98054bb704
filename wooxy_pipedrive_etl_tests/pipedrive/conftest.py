"""Clients with a clock on which waiting takes no time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from wooxy_pipedrive_etl.pipedrive import ApiToken, PipedriveClient
from wooxy_pipedrive_etl.pipedrive.budget import Budgets
from wooxy_pipedrive_etl_tests.http_api.fake_clock import FakeClock

Connect = Callable[..., PipedriveClient]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def budgets(clock: FakeClock) -> Budgets:
    return Budgets(clock)


@pytest.fixture
def connect(budgets: Budgets) -> Iterator[Connect]:
    """Makes a client for the given URL that shares the test's budgets and is closed after the test."""
    with ExitStack() as stack:

        def make(url: str, token: str = "a-secret-token", **settings: float) -> PipedriveClient:
            client = PipedriveClient(url, ApiToken(token), budgets=budgets, **settings)  # type: ignore[arg-type]
            return stack.enter_context(client)

        yield make
