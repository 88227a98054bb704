"""Webhooks in an account: which there are, a new one for persons, and letting one go."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from .endpoints import CREATE_WEBHOOK, DELETE_WEBHOOK, WEBHOOKS
from .envelope import Unreadable, read_object, read_plain_list, read_success
from .errors import EndpointGone, OutcomeUnknown
from .session import Session

VERSION = "2.0"
# How often a webhook is asked for while Pipedrive does not say whether it was made, and does not list it either.
_ATTEMPTS = 3


@dataclass(frozen=True)
class Webhook:
    """As Pipedrive lists it. `user` and `password`: of its Basic authentication, None where the list does not tell."""

    id: int
    company_id: int | None
    url: str
    name: str
    event_object: str
    event_action: str
    version: str
    active: bool
    user: str | None = None
    password: str | None = field(default=None, repr=False)


def list_webhooks(session: Session) -> list[Webhook]:
    """All that the credential may see, other programs' too; elements of another shape are left out."""
    elements = session.get(WEBHOOKS, read_plain_list)
    return [webhook for element in elements if (webhook := _webhook(element)) is not None]


def create_webhook(
    session: Session, *, url: str, name: str, user: str, password: str, before: Collection[int]
) -> Webhook:
    """A webhook that tells `url` of every change of a person.

    A request whose answer is lost may have made one, and a second would tell everything twice: so the list is looked
    through for one of this URL whose id is not in `before`, the ids that were there. Raises `PipedriveError`.
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
    """Also well if it is gone already. Raises `PipedriveError`."""
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
    number, url, company_id = (element.get(key) for key in ("id", "subscription_url", "company_id"))
    if type(number) is not int or not isinstance(url, str):
        return None
    user, password = (element.get(f"http_auth_{key}") for key in ("user", "password"))
    return Webhook(
        id=number,
        company_id=company_id if type(company_id) is int else None,
        url=url,
        name=str(element.get("name") or ""),
        event_object=str(element.get("event_object")),
        event_action=str(element.get("event_action")),
        version=str(element.get("version")),
        # 1 or true; what was removed stays in the list for a while.
        active=bool(element.get("is_active", True)) and element.get("remove_time") is None,
        user=user if isinstance(user, str) else None,
        password=password if isinstance(password, str) else None,
    )
