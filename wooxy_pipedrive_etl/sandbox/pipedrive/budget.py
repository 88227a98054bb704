"""The two rate limits: a token's requests in a rolling window of two seconds, and the account's API tokens in a day."""

from __future__ import annotations

import math
import time
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Literal

from .behaviours import Behaviours, Limits

WINDOW_SECONDS = 2.0
BAN_SECONDS = 60.0
OAUTH_BURST_FACTOR = 4


class Budget:
    """Counts what was spent: the day's tokens by all together, the burst by the API token and by each OAuth grant.

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
        self._recent: defaultdict[int | None, deque[float]] = defaultdict(deque)
        self._refused = 0
        self._banned_until = 0.0

    def reset(self) -> None:
        """Forget everything that was spent, and any ban."""
        self.tokens_used = self._refused = 0
        self._banned_until = 0.0
        self._recent.clear()

    def admit(
        self, cost: int, behaviours: Behaviours, grant_id: int | None = None
    ) -> Literal["ok", "over_limit", "banned"]:
        """Spend a call's tokens, or say what it gets instead; refused calls cost nothing. No grant: the API token.

        An API token that goes on after `html_403_after` refusals in a row is locked out for a minute, as by
        Cloudflare; OAuth traffic never is.
        """
        moment = self._monotonic()
        recent = self._rolled(moment, grant_id)
        by_api_token = grant_id is None
        if by_api_token and moment < self._banned_until:
            return "banned"
        if len(recent) >= self._burst(grant_id) or self._tokens_short(cost):
            self._refused += by_api_token
            if by_api_token and self._refused > behaviours.html_403_after:
                self._banned_until = moment + BAN_SECONDS
                return "banned"
            return "over_limit"
        if by_api_token:
            self._refused = 0
        recent.append(moment)
        self.tokens_used += cost
        return "ok"

    def tokens_left(self) -> int | None:
        """None without a budget."""
        return (
            None if self.limits.daily_tokens is None else max(0, self.limits.daily_tokens - self.tokens_used)
        )

    def headers(self, behaviours: Behaviours, grant_id: int | None = None) -> dict[str, str]:
        """The rate headers of an answer; reset is in seconds from now."""
        moment = self._monotonic()
        recent, burst = self._rolled(moment, grant_id), self._burst(grant_id)
        wait = recent[0] + WINDOW_SECONDS - moment if recent else WINDOW_SECONDS
        headers = {
            "x-ratelimit-limit": str(burst),
            "x-ratelimit-remaining": str(max(0, burst - len(recent))),
            "x-ratelimit-reset": str(math.ceil(wait)),
        }
        left = self.tokens_left()
        if behaviours.daily_headers and left is not None:
            headers["x-daily-ratelimit-token-limit"] = str(self.limits.daily_tokens)
            headers["x-daily-ratelimit-token-remaining"] = str(left)
        return headers

    def _burst(self, grant_id: int | None) -> int:
        return self.limits.burst_per_2s * (1 if grant_id is None else OAUTH_BURST_FACTOR)

    def _tokens_short(self, cost: int) -> bool:
        left = self.tokens_left()
        if left is None or left >= cost:
            return False
        # The last tokens can't be spent any more, and a caller tells this limit from the other by a 0.
        self.tokens_used += left
        return True

    def _rolled(self, moment: float, grant_id: int | None) -> deque[float]:
        """The window's calls, and a new day if it is one."""
        recent = self._recent[grant_id]
        while recent and moment - recent[0] >= WINDOW_SECONDS:
            recent.popleft()
        today = self._now() // 86_400
        if today != self._day:
            self._day = today
            self.tokens_used = 0
        return recent
