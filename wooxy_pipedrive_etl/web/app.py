"""The web application: its routes, and the headers of every response."""

from __future__ import annotations

from collections.abc import Collection
from importlib.resources import as_file, files
from typing import Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wooxy_pipedrive_etl.connections import webhooks
from wooxy_pipedrive_etl.settings import LOOPBACK
from wooxy_pipedrive_etl.store import Store

from . import consent, contacts, deletions, install, integrations, match, runs, settings, sign_in, uninstall
from .attempts import Attempts
from .headers import HEADERS, HTTPS_HEADERS
from .passwords import Passwords
from .receiver import REMEMBER_SECONDS, Receiver
from .templates import make_templates
from .visit import SESSION_LIFETIME, Visit, page


def build_app(
    store: Store,
    *,
    public_url: str = "http://127.0.0.1:8000",
    hosts: Collection[str] = (),
    remember_seconds: float = REMEMBER_SECONDS,
) -> Starlette:
    """`public_url`: the address at which users open the pages, and to which Pipedrive sends them back; `hosts`: other
    host names that are allowed.

    `remember_seconds`: how long the receiver caches the connections' passwords. Raises PasswordRefused if the
    environment's password is not acceptable.
    """
    receiver = Receiver(store, remember_seconds)
    pages = [
        *sign_in.routes(),
        *integrations.routes(),
        *install.routes(),
        *consent.routes(),
        *settings.routes(),
        *match.routes(),
        *contacts.routes(),
        *runs.routes(),
        *deletions.routes(),
        Route("/integrations/{path:path}", page(_nothing_here), methods=["GET"]),
    ]
    cookie, is_https = _cookie_name(public_url), public_url.startswith("https:")
    session = Middleware(
        SessionMiddleware,
        secret_key=store.secrets.derived_key("sessions").hex(),
        session_cookie=cookie,
        max_age=round(SESSION_LIFETIME.total_seconds()),
        # Not strict: the browser comes back from Pipedrive's consent page by a link.
        same_site="lax",
        https_only=is_https,
    )
    with as_file(files("wooxy_pipedrive_etl.web") / "static") as static:
        app = Starlette(
            routes=[
                Route(webhooks.PATH, receiver.receive, methods=["POST"]),
                *uninstall.routes(),
                Mount("/static", _Assets(directory=static)),
                # Not a Mount: that would take every path, even for a method that its route does not have.
                *(_with(session, route) for route in pages),
            ],
            middleware=[Middleware(_Headers, HEADERS | (HTTPS_HEADERS if is_https else {}))],
        )
    # Pipedrive counts a redirected webhook as failed.
    app.router.redirect_slashes = False
    app.state.store = store
    app.state.passwords = Passwords(store)
    app.state.attempts = Attempts(store.secrets.derived_key("known browsers"))
    app.state.templates = make_templates()
    app.state.public_url = public_url
    app.state.cookie = cookie
    app.state.is_https = is_https
    app.state.hosts = LOOPBACK | {urlsplit(public_url).hostname or ""} | set(hosts)
    return app


def _cookie_name(public_url: str) -> str:
    """The name of the session cookie. Browsers send a cookie to every port of a host, so each of our servers has its
    own; over https, only the host itself can set this one."""
    parts = urlsplit(public_url)
    return "__Host-wooxy-pipedrive" if parts.scheme == "https" else f"wooxy-pipedrive-{parts.port or 80}"


def _with(middleware: Middleware, route: BaseRoute) -> Route:
    assert isinstance(route, Route)
    return Route(route.path, route.endpoint, methods=sorted(route.methods or ()), middleware=[middleware])


def _nothing_here(visit: Visit) -> Response:
    return visit.problem(404, "There is no such page; start from the integrations.")


class _Assets(StaticFiles):
    """Style sheet and scripts, which browsers may cache as long as they ask whether there are newer ones."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["cache-control"] = "no-cache"
        return response


class _Headers:
    """Adds these headers to every response that does not set its own."""

    def __init__(self, app: ASGIApp, headers: dict[str, str]) -> None:
        self._app = app
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)
