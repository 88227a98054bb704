"""An account's webhooks: their registration, their events, and the faults that a test can order."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import math
import threading
import uuid
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Any, Final

import httpx

from .account import Account, PersonChange
from .answers import webhooks_error
from .behaviours import Limits
from .deliveries import (
    SECONDS_UNTIL_DELETED,
    Delivery,
    DeliveryRecord,
    Outcome,
    Webhook,
    WebhookClock,
    attempt,
)
from .errors import InvalidValueError, SandboxError, UnknownRecordError
from .subscriptions import Subscription
from .webhook_payloads import Event, meta, person_state, previous_json, timestamp

MAX_WEBHOOKS_PER_USER: Final = 40
KEPT_DELIVERIES: Final = 10_000
KEPT_EVENTS: Final = 1_000
_FIRST_ID: Final = 4710
_LOOK_SECONDS: Final = 0.5


class Webhooks:
    """The webhooks of one served account. Events are created and delivered only while the server runs.

    First attempts follow the order of the changes, one at a time for each webhook; a retry happens when it is due,
    so newer events may arrive before it.
    """

    def __init__(self, account: Account, limits: Callable[[], Limits]) -> None:
        self._account = account
        self._limits = limits
        # Uses the account's own lock: changes are announced while it is held, so a second lock could deadlock.
        self._changed = threading.Condition(account.lock)
        self._clock = WebhookClock(limits)
        self._webhooks: dict[int, Webhook] = {}
        self._next_id = count(_FIRST_ID)
        self._events: deque[Event] = deque(maxlen=KEPT_EVENTS)
        self._deliveries: deque[DeliveryRecord] = deque(maxlen=KEPT_DELIVERIES)
        self._lose = self._double = self._reverse = 0
        self._held: list[list[Event]] = []
        self._wake: Callable[[], object] | None = None
        self._running: asyncio.Task[None] | None = None
        self._in_flight = 0

    # Registration

    def add(
        self, asked: Subscription, *, owner_id: int | None = None, by_app: bool = False
    ) -> dict[str, Any]:
        """Adds a webhook, by default the token owner's; returns the API's view of it. Raises ApiError (422)."""
        with self._changed:
            mine = sum(each.asked.user_id == asked.user_id for each in self._webhooks.values())
            if mine >= MAX_WEBHOOKS_PER_USER:
                raise webhooks_error(422, {"webhooks": ["webhooks limit reached"]})
            webhook = Webhook(
                next(self._next_id),
                asked,
                self._account.token_owner_id if owner_id is None else owner_id,
                by_app,
                timestamp(self._account.clock()),
            )
            self._webhooks[webhook.id] = webhook
            self._watch()
            return self._shown(webhook)

    def remove(self, webhook_id: int) -> None:
        """Raises UnknownRecordError."""
        with self._changed:
            if webhook_id not in self._webhooks:
                raise UnknownRecordError(f"The account has no webhook {webhook_id}.")
            del self._webhooks[webhook_id]
            self._watch()
            self._changed.notify_all()

    def drop_all(self) -> None:
        """Deletes all webhooks and notifies nobody, as Pipedrive does."""
        with self._changed:
            for webhook_id in list(self._webhooks):
                self.remove(webhook_id)

    def drop_of_app(self, owner_id: int) -> None:
        """Deletes the webhooks that the app created for this user."""
        with self._changed:
            for webhook in list(self._webhooks.values()):
                if webhook.by_app and webhook.owner_id == owner_id:
                    self.remove(webhook.id)

    def shown(self) -> list[dict[str, Any]]:
        """All webhooks as the API shows them."""
        with self._changed:
            return [self._shown(each) for each in self._webhooks.values()]

    def _shown(self, webhook: Webhook) -> dict[str, Any]:
        asked = webhook.asked
        return {
            "id": webhook.id,
            "company_id": self._account.company_id,
            "owner_id": webhook.owner_id,
            "user_id": asked.user_id,
            "event_action": asked.event_action,
            "event_object": asked.event_object,
            "subscription_url": asked.subscription_url,
            "version": asked.version,
            "is_active": 1,
            "add_time": webhook.add_time,
            "remove_time": None,
            "type": "general",
            "http_auth_user": asked.http_auth_user,
            "http_auth_password": asked.http_auth_password,
            "remove_reason": None,
            "last_delivery_time": webhook.last_delivery_time,
            "last_http_status": webhook.last_http_status,
            "admin_id": webhook.owner_id,
            "name": asked.name,
        }

    # Ordered faults and inspection, for tests and the control surface

    def lose(self, events: int = 1) -> None:
        """The next events reach no webhook."""
        with self._changed:
            self._lose += _positive(events)

    def double(self, events: int = 1) -> None:
        """Every webhook gets the next events twice."""
        with self._changed:
            self._double += _positive(events)

    def reverse(self, events: int = 2) -> None:
        """Holds the next events until there are this many, then sends them last one first.

        `wait_until_delivered` and `wait_until_attempted` ignore held events; `cancel_faults` releases them.
        """
        with self._changed:
            self._reverse += _positive(events)

    def replay(self, event_id: str | None = None) -> None:
        """Sends an event again, as a new first attempt; by default the oldest one still remembered.

        Raises UnknownRecordError.
        """
        with self._changed:
            for event in self._events:
                if event_id in (None, event.id):
                    self._queue(event)
                    return
            raise UnknownRecordError(
                "There is no event to replay." if event_id is None else f"There is no event {event_id!r}."
            )

    def cancel_faults(self) -> None:
        """Stops losing, doubling and holding events; sends held ones now."""
        with self._changed:
            self._lose = self._double = self._reverse = 0
            self._release()

    def pass_time(self, seconds: float) -> None:
        """Advances the clock of retries, bans and the deletion after three days."""
        if not (math.isfinite(seconds) and seconds >= 0):
            raise InvalidValueError("Time passes by a number of seconds that is not negative.")
        with self._changed:
            self._clock.push(float(seconds))
            self._call_wake()

    def wait_until_delivered(self, timeout: float = 120.0) -> None:
        """Returns when nothing is queued, waiting for a retry or in flight.

        Raises SandboxError after `timeout` real seconds.
        """
        self._wait(timeout, lambda webhook, now: bool(webhook.waiting))

    def wait_until_attempted(self, timeout: float = 120.0) -> None:
        """Returns when only retries that are not due yet are left. Raises SandboxError."""

        def is_busy(webhook: Webhook, now: float) -> bool:
            return bool(webhook.waiting) and webhook.waiting[0][0] <= now

        self._wait(timeout, is_busy)

    def deliveries(self) -> list[DeliveryRecord]:
        """The latest attempts in order."""
        with self._changed:
            return list(self._deliveries)

    def state(self) -> dict[str, Any]:
        """The webhooks with their state, what is queued, and the ordered faults; no secrets."""
        with self._changed:
            now = self._clock.now()
            rows = [
                {
                    "id": each.id,
                    "name": each.asked.name,
                    "subscription_url": each.asked.subscription_url,
                    "event_action": each.asked.event_action,
                    "event_object": each.asked.event_object,
                    "failed_events": each.failed_events,
                    "banned_for_seconds": max(0, math.ceil(each.banned_until - now))
                    if each.banned_until > now
                    else 0,
                    "waiting": [delivery.attempt for _, _, delivery in sorted(each.waiting)],
                    "in_flight": each.in_flight,
                    "last_delivery_time": each.last_delivery_time,
                    "last_http_status": each.last_http_status,
                }
                for each in self._webhooks.values()
            ]
            orders = {"lose": self._lose, "double": self._double, "reverse": self._reverse}
            return {"webhooks": rows, **orders, "held": len(self._held)}

    def reset(self) -> None:
        """Clears ordered faults and past deliveries; the webhooks stay."""
        with self._changed:
            self.cancel_faults()
            self._deliveries.clear()

    def _wait(self, timeout: float, is_busy: Callable[[Webhook, float], bool]) -> None:
        def is_done() -> bool:
            now = self._clock.now()
            return not self._in_flight and not any(is_busy(each, now) for each in self._webhooks.values())

        with self._changed:
            if not self._changed.wait_for(is_done, timeout):
                left = self._in_flight + sum(len(each.waiting) for each in self._webhooks.values())
                raise SandboxError(
                    f"After {timeout:g} seconds {left} webhook deliveries are still to be made."
                )

    # Events

    def _watch(self) -> None:
        """Observes the account only while there is a webhook, so that an account without webhooks pays nothing."""
        wanted = self._running is not None and bool(self._webhooks)
        observers = self._account.observers
        if wanted and self._on_change not in observers:
            observers.append(self._on_change)
        elif not wanted and self._on_change in observers:
            observers.remove(self._on_change)

    def _on_change(self, change: PersonChange) -> None:
        """Called right after the change, while the account's lock is held."""
        if change.after.hidden:
            return
        account, layout = self._account, self._account.layout()
        after = person_state(change.after, layout)
        before = None if change.before is None else person_state(change.before, layout)
        data, previous = after.json(), b"null"
        if change.action == "delete":
            assert before is not None
            data, previous = b"null", before.json()
        elif change.action == "change" and before is not None:
            previous = previous_json(before, after)
        about = meta(
            change.action,
            change.after.id,
            moment=account.clock(),
            company_id=account.company_id,
            host=f"{account.company_domain}.pipedrive.com",
            user_id=account.token_owner_id,
            permitted_user_ids=[each.id for each in account.users.values() if each.active],
            correlation_id=str(uuid.uuid4()),
            merged=change.merged,
        )
        self._announce(Event(about["id"], change.action, change.after.id, about, data, previous))

    def _announce(self, event: Event) -> None:
        self._events.append(event)
        if self._lose:
            self._lose -= 1
            return
        copies = [event]
        if self._double:
            self._double -= 1
            copies.append(event)
        if not self._reverse:
            for each in copies:
                self._queue(each)
            return
        self._held.append(copies)
        self._reverse -= 1
        if not self._reverse:
            self._release()

    def _release(self) -> None:
        held, self._held = self._held, []
        for copies in reversed(held):
            for each in copies:
                self._queue(each)

    def _queue(self, event: Event) -> None:
        now = self._clock.now()
        for webhook in self._webhooks.values():
            if webhook.wants(event):
                if webhook.banned_until > now:
                    self._record(webhook, Delivery(event), None, "lost_in_ban")
                else:
                    webhook.put(now, Delivery(event))
        self._call_wake()

    def _call_wake(self) -> None:
        self._changed.notify_all()
        if self._wake is not None:
            self._wake()

    def _record(self, webhook: Webhook, delivery: Delivery, status: int | None, outcome: Outcome) -> None:
        event = delivery.event
        self._deliveries.append(
            DeliveryRecord(
                webhook.id, event.id, event.action, event.person_id, delivery.attempt, status, outcome
            )
        )

    # Delivery, on the server's event loop

    def start(self) -> None:
        """Creates and delivers events from now on; called from the server's running loop."""
        loop, wake = asyncio.get_running_loop(), asyncio.Event()
        with self._changed:
            self._wake = lambda: loop.call_soon_threadsafe(wake.set)
            self._running = loop.create_task(self._deliver_all(wake))
            self._watch()

    async def stop(self) -> None:
        """Aborts deliveries in flight; forgets queued ones and ordered faults; the webhooks themselves stay."""
        with self._changed:
            running, self._running, self._wake = self._running, None, None
            self._watch()
            self._held.clear()
            self._lose = self._double = self._reverse = 0
        if running is not None:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
        with self._changed:
            for webhook in self._webhooks.values():
                webhook.waiting.clear()
                webhook.in_flight = False
            self._in_flight = 0
            self._changed.notify_all()

    async def _deliver_all(self, wake: asyncio.Event) -> None:
        client: httpx.AsyncClient | None = None
        try:
            async with asyncio.TaskGroup() as sending:
                while True:
                    wake.clear()
                    due, seconds = self._take_due()
                    if due and client is None:
                        # Created late, because it reads the machine's certificates. It keeps no connections: one
                        # that the receiver closes at that moment would look like a failure.
                        client = httpx.AsyncClient(
                            trust_env=False, timeout=None, limits=httpx.Limits(max_keepalive_connections=0)
                        )
                    for webhook, delivery in due:
                        assert client is not None
                        sending.create_task(self._deliver(client, webhook, delivery, wake))
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(wake.wait(), seconds)
        finally:
            if client is not None:
                await client.aclose()

    def _take_due(self) -> tuple[list[tuple[Webhook, Delivery]], float | None]:
        """The deliveries due now, and the real seconds until the next check; None if nothing waits."""
        taken: list[tuple[Webhook, Delivery]] = []
        moments = []
        with self._changed:
            now = self._clock.now()
            for webhook in self._webhooks.values():
                if webhook.in_flight or not webhook.waiting:
                    continue
                if webhook.waiting[0][0] <= now:
                    taken.append((webhook, heapq.heappop(webhook.waiting)[2]))
                    webhook.in_flight = True
                    self._in_flight += 1
                else:
                    moments.append(webhook.waiting[0][0])
            if not moments:
                return taken, None
            # The clock's speed may change at any time without notice.
            return taken, min(_LOOK_SECONDS, self._clock.real_seconds_until(min(moments)))

    async def _deliver(
        self, client: httpx.AsyncClient, webhook: Webhook, delivery: Delivery, wake: asyncio.Event
    ) -> None:
        status = await attempt(client, webhook, delivery, self._limits().webhook_timeout_seconds)
        with self._changed:
            webhook.in_flight = False
            self._in_flight -= 1
            webhook.last_http_status = status
            if status is not None and 200 <= status < 300:
                self._record(webhook, delivery, status, "delivered")
                webhook.last_delivery_time = timestamp(self._account.clock())
                webhook.failing_since = None
            else:
                self._record(webhook, delivery, status, "failed")
                self._failed(webhook, delivery)
            self._changed.notify_all()
        wake.set()

    def _failed(self, webhook: Webhook, delivery: Delivery) -> None:
        now = self._clock.now()
        if webhook.failing_since is None:
            webhook.failing_since = now
        if webhook.id in self._webhooks and now - webhook.failing_since >= SECONDS_UNTIL_DELETED:
            self.remove(webhook.id)
            return
        for lost in webhook.failed(delivery, now):
            self._record(webhook, lost, None, "lost_in_ban")


def _positive(events: int) -> int:
    if type(events) is not int or events < 1:
        raise InvalidValueError("The number of events must be a positive whole number.")
    return events
