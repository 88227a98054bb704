"""One webhook's deliveries: the queue, when a failed one is retried, what a ban loses, and the request itself.

webhooks.py decides which events there are and when it is a webhook's turn.
"""

from __future__ import annotations

import asyncio
import base64
import heapq
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Final, Literal

import httpx

from .behaviours import Limits
from .subscriptions import Subscription
from .webhook_payloads import Action, Event

RETRY_AFTER_SECONDS: Final = (3.0, 30.0, 150.0)
FAILED_EVENTS_UNTIL_BAN: Final = 10
BAN_SECONDS: Final = 30 * 60.0
SECONDS_UNTIL_DELETED: Final = 3 * 86_400.0

Outcome = Literal["delivered", "failed", "lost_in_ban"]


@dataclass(frozen=True)
class DeliveryRecord:
    """One attempt. `status` is None if there was no answer, or if the event was lost without an attempt."""

    webhook_id: int
    event_id: str
    action: Action
    person_id: int
    attempt: int
    status: int | None
    outcome: Outcome


@dataclass(frozen=True)
class Delivery:
    """An event on its way to one webhook."""

    event: Event
    attempt: int = 1


@dataclass
class Webhook:
    """A webhook and the state of its deliveries; `failed_events` counts up to the ban. Times are those of WebhookClock.

    `owner_id` is the user who created it; `by_app` says whether that was with the app's tokens.
    """

    id: int
    asked: Subscription
    owner_id: int
    by_app: bool
    add_time: str
    failed_events: int = 0
    banned_until: float = -math.inf
    failing_since: float | None = None
    last_delivery_time: str | None = None
    last_http_status: int | None = None
    waiting: list[tuple[float, int, Delivery]] = field(default_factory=list, repr=False)
    in_flight: bool = False
    _numbers: Iterator[int] = field(default_factory=count, repr=False)

    def wants(self, event: Event) -> bool:
        asked = self.asked
        return asked.event_object in ("person", "*") and asked.event_action in (event.action, "*")

    def put(self, due: float, delivery: Delivery) -> None:
        """Deliveries that are due at the same moment keep their order."""
        heapq.heappush(self.waiting, (due, next(self._numbers), delivery))

    def failed(self, delivery: Delivery, now: float) -> list[Delivery]:
        """Queues the next attempt, if there is one. If a ban begins, returns the deliveries that it loses."""
        if delivery.attempt <= len(RETRY_AFTER_SECONDS):
            wait = RETRY_AFTER_SECONDS[delivery.attempt - 1]
            self.put(now + wait, Delivery(delivery.event, delivery.attempt + 1))
        if delivery.attempt > 1:
            return []
        self.failed_events += 1
        if self.failed_events < FAILED_EVENTS_UNTIL_BAN:
            return []
        self.failed_events = 0
        self.banned_until = now + BAN_SECONDS
        lost = [each for _, _, each in sorted(self.waiting)]
        self.waiting.clear()
        return lost


class WebhookClock:
    """A clock that runs `webhook_clock_speed` times as fast as real time and can be advanced."""

    def __init__(self, limits: Callable[[], Limits]) -> None:
        self._limits = limits
        self._now = 0.0
        self._read_at = time.monotonic()
        self._speed = limits().webhook_clock_speed

    def now(self) -> float:
        read_at = time.monotonic()
        self._now += (read_at - self._read_at) * self._speed
        # A new speed applies from now on; the time until now passed at the old one.
        self._read_at, self._speed = read_at, self._limits().webhook_clock_speed
        return self._now

    def push(self, seconds: float) -> None:
        self._now = self.now() + seconds

    def real_seconds_until(self, moment: float) -> float:
        """Infinite while the clock is stopped."""
        left = max(0.0, moment - self.now())
        if left == 0.0:
            return 0.0
        return left / self._speed if self._speed > 0 else math.inf


async def attempt(
    client: httpx.AsyncClient, webhook: Webhook, delivery: Delivery, timeout: float
) -> int | None:
    """The answer's status; None if none came in time."""
    asked = webhook.asked
    headers = {"content-type": "application/json", "user-agent": "Pipedrive Webhooks"}
    if asked.http_auth_user is not None or asked.http_auth_password is not None:
        pair = f"{asked.http_auth_user or ''}:{asked.http_auth_password or ''}"
        headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    body = delivery.event.body(webhook.id, webhook.owner_id, delivery.attempt)
    try:
        async with asyncio.timeout(timeout):
            response = await client.post(asked.subscription_url, content=body, headers=headers)
    except (httpx.HTTPError, TimeoutError, UnicodeError):
        return None
    return response.status_code
