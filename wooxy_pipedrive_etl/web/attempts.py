"""Limits how often somebody may guess a password: guesses are slowed down, but never keep out the owner of the
password.

An address that has guessed a few times waits before each further answer, and so does everybody while many addresses
guess. A browser that has signed in before does not wait: it has a cookie that says so, and that is of no other use.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import Counter

from itsdangerous import BadSignature, URLSafeTimedSerializer
from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

_PER_ADDRESS = parse("5 per 5 minutes")
_FROM_EVERYWHERE = parse("200 per 5 minutes")
_PER_BROWSER = parse("10 per 5 minutes")
# An answer to any further guess is delayed by this long.
SLOW_SECONDS = 2.0
# No more than this many guesses of one address wait at the same time, to protect our memory.
_WAITING_PER_ADDRESS = 20

KNOWN_SECONDS = 365 * 24 * 60 * 60


class TooManyAtOnce(Exception):
    """So many guesses of this address are waiting that another one is not even checked."""


class Attempts:
    """The attempts at one server, for its event loop."""

    def __init__(self, key: bytes, slow_seconds: float = SLOW_SECONDS) -> None:
        """`key`: signs the cookies of browsers that have signed in."""
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._known = URLSafeTimedSerializer(key, salt="known browser")
        self._slow_seconds = slow_seconds
        self._waiting: Counter[str] = Counter()

    async def wait_for_turn(self, address: str, known: str | None) -> None:
        """Returns when a guess from the address may be checked. `known`: the cookie from `known_browser`.

        Raises TooManyAtOnce.
        """
        browser = self._browser(known)
        if browser is not None and self._hit(_PER_BROWSER, browser):
            return
        network = network_of(address)
        is_first = self._hit(_PER_ADDRESS, network)
        if self._hit(_FROM_EVERYWHERE, "everywhere") and is_first:
            return
        if self._waiting[network] >= _WAITING_PER_ADDRESS:
            raise TooManyAtOnce
        self._waiting[network] += 1
        try:
            await asyncio.sleep(self._slow_seconds)
        finally:
            self._waiting[network] -= 1

    def succeeded(self, address: str) -> None:
        self._limiter.clear(_PER_ADDRESS, network_of(address))

    def known_browser(self, browser: str) -> str:
        """The cookie of a browser that has signed in; `browser`: identifies it."""
        cookie = self._known.dumps(browser)
        return cookie if isinstance(cookie, str) else cookie.decode()

    def _browser(self, cookie: str | None) -> str | None:
        try:
            return str(self._known.loads(cookie, max_age=KNOWN_SECONDS)) if cookie else None
        except BadSignature:
            return None

    def _hit(self, limit: RateLimitItem, key: str) -> bool:
        return self._limiter.hit(limit, key)


def network_of(address: str) -> str:
    """The addresses that one guesser has: an IPv4 address, or a /64 of IPv6."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return str(parsed)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
