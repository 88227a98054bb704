"""The web application: its routes, and the headers of every answer."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wooxy_pipedrive_etl.store import Store
from wooxy_pipedrive_etl.sync import webhooks

from .receiver import REMEMBER_SECONDS, Receiver

# What an answer has unless its route says otherwise.
_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def build_app(store: Store, *, remember_seconds: float = REMEMBER_SECONDS) -> Starlette:
    """`remember_seconds`: how long the receiver relies on what it has read of the connections' passwords."""
    receiver = Receiver(store, remember_seconds)
    app = Starlette(
        routes=[Route(webhooks.PATH, receiver.receive, methods=["POST"])], middleware=[Middleware(_Headers)]
    )
    # A redirected webhook counts as failed.
    app.router.redirect_slashes = False
    return app


class _Headers:
    """Puts `_HEADERS` on every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)
