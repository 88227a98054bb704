"""What a credential may still send: the burst window, the waits that Pipedrive demanded, the tokens of the day.

All users of a credential in the process share one ``Budget``, because Pipedrive counts them together.
"""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from .clock import Clock
from .credentials import Credentials
from .errors import CloudflareBlocked, DailyBudgetSpent

# Pipedrive counts requests in a rolling window of two seconds. The plan can't be read, so the pace is that of the
# smallest plan until a header gives another limit.
WINDOW_SECONDS = 2.0
# A place is held slightly longer than the window: two clocks, and sums of floats, never agree to the last digit.
_HELD_SECONDS = WINDOW_SECONDS + 0.001
# While others occupy the window, another answer may report more room: check again after this.
_LOOK_AGAIN_SECONDS = 0.25
# A longer wait has nothing to do with the burst limit, and is ignored.
LONGEST_TOLD_WAIT = 60.0
# Refusals that last longer than any burst window mean that the day's tokens are used up.
REFUSALS_MEAN_DAILY_AFTER = 60.0
# It is not documented how long an edge block lasts; a process that is still running may try again after this.
BLOCK_SECONDS = 3600.0


class Budget:
    """The shared state of one credential at one host. All methods may be called from any thread.

    ``limit``: requests in a window, until a header gives another.
    """

    def __init__(self, clock: Clock, limit: int) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._limit = limit
        self._sent = 0
        # The places of requests in progress -> when the headers of the answer arrived, None until then.
        self._in_flight: dict[int, float | None] = {}
        # For each finished request that still holds its place: when it was answered, and the place.
        self._finished: deque[tuple[float, int]] = deque()
        # How many requests of other programs are in the window, as far as an answer shows, and until when that counts.
        self._others = 0
        self._others_until = 0.0
        self._not_before = 0.0
        self._blocked: str | None = None
        self._blocked_until = 0.0
        self.daily_limit: int | None = None
        self.daily_remaining: int | None = None

    @contextmanager
    def turn(self, stop: threading.Event) -> Iterator[int]:
        """Waits for a place in the burst window and holds it; yields its number.

        Raises ``CloudflareBlocked`` if any user of the credential was blocked.
        """
        while isinstance(place := self._take(), float):
            self._clock.wait(place, stop)
        try:
            yield place
        finally:
            with self._lock:
                answered = self._in_flight.pop(place)
                # Pipedrive counted the request when it arrived, which was before its answer began, so counting from the
                # answer can only be too cautious.
                self._finished.append((self._clock.now() if answered is None else answered, place))

    def _take(self) -> int | float:
        """Takes a place and returns its number (int), or returns the seconds (float) after which to ask again."""
        with self._lock:
            now = self._clock.now()
            if self._blocked is not None and now < self._blocked_until:
                raise CloudflareBlocked(self._blocked)
            while self._finished and self._finished[0][0] + _HELD_SECONDS <= now:
                self._finished.popleft()
            others = self._others if now < self._others_until else 0
            free_at = self._not_before
            if len(self._in_flight) + len(self._finished) + others >= self._limit:
                # If all of them are still in progress, there is no known time to wait for: check again soon.
                room_at = self._finished[0][0] + _HELD_SECONDS if self._finished else now + 0.05
                if others:
                    room_at = min(max(room_at, now), self._others_until, now + _LOOK_AGAIN_SECONDS)
                free_at = max(free_at, room_at)
            if free_at > now:
                return max(free_at - now, 0.001)
            self._sent += 1
            self._in_flight[self._sent] = None
            return self._sent

    def learn(self, headers: Mapping[str, str], place: int) -> None:
        """Takes the limits from the headers (which may be missing or nonsense) of the answer to the request that holds
        this place."""
        limit = _number(headers, "x-ratelimit-limit")
        remaining = _number(headers, "x-ratelimit-remaining")
        reset = _number(headers, "x-ratelimit-reset")
        daily_limit = _number(headers, "x-daily-ratelimit-token-limit")
        daily_remaining = _number(headers, "x-daily-ratelimit-token-remaining")
        with self._lock:
            self._in_flight[place] = self._clock.now()
            if limit is not None and limit >= 1:
                self._limit = int(limit)
            if remaining is not None and reset is not None and reset <= LONGEST_TOLD_WAIT:
                # Of our requests, Pipedrive's number includes those already answered, unless they were sent later; it
                # may not include others in progress.
                ours = 1 + sum(other < place for _, other in self._finished)
                self._others = max(0, self._limit - int(remaining) - ours)
                self._others_until = self._clock.now() + reset
            if daily_limit is not None:
                self.daily_limit = int(daily_limit)
            if daily_remaining is not None:
                self.daily_remaining = int(daily_remaining)

    def refused(self, headers: Mapping[str, str], first_refusal: float, refusals: int) -> float:
        """Records a 429 for all users of the credential and returns the seconds that all must wait.

        ``first_refusal`` is when the request was first refused, ``refusals`` how often since. Raises
        ``DailyBudgetSpent`` if the headers say so, or if the refusals have lasted too long for a burst.
        """
        now = self._clock.now()
        if (
            _number(headers, "x-daily-ratelimit-token-remaining") == 0
            or now - first_refusal > REFUSALS_MEAN_DAILY_AFTER
        ):
            of_how_many = f" of {self.daily_limit} tokens" if self.daily_limit else ""
            raise DailyBudgetSpent(
                f"Pipedrive's daily budget{of_how_many} is spent (all integrations of the company share it); "
                "run again after midnight of Pipedrive's server, in a time zone that it does not name."
            )
        told = _number(headers, "retry-after")
        if told is None or told > LONGEST_TOLD_WAIT:
            told = _number(headers, "x-ratelimit-reset")
        if told is None or told > LONGEST_TOLD_WAIT:
            told = 0.0
        # Ignoring 429s ends in a block of all traffic, so each wait that did not help is followed by a longer one.
        seconds = max(told, min(2.0 ** (refusals - 1), 16.0)) + random.uniform(0.0, 0.5)
        with self._lock:
            self._not_before = max(self._not_before, now + seconds)
        return seconds

    def block(self, reason: str) -> None:
        """Stops every user of the credential: their next request raises ``CloudflareBlocked(reason)`` without being
        sent."""
        with self._lock:
            self._blocked = reason
            self._blocked_until = self._clock.now() + BLOCK_SECONDS


class Budgets:
    """The budgets of a process, by host and credential."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self._lock = threading.Lock()
        self._budgets: dict[tuple[str, str], Budget] = {}

    def of(self, api_url: str, credentials: Credentials) -> Budget:
        with self._lock:
            new = Budget(self.clock, credentials.smallest_burst_limit)
            return self._budgets.setdefault((api_url, credentials.fingerprint), new)


PROCESS_BUDGETS = Budgets()


def _number(headers: Mapping[str, str], name: str) -> float | None:
    text = headers.get(name, "").strip()
    # No plan has a longer number, and int() of a very long one is slow or fails.
    return float(text) if text.isascii() and text.isdigit() and len(text) <= 12 else None
