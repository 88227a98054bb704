"""An account's webhooks: listed, created for persons, deleted."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from wooxy_pipedrive_etl.http_api.errors import OutcomeUnknown

from .endpoints import CREATE_WEBHOOK, DELETE_WEBHOOK, WEBHOOKS
from .envelope import Unreadable, read_object, read_plain_list, read_success
from .errors import EndpointGone
from .session import Session

VERSION = "2.0"
# How often to try to create a webhook while Pipedrive neither says whether it was created nor lists it.
_ATTEMPTS = 3


@dataclass(frozen=True)
class Webhook:
    """As Pipedrive lists it. `user` and `password`: for Basic authentication, None if the list does not contain
    them."""

    id: int
    url: str
    name: str
    event_object: str
    event_action: str
    version: str
    active: bool
    user: str | None = None
    password: str | None = field(default=None, repr=False)


def list_webhooks(session: Session) -> list[Webhook]:
    """All that the credential may see, including those of other programs; elements of another shape are left out."""
    elements = session.get(WEBHOOKS, read_plain_list)
    return [webhook for element in elements if (webhook := _webhook(element)) is not None]


def create_webhook(
    session: Session, *, url: str, name: str, user: str, password: str, before: Collection[int]
) -> Webhook:
    """Creates a webhook that sends every change of a person to `url`.

    A request whose answer is lost may have created one, and with a second one every event would come twice. So the list
    is searched for a webhook with this URL whose id is not in `before`, the ids that existed already. Raises
    `ApiError`.
    """
    body = {
        "subscription_url": url,
        "event_object": "person",
        "event_action": "*",
        "name": name,
        "version": VERSION,
        "http_auth_user": user,
        "http_auth_password": password,
    }
    attempt = 1
    while True:
        try:
            return session.post(CREATE_WEBHOOK, _read_created, body, secret=password)
        except OutcomeUnknown:
            for webhook in list_webhooks(session):
                if webhook.url == url and webhook.id not in before:
                    return webhook
            if attempt == _ATTEMPTS:
                raise
        attempt += 1


def delete_webhook(session: Session, webhook_id: int) -> None:
    """Succeeds even if it no longer exists. Raises `ApiError`."""
    with contextlib.suppress(EndpointGone):
        session.delete(DELETE_WEBHOOK, read_success, webhook_id)


def _read_created(content: bytes) -> Webhook:
    webhook = _webhook(read_object(content))
    if webhook is None:
        raise Unreadable("a webhook without an id or a URL")
    return webhook


def _webhook(element: Any) -> Webhook | None:
    if not isinstance(element, dict):
        return None
    number, url = element.get("id"), element.get("subscription_url")
    if type(number) is not int or not isinstance(url, str):
        return None
    user, password = (element.get(f"http_auth_{key}") for key in ("user", "password"))
    return Webhook(
        id=number,
        url=url,
        name=str(element.get("name") or ""),
        event_object=str(element.get("event_object")),
        event_action=str(element.get("event_action")),
        version=str(element.get("version")),
        # 1 or true; a removed webhook stays in the list for a while.
        active=bool(element.get("is_active", True)) and element.get("remove_time") is None,
        user=user if isinstance(user, str) else None,
        password=password if isinstance(password, str) else None,
    )
