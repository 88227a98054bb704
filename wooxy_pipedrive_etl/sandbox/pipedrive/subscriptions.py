"""The request that creates a webhook: reads it as strictly as Pipedrive, and checks whether its URL is usable."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from .answers import webhooks_error
from .behaviours import Behaviours

EVENT_ACTIONS: Final = ("create", "change", "delete", "*")
EVENT_OBJECTS: Final = (
    "activity", "deal", "lead", "note", "organization", "person", "pipeline", "product", "stage", "user", "*",
    "project", "task", "board", "phase", "deal_product", "deal_installment",
)  # fmt: skip
MAX_NAME: Final = 255
_CHECK_SECONDS: Final = 5.0
_BAD_URL: Final = "invalid or non-reachable URL"


@dataclass(frozen=True)
class Subscription:
    """A webhook as requested."""

    subscription_url: str
    event_action: str
    event_object: str
    name: str
    user_id: int
    version: str = "2.0"
    http_auth_user: str | None = None
    http_auth_password: str | None = field(default=None, repr=False)


def read_subscription(body: bytes, *, token_owner_id: int, user_ids: Collection[int]) -> Subscription:
    """Raises ApiError (400), which lists all missing, unknown and invalid members."""
    try:
        given = json.loads(body)
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise webhooks_error(400, {"body": ["must be a JSON object"]})
    checks = _checks(user_ids)
    errors = {name: ["is not allowed"] for name in given if name not in checks}
    for name, (required, fits, message) in checks.items():
        if name not in given:
            if required:
                errors[name] = ["is required"]
        elif not fits(given[name]):
            errors[name] = [message]
    if errors:
        raise webhooks_error(400, errors)
    return Subscription(**{"user_id": token_owner_id, **given})


def _checks(user_ids: Collection[int]) -> dict[str, tuple[bool, Callable[[Any], bool], str]]:
    """For each member: whether it is required, a check for its values, and the message if they fail."""

    def optional_text(value: Any) -> bool:
        # JSON may contain a lone surrogate, but a header can't.
        return value is None or (isinstance(value, str) and value.isprintable())

    return {
        "subscription_url": (True, is_receiver_url, _BAD_URL),
        "event_action": (
            True,
            lambda value: value in EVENT_ACTIONS,
            f"must be one of {', '.join(EVENT_ACTIONS)}",
        ),
        "event_object": (
            True,
            lambda value: value in EVENT_OBJECTS,
            f"must be one of {', '.join(EVENT_OBJECTS)}",
        ),
        "name": (
            True,
            lambda value: isinstance(value, str) and 0 < len(value) <= MAX_NAME,
            f"must be a text of 1 to {MAX_NAME} characters",
        ),
        "user_id": (False, lambda value: type(value) is int and value in user_ids, "not found"),
        "version": (
            False,
            lambda value: value == "2.0",
            "must be 2.0 (the sandbox has no webhooks of version 1.0)",
        ),
        "http_auth_user": (False, optional_text, "must be a text"),
        "http_auth_password": (False, optional_text, "must be a text"),
    }


def is_receiver_url(value: Any) -> bool:
    """Whether Pipedrive would call this URL: https, or http to this machine, and not Pipedrive itself."""
    url = _parsed(value)
    if url is None or not url.host or url.userinfo or url.port == 0:
        return False
    if url.host == "pipedrive.com" or url.host.endswith(".pipedrive.com"):
        return False
    return url.scheme == "https" or (url.scheme == "http" and _is_loopback(url.host))


def _parsed(value: Any) -> httpx.URL | None:
    try:
        return httpx.URL(value) if isinstance(value, str) else None
    except (httpx.InvalidURL, UnicodeError):
        return None


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def check_reachable(subscription_url: str, own_port: int, behaviours: Behaviours) -> None:
    """Raises ApiError (400) if nothing listens there, it redirects, or it is this same API."""
    url = httpx.URL(subscription_url)
    port = url.port or (443 if url.scheme == "https" else 80)
    if _is_loopback(url.host) and port == own_port:
        raise webhooks_error(400, {"subscription_url": [_BAD_URL]})
    if behaviours.webhook_url_check == "none":
        return
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            if behaviours.webhook_url_check == "request":
                async with httpx.AsyncClient(trust_env=False, timeout=None) as client:
                    redirects = (await client.get(url)).is_redirect
            else:
                redirects = False
                _, writer = await asyncio.open_connection(url.host, port)
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except (OSError, httpx.HTTPError, UnicodeError):
        raise webhooks_error(400, {"subscription_url": [_BAD_URL]}) from None
    if redirects:
        raise webhooks_error(400, {"subscription_url": [_BAD_URL]})
