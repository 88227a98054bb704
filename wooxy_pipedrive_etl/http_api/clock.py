"""A client's time and its waits, in one place, so that tests need not really wait."""

from __future__ import annotations

import threading
import time

# For waits that nothing interrupts.
NEVER = threading.Event()


class Stopped(Exception):
    """A wait ended because its result is no longer needed. Never leaves a client."""


class Clock:
    def now(self) -> float:
        """Seconds from an arbitrary start; never goes back."""
        return time.monotonic()

    def wait(self, seconds: float, stop: threading.Event) -> None:
        """Waits; raises ``Stopped`` as soon as ``stop`` is set."""
        if stop.wait(seconds):
            raise Stopped
