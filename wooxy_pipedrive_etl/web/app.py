"""The web application: its routes, and the headers of every answer."""

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

from wooxy_pipedrive_etl.store import Store
from wooxy_pipedrive_etl.sync import webhooks

from . import consent, contacts, install, integrations, match, runs, settings, sign_in, uninstall
from .headers import HEADERS
from .passwords import Attempts, Passwords
from .receiver import REMEMBER_SECONDS, Receiver
from .templates import make_templates
from .visit import Visit, page

SESSION_SECONDS = 12 * 60 * 60
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def build_app(
    store: Store,
    *,
    public_url: str = "http://127.0.0.1:8000",
    hosts: Collection[str] = (),
    remember_seconds: float = REMEMBER_SECONDS,
) -> Starlette:
    """`public_url`: where people open the pages; `hosts`: further names under which they may.

    `remember_seconds`: how long the receiver relies on what it has read of the connections' passwords.
    Raises PasswordRefused if the environment's password is no good.
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
        Route("/integrations/{path:path}", page(_nothing_here), methods=["GET"]),
    ]
    session = Middleware(
        SessionMiddleware,
        secret_key=store.secrets.derived_key("sessions").hex(),
        session_cookie="wooxy-pipedrive",
        max_age=SESSION_SECONDS,
        # Not strict: the browser comes back from Pipedrive's consent page with a link.
        same_site="lax",
        https_only=public_url.startswith("https:"),
    )
    with as_file(files("wooxy_pipedrive_etl.web") / "static") as static:
        app = Starlette(
            routes=[
                Route(webhooks.PATH, receiver.receive, methods=["POST"]),
                *uninstall.routes(),
                Mount("/static", _Assets(directory=static)),
                # Not a Mount: that would take every path, also with a method that its route does not have.
                *(_with(session, route) for route in pages),
            ],
            middleware=[Middleware(_Headers)],
        )
    # A redirected webhook counts as failed.
    app.router.redirect_slashes = False
    app.state.store = store
    app.state.passwords = Passwords(store)
    app.state.attempts = Attempts()
    app.state.templates = make_templates()
    app.state.public_url = public_url
    app.state.hosts = _LOOPBACK | {urlsplit(public_url).hostname or ""} | set(hosts)
    return app


def _with(middleware: Middleware, route: BaseRoute) -> Route:
    assert isinstance(route, Route)
    return Route(route.path, route.endpoint, methods=sorted(route.methods or ()), middleware=[middleware])


def _nothing_here(visit: Visit) -> Response:
    return visit.problem(404, "There is no such page; go on from the integrations.")


class _Assets(StaticFiles):
    """Style sheet and scripts, which browsers may keep as long as they ask whether there are newer ones."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["cache-control"] = "no-cache"
        return response


class _Headers:
    """Puts `HEADERS` on every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)
