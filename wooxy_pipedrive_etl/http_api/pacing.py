"""When the next request may be sent: how many requests an API accepts in a window, and the pauses it demands.

All users of a credential in the process share one ``Pace``, because an API counts them together.
"""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from .clock import Clock
from .errors import ApiError

# A place is held slightly longer than the window: clocks, and sums of floats, never agree to the last digit.
_LONGER_SECONDS = 0.001
# While others occupy the window, another answer may report more room: check again after this.
_LOOK_AGAIN_SECONDS = 0.25


class Pace:
    """At most ``limit`` requests in any ``window`` seconds; those in progress count. All methods may be called from any
    thread."""

    def __init__(self, clock: Clock, limit: int, window: float) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._limit = limit
        self._held_seconds = window + _LONGER_SECONDS
        self._sent = 0
        # The places of requests in progress -> when the headers of the answer arrived, None until then.
        self._in_flight: dict[int, float | None] = {}
        # For each finished request that still holds its place: when it was answered, and the place.
        self._finished: deque[tuple[float, int]] = deque()
        # How many requests of other programs are in the window, according to an answer, and until when that is valid.
        self._others = 0
        self._others_until = 0.0
        self._not_before = 0.0
        self._blocked: tuple[type[ApiError], str] | None = None
        self._blocked_until = 0.0

    @contextmanager
    def turn(self, stop: threading.Event) -> Iterator[int]:
        """Waits for a place in the window and holds it; yields its number. Raises the error of ``block``."""
        while isinstance(place := self._take(), float):
            self._clock.wait(place, stop)
        try:
            yield place
        finally:
            with self._lock:
                answered = self._in_flight.pop(place)
                # The server counted the request when it arrived, which was before its answer began, so counting from
                # the answer can only be too cautious.
                self._finished.append((self._clock.now() if answered is None else answered, place))

    def _take(self) -> int | float:
        """Takes a place and returns its number (int), or returns the seconds (float) after which to ask again."""
        with self._lock:
            now = self._clock.now()
            if self._blocked is not None and now < self._blocked_until:
                kind, reason = self._blocked
                raise kind(reason)
            while self._finished and self._finished[0][0] + self._held_seconds <= now:
                self._finished.popleft()
            others = self._others if now < self._others_until else 0
            free_at = self._not_before
            if len(self._in_flight) + len(self._finished) + others >= self._limit:
                # If all of them are still in progress, there is no known time to wait for: check again soon.
                room_at = self._finished[0][0] + self._held_seconds if self._finished else now + 0.05
                if others:
                    room_at = min(max(room_at, now), self._others_until, now + _LOOK_AGAIN_SECONDS)
                free_at = max(free_at, room_at)
            if free_at > now:
                return max(free_at - now, 0.001)
            self._sent += 1
            self._in_flight[self._sent] = None
            return self._sent

    def learn(
        self,
        place: int,
        limit: int | None = None,
        remaining: int | None = None,
        reset: float | None = None,
    ) -> None:
        """Handles the beginning of the answer to the request in this place, which may report the window's limit, and
        how many requests remain until the window is empty again after ``reset`` seconds."""
        with self._lock:
            self._in_flight[place] = self._clock.now()
            if limit is not None:
                self._limit = limit
            if remaining is not None and reset is not None:
                # Of our requests, the server's number includes those already answered, unless they were sent later; it
                # may not include others in progress.
                ours = 1 + sum(other < place for _, other in self._finished)
                self._others = max(0, self._limit - remaining - ours)
                self._others_until = self._clock.now() + reset

    def refused(self, told: float, refusals: int) -> float:
        """Makes all users of the credential wait at least ``told`` seconds after a 429, the request's ``refusals``-th
        in a row. Returns the seconds."""
        # A client that ignores 429s may be blocked, so each wait that did not help is followed by a longer one.
        seconds = max(told, min(2.0 ** (refusals - 1), 16.0)) + random.uniform(0.0, 0.5)
        with self._lock:
            self._not_before = max(self._not_before, self._clock.now() + seconds)
        return seconds

    def block(self, kind: type[ApiError], reason: str, seconds: float) -> None:
        """Stops every user of the credential for ``seconds``: their next request raises ``kind(reason)`` without being
        sent."""
        with self._lock:
            self._blocked = kind, reason
            self._blocked_until = self._clock.now() + seconds


def header_number(headers: Mapping[str, str], name: str) -> float | None:
    """A count or a number of seconds from a header; None if it is missing or nonsense."""
    text = headers.get(name, "").strip()
    # No real limit is longer, and converting a very long number is slow or fails.
    return float(text) if text.isascii() and text.isdigit() and len(text) <= 12 else None
