"""Sends users to Pipedrive to allow the app, and receives them when they come back.

Their `state` is also stored once in the browser's session: a request without a matching state was not started in this
browser, and is ignored.
"""

from __future__ import annotations

import hmac
import secrets
import time
from typing import Any

from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from wooxy_pipedrive_etl.connections import installations
from wooxy_pipedrive_etl.connections.oauth_app import CALLBACK_PATH, needed_oauth_app
from wooxy_pipedrive_etl.failures import EXPECTED_ERRORS

from .visit import SIGN_IN, Visit, is_signed_in, page

# Longer than anybody stays on a consent page.
STATE_SECONDS = 60 * 60

NEW = "/integrations/new"
_SESSION_KEY = "consent"


def routes() -> list[BaseRoute]:
    return [
        Route(f"{NEW}/allow", page(_allow), methods=["POST"]),
        Route("/integrations/{name}/reconnect", page(_reconnect), methods=["POST"]),
        # Public, for users who were signed out in the meantime; see there.
        Route(CALLBACK_PATH, page(_come_back, public=True), methods=["GET"]),
    ]


def _allow(visit: Visit) -> Response:
    return _to_pipedrive(visit, None)


def _reconnect(visit: Visit) -> Response:
    return _to_pipedrive(visit, visit.record().name)


def _to_pipedrive(visit: Visit, name: str | None) -> Response:
    """`name`: the connection to be reconnected; None: a new one."""
    app = needed_oauth_app("Allow and Install", visit.public_url)
    state = secrets.token_urlsafe(32)
    visit.session[_SESSION_KEY] = {"state": state, "asked_at": int(time.time()), "name": name}
    return RedirectResponse(app.authorize_url(state), 303)


def _come_back(visit: Visit) -> Response:
    asked: dict[str, Any] | None = visit.session.pop(_SESSION_KEY, None)
    name = None if asked is None else asked["name"]
    if not is_signed_in(visit.request):
        visit.flash("Your session had ended, so nothing was connected. Sign in and start again.", "warning")
        return visit.go(SIGN_IN, next=_start(name))
    if asked is None or not _is_same(asked, visit.query("state")):
        sentence = (
            "This was not started in this browser, or too long ago. Nothing was connected; start again."
        )
        return _not_connected(visit, 400, "That did not work", sentence, name)
    error, code = visit.query("error"), visit.query("code")
    if error == "user_denied":
        return _not_connected(visit, 200, "You did not allow it", "Nothing was connected.", name)
    if error or not code:
        sentence = "Pipedrive did not grant access, so nothing was connected."
        return _not_connected(visit, 400, "That did not work", sentence, name)
    try:
        return _take(visit, name, code)
    except EXPECTED_ERRORS as refused:
        return _not_connected(visit, 400, "That did not work", str(refused), name)


def _take(visit: Visit, name: str | None, code: str) -> Response:
    visit.store.check_key()
    app = needed_oauth_app("Allow and Install", visit.public_url)
    if name is not None:
        record = installations.reconnect(visit.store, app, name, code)
        visit.flash(f"Pipedrive lets {record.name} in again.")
        return visit.go(_start(name))
    installation = installations.install_with_code(visit.store, app, code)
    return visit.go(f"{NEW}/{installation.id}")


def _is_same(asked: dict[str, Any], given: str) -> bool:
    recent = time.time() - asked["asked_at"] <= STATE_SECONDS
    return hmac.compare_digest(given.encode(), asked["state"].encode()) and recent


def _start(name: str | None) -> str:
    """The page from which users go to Pipedrive."""
    return NEW if name is None else f"/integrations/{name}/settings"


def _not_connected(visit: Visit, status: int, title: str, sentence: str, name: str | None) -> Response:
    return visit.render("not_connected.html", status, title=title, sentence=sentence, start=_start(name))
