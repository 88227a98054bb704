"""The two rate limits: each caller's requests in a rolling two-second window, and the account's API tokens in a day."""

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
    """Counts usage: the day's tokens for all callers together, the burst for the API token and each OAuth grant.

    Days follow `now` (epoch seconds) in UTC; the window follows `monotonic`.
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
        """Forgets all usage, and any ban."""
        self.tokens_used = self._refused = 0
        self._banned_until = 0.0
        self._recent.clear()

    def admit(
        self, cost: int, behaviours: Behaviours, grant_id: int | None = None
    ) -> Literal["ok", "over_limit", "banned"]:
        """Spends a call's tokens, or says how to refuse it; refused calls cost nothing. Without a grant: the API token.

        An API token that keeps calling after `html_403_after` refusals in a row is locked out for a minute, as
        Cloudflare does; OAuth grants never are.
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
        """None if there is no budget."""
        return (
            None if self.limits.daily_tokens is None else max(0, self.limits.daily_tokens - self.tokens_used)
        )

    def headers(self, behaviours: Behaviours, grant_id: int | None = None) -> dict[str, str]:
        """The rate headers of an answer; the reset is in seconds from now."""
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
        # The remaining tokens are lost: callers recognise this limit by a 0 in the header.
        self.tokens_used += left
        return True

    def _rolled(self, moment: float, grant_id: int | None) -> deque[float]:
        """The calls in the current window; also starts a new day if it is time."""
        recent = self._recent[grant_id]
        while recent and moment - recent[0] >= WINDOW_SECONDS:
            recent.popleft()
        today = self._now() // 86_400
        if today != self._day:
            self._day = today
            self.tokens_used = 0
        return recent
