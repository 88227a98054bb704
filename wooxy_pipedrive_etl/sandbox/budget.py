"""The two rate limits of a token: requests in a rolling window of two seconds, and API tokens in a day."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from typing import Literal

from .behaviours import Behaviours, Limits

WINDOW_SECONDS = 2.0
BAN_SECONDS = 60.0


class Budget:
    """Counts what a token has spent.

    The day is that of `now` (epoch seconds) in UTC; the window runs on `monotonic`.
    """

    def __init__(
        self, limits: Limits, now: Callable[[], int], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.limits = limits
        self.tokens_used = 0
        self._now = now
        self._monotonic = monotonic
        self._day = now() // 86_400
        self._recent: deque[float] = deque()
        self._refused = 0
        self._banned_until = 0.0

    def reset(self) -> None:
        """Forget everything that was spent, and any ban."""
        self.tokens_used = self._refused = 0
        self._banned_until = 0.0
        self._recent.clear()

    def admit(self, cost: int, behaviours: Behaviours) -> Literal["ok", "over_limit", "banned"]:
        """Spend a call's tokens, or say what it gets instead; refused calls cost nothing.

        A caller that goes on after `html_403_after` refusals in a row is locked out for a minute, as by Cloudflare.
        """
        moment = self._monotonic()
        self._roll(moment)
        if moment < self._banned_until:
            return "banned"
        if len(self._recent) >= self.limits.burst_per_2s or self._tokens_short(cost):
            self._refused += 1
            if self._refused > behaviours.html_403_after:
                self._banned_until = moment + BAN_SECONDS
                return "banned"
            return "over_limit"
        self._refused = 0
        self._recent.append(moment)
        self.tokens_used += cost
        return "ok"

    def tokens_left(self) -> int | None:
        """None without a budget."""
        return (
            None if self.limits.daily_tokens is None else max(0, self.limits.daily_tokens - self.tokens_used)
        )

    def headers(self, behaviours: Behaviours) -> dict[str, str]:
        """The rate headers of an answer; reset is in seconds from now."""
        moment = self._monotonic()
        self._roll(moment)
        wait = self._recent[0] + WINDOW_SECONDS - moment if self._recent else WINDOW_SECONDS
        headers = {
            "x-ratelimit-limit": str(self.limits.burst_per_2s),
            "x-ratelimit-remaining": str(max(0, self.limits.burst_per_2s - len(self._recent))),
            "x-ratelimit-reset": str(math.ceil(wait)),
        }
        left = self.tokens_left()
        if behaviours.daily_headers and left is not None:
            headers["x-daily-ratelimit-token-limit"] = str(self.limits.daily_tokens)
            headers["x-daily-ratelimit-token-remaining"] = str(left)
        return headers

    def _tokens_short(self, cost: int) -> bool:
        left = self.tokens_left()
        if left is None or left >= cost:
            return False
        # The last tokens can't be spent any more, and a caller tells this limit from the other by a 0.
        self.tokens_used += left
        return True

    def _roll(self, moment: float) -> None:
        while self._recent and moment - self._recent[0] >= WINDOW_SECONDS:
            self._recent.popleft()
        today = self._now() // 86_400
        if today != self._day:
            self._day = today
            self.tokens_used = 0
