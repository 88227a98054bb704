"""What a credential may still send: Pipedrive's burst window, the waits that it demanded, the tokens of the day.

All users of a credential in the process share one ``Budget``, because Pipedrive counts them together.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

from wooxy_pipedrive_etl.http_api.clock import Clock
from wooxy_pipedrive_etl.http_api.pacing import Pace, header_number

from .credentials import Credentials
from .errors import CloudflareBlocked, DailyBudgetSpent

# Pipedrive counts requests in a rolling window of two seconds. The plan can't be read, so the pace is that of the
# smallest plan until a header gives another limit.
WINDOW_SECONDS = 2.0
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
        self.pace = Pace(clock, limit, WINDOW_SECONDS)
        self.daily_limit: int | None = None
        self.daily_remaining: int | None = None

    def learn(self, headers: Mapping[str, str], place: int) -> None:
        """Takes the limits from the headers (which may be missing or nonsense) of the answer to the request that holds
        this place."""
        limit = _count(headers, "x-ratelimit-limit")
        remaining = _count(headers, "x-ratelimit-remaining")
        self.pace.learn(place, limit or None, remaining, _wait(headers, "x-ratelimit-reset"))
        daily_limit = _count(headers, "x-daily-ratelimit-token-limit")
        daily_remaining = _count(headers, "x-daily-ratelimit-token-remaining")
        if daily_limit is not None:
            self.daily_limit = daily_limit
        if daily_remaining is not None:
            self.daily_remaining = daily_remaining

    def refused(self, headers: Mapping[str, str], first_refusal: float, refusals: int) -> float:
        """Records a 429 for all users of the credential and returns the seconds that all must wait.

        ``first_refusal`` is when the request was first refused, ``refusals`` how often since. Raises
        ``DailyBudgetSpent`` if the headers say so, or if the refusals have lasted too long for a burst.
        """
        if (
            _count(headers, "x-daily-ratelimit-token-remaining") == 0
            or self._clock.now() - first_refusal > REFUSALS_MEAN_DAILY_AFTER
        ):
            of_how_many = f" of {self.daily_limit} tokens" if self.daily_limit else ""
            raise DailyBudgetSpent(
                f"Pipedrive's daily budget{of_how_many} is spent (all integrations of the company share it); "
                "run again after midnight of Pipedrive's server, in a time zone that it does not name."
            )
        told = _wait(headers, "retry-after")
        if told is None:
            told = _wait(headers, "x-ratelimit-reset")
        return self.pace.refused(told or 0.0, refusals)

    def block(self, reason: str) -> None:
        """Stops every user of the credential: their next request raises ``CloudflareBlocked(reason)`` without being
        sent."""
        self.pace.block(CloudflareBlocked, reason, BLOCK_SECONDS)


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


def _count(headers: Mapping[str, str], name: str) -> int | None:
    number = header_number(headers, name)
    return None if number is None else int(number)


def _wait(headers: Mapping[str, str], name: str) -> float | None:
    """The seconds that a header gives, if they can have to do with the burst limit."""
    seconds = header_number(headers, name)
    return None if seconds is None or seconds > LONGEST_TOLD_WAIT else seconds
