"""OAuth 2.0 over HTTP: the consent page, the token endpoints, and the notification that an app was uninstalled."""

from __future__ import annotations

import base64
import contextlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from html import escape
from typing import Final
from urllib.parse import parse_qsl, urlencode

import httpx
from starlette.requests import Request

from .answers import Answer, ApiError, json_answer, oauth_error
from .errors import SandboxError
from .oauth import SCOPES, OAuth, OAuthApp
from .webhook_payloads import timestamp

OAuthHandler = Callable[[OAuth, Request], Awaitable[Answer]]

_FORM: Final = "application/x-www-form-urlencoded"
_NOT_STORED: Final = {"cache-control": "no-store", "pragma": "no-cache"}
_STYLE: Final = (
    "body{font:16px/1.5 sans-serif;margin:2em auto;max-width:36em;padding:0 1em;color:#222;background:#fff}"
    "button{font:inherit;padding:.5em 1em;margin:1em 1em 0 0}"
)


# The consent page


async def show_consent(oauth: OAuth, request: Request) -> Answer:
    """Shows what the app requests, to allow or deny. Raises ApiError with an error page, never a redirect."""
    given = _once(request.query_params.multi_items())
    app = _asking_app(oauth, given)
    account = oauth.account
    user = account.users[account.token_owner_id]
    scopes = "".join(f"<li>{escape(SCOPES[each])}</li>" for each in app.granted_scopes())
    kept = "".join(
        f'<input type="hidden" name="{name}" value="{escape(given[name])}">'
        for name in ("client_id", "redirect_uri", "state")
        if name in given
    )
    return _page(
        200,
        f"Allow {app.name} to use your Pipedrive data?",
        f"<h1>{escape(app.name)}</h1>"
        f"<p>{escape(app.name)} asks to be installed for {escape(user.name)} in the company"
        f" <strong>{escape(account.company_name)}</strong>. It will be able to:</p>"
        f"<ul>{scopes}</ul>"
        f'<form method="post" action="/oauth/authorize">{kept}'
        '<button type="submit" name="decision" value="allow">Allow and Install</button>'
        '<button type="submit" name="decision" value="deny">Cancel</button></form>',
    )


async def decide(oauth: OAuth, request: Request) -> Answer:
    """Sends the user back to the app with a code, or with the error user_denied."""
    given = await _form(request)
    app = _asking_app(oauth, given)
    decision = given.get("decision")
    if decision not in ("allow", "deny"):
        raise _error_page("The decision must be allow or deny.")
    told = {"code": oauth.allow(app)} if decision == "allow" else {"error": "user_denied"}
    if "state" in given:
        told["state"] = given["state"]
    joint = "&" if "?" in app.redirect_uri else "?"
    location = f"{app.redirect_uri}{joint}{urlencode(told)}"
    return Answer(302, b"", {"location": location, **_NOT_STORED}, "text/html; charset=utf-8")


def _asking_app(oauth: OAuth, given: Mapping[str, str]) -> OAuthApp:
    """The app that requests access. Raises ApiError with an error page: a wrong link must not redirect anybody."""
    app = oauth.app
    if app is None or given.get("client_id") != app.client_id:
        raise _error_page("No app is registered with this client_id (invalid_client).")
    if given.get("redirect_uri") != app.redirect_uri:
        raise _error_page("The redirect_uri is not the one that the app is registered with.")
    if given.get("response_type", "code") != "code":
        raise _error_page("The response_type must be code.")
    if given.get("scope") == "":
        # The app's registration decides its scopes. A scope given here is ignored, but an empty one is an error.
        raise _error_page("The scope must not be empty (invalid_scope).")
    return app


def _page(status: int, title: str, body: str) -> Answer:
    text = (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><main>{body}</main></body></html>"
    )
    headers = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'", **_NOT_STORED}
    return Answer(status, text.encode("utf-8", "replace"), headers, "text/html; charset=utf-8")


def _error_page(reason: str) -> ApiError:
    title = "The app can't be installed"
    return ApiError(_page(400, title, f"<h1>{title}</h1><p>{escape(reason)}</p>"))


# The token endpoints


async def give_tokens(oauth: OAuth, request: Request) -> Answer:
    app = _authenticated_app(oauth, request)
    given = await _form(request)
    grant_type = _needed(given, "grant_type")
    if grant_type == "authorization_code":
        code, redirect_uri = _needed(given, "code"), _needed(given, "redirect_uri")
        if redirect_uri != app.redirect_uri:
            raise oauth_error(400, "invalid_grant", "Invalid grant: redirect URI does not match")
        issued = oauth.exchange(app, code)
    elif grant_type == "refresh_token":
        issued = oauth.refresh(app, _needed(given, "refresh_token"))
    else:
        raise oauth_error(400, "unsupported_grant_type", "Unsupported grant type")
    host, port = request.scope["server"]
    return json_answer(200, {**issued, "api_domain": f"http://{host}:{port}"}, _NOT_STORED)


async def revoke_token(oauth: OAuth, request: Request) -> Answer:
    app = _authenticated_app(oauth, request)
    given = await _form(request)
    # token_type_hint is not needed: every token is recognisable.
    oauth.revoke(app, _needed(given, "token"))
    return json_answer(200, {"success": True}, _NOT_STORED)


def _authenticated_app(oauth: OAuth, request: Request) -> OAuthApp:
    """Accepts only Basic credentials. Raises ApiError (401)."""
    app = oauth.app
    given = request.headers.get("authorization", "").encode()
    if app is None or not hmac.compare_digest(given, _basic(app).encode()):
        error = oauth_error(401, "invalid_client", "Invalid client: client is invalid")
        raise ApiError(error.answer.with_headers({"www-authenticate": 'Basic realm="oauth"'}))
    return app


def _basic(app: OAuthApp) -> str:
    return f"Basic {base64.b64encode(f'{app.client_id}:{app.client_secret}'.encode()).decode()}"


async def _form(request: Request) -> dict[str, str]:
    """Raises ApiError (400) unless the body is a form that has each parameter once."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise oauth_error(400, "invalid_request", f"Invalid request: content must be {_FORM}")
    return _once(parse_qsl((await request.body()).decode("utf-8", "replace"), keep_blank_values=True))


def _once(pairs: list[tuple[str, str]]) -> dict[str, str]:
    given = dict(pairs)
    if len(given) < len(pairs):
        raise oauth_error(400, "invalid_request", "Invalid request: a parameter is there twice")
    return given


def _needed(given: Mapping[str, str], name: str) -> str:
    value = given.get(name)
    if not value:
        raise oauth_error(400, "invalid_request", f"Missing parameter: `{name}`")
    return value


OAUTH_PATHS: Final[Mapping[str, Mapping[str, OAuthHandler]]] = {
    "/oauth/authorize": {"GET": show_consent, "POST": decide},
    "/oauth/token": {"POST": give_tokens},
    "/oauth/revoke": {"POST": revoke_token},
}
"""The handlers of oauth.pipedrive.com, by path and method."""


# Uninstallation


def uninstall_app(oauth: OAuth, timeout: float, user_id: int | None = None) -> None:
    """Uninstalls the app for a user, by default the token's owner, and notifies the app at its callback.

    Waits at most `timeout` seconds for an answer, and accepts any. Raises SandboxError if there is no app,
    UnknownRecordError if there is no such user.
    """
    app, account = oauth.app, oauth.account
    if app is None:
        raise SandboxError("No app is registered, so none can be uninstalled.")
    user_id = account.token_owner_id if user_id is None else user_id
    # The tokens are revoked first: a notified app may rely on that.
    oauth.uninstall(user_id)
    about = {
        "client_id": app.client_id,
        "company_id": account.company_id,
        "user_id": user_id,
        "timestamp": timestamp(account.clock()),
    }
    with contextlib.suppress(httpx.HTTPError), httpx.Client(trust_env=False, timeout=timeout) as client:
        client.request("DELETE", app.redirect_uri, json=about, headers={"authorization": _basic(app)})
