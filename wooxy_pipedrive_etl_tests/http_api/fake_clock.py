"""A clock that makes waiting instant."""

from __future__ import annotations

import threading
from collections.abc import Callable

from wooxy_pipedrive_etl.http_api.clock import Clock, Stopped


class FakeClock(Clock):
    """Time that passes only by waiting, and then at once."""

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
