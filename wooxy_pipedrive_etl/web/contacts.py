"""The list's pages: a search for contacts, one contact with the source of its values, and what was not written and
why."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from wooxy_pipedrive_etl.contact_list.search import MAX_TEXT
from wooxy_pipedrive_etl.views.contacts import search_contacts, view_contact
from wooxy_pipedrive_etl.views.issues import RunGone, view_issues

from .visit import Visit, page

# The names of the channels in a table of many contacts.
SHORT_CHANNELS = {
    "smsSubscribe": "SMS",
    "viberSubscribe": "Viber",
    "emailSubscribe": "e-mail",
    "telegramSubscribe": "Telegram",
    "desktopWebPushSubscribe": "desktop push",
    "mobileWebPushSubscribe": "mobile push",
}
KINDS = {
    "rejected": "Rejected",
    "duplicate": "Duplicate",
    "conflict": "Conflict",
    "dropped_value": "Value left out",
}
REASONS = {
    "no_identifier": "no identifier",
    "duplicate_of": "shares an identifier with another person",
    "identifier_conflict": "has identifiers of other contacts",
    "invalid_email": "no valid e-mail address",
    "invalid_phone": "no valid phone number",
    "invalid_datetime": "no date or time that can be read",
    "invalid_value": "a value that does not fit",
    "unknown_option": "an option that is not known",
    "odd_shape": "not in the shape that it should have",
}

_LARGEST = 2**63 - 1


def routes() -> list[BaseRoute]:
    return [
        Route("/integrations/{name}/contacts", page(_search), methods=["GET"]),
        Route("/integrations/{name}/contacts/{contact_id}", page(_show), methods=["GET"]),
        Route("/integrations/{name}/issues", page(_issues), methods=["GET"]),
    ]


def _search(visit: Visit) -> Response:
    record, text = visit.record(), visit.query("q")[:MAX_TEXT]
    found = search_contacts(
        visit.store,
        record.name,
        text,
        after=whole(visit.query("after")),
        before=whole(visit.query("before")),
    )
    return visit.render(
        "contacts.html", record=record, tab="contacts", found=found, text=text, short=SHORT_CHANNELS
    )


def _show(visit: Visit) -> Response:
    record, contact_id = visit.record(), whole(visit.request.path_params["contact_id"])
    contact = None if contact_id is None else view_contact(visit.store, record.name, contact_id)
    if contact is None:
        return visit.problem(404, "The list has no such contact; look for it among the contacts.")
    return visit.render("contact.html", record=record, tab="contacts", contact=contact)


def _issues(visit: Visit) -> Response:
    record, run_id = visit.record(), visit.query("run") or None
    chosen: dict[str, Any] = {"kind": visit.query("kind") or None, "reason": visit.query("reason") or None}
    try:
        found = view_issues(
            visit.store, record.name, **chosen, run_id=run_id, page=whole(visit.query("page")) or 1
        )
    except RunGone as error:
        return visit.problem(404, str(error))
    return visit.render(
        "issues.html",
        record=record,
        tab="issues",
        found=found,
        run_id=run_id,
        chosen=chosen,
        kinds=KINDS,
        reasons=REASONS,
    )


def whole(text: str) -> int | None:
    """A whole number that the database can store, or None."""
    if not (text.isascii() and text.isdecimal()) or len(text) > 19:
        return None
    return number if (number := int(text)) <= _LARGEST else None
