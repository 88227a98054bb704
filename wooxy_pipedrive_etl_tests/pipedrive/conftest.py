"""A clock that no test waits for, and clients that use it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from wooxy_pipedrive_etl.pipedrive import ApiToken, PipedriveClient
from wooxy_pipedrive_etl.pipedrive.budget import Budgets
from wooxy_pipedrive_etl.pipedrive.clock import Clock, Stopped

Connect = Callable[..., PipedriveClient]


class FakeClock(Clock):
    """Time that passes only by waiting, and all of it at once."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.waits: list[float] = []
        self.at_next_wait: Callable[[], None] = lambda: None
        self._lock = threading.Lock()

    def now(self) -> float:
        return self.time

    def wait(self, seconds: float, stop: threading.Event) -> None:
        if stop.is_set():
            raise Stopped
        with self._lock:
            self.waits.append(seconds)
            self.time += seconds
            self.at_next_wait()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def budgets(clock: FakeClock) -> Budgets:
    return Budgets(clock)


@pytest.fixture
def connect(budgets: Budgets) -> Iterator[Connect]:
    """Makes a client of the given URL that is closed after the test and shares the test's budgets."""
    with ExitStack() as stack:

        def make(url: str, token: str = "a-secret-token", **settings: float) -> PipedriveClient:
            client = PipedriveClient(url, ApiToken(token), budgets=budgets, **settings)  # type: ignore[arg-type]
            return stack.enter_context(client)

        yield make
