"""Registers the app in a sandbox and has a user allow it: shortcuts over HTTP, shared by several areas."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from wooxy_pipedrive_etl.connections import installations, oauth_app
from wooxy_pipedrive_etl.pipedrive import OAuthApp
from wooxy_pipedrive_etl.sandbox import pipedrive as sandbox
from wooxy_pipedrive_etl.settings import (
    OAUTH_CLIENT_ID_VARIABLE,
    OAUTH_CLIENT_SECRET_VARIABLE,
    OAUTH_URL_VARIABLE,
    PUBLIC_URL_VARIABLE,
)
from wooxy_pipedrive_etl.store import Store
from wooxy_pipedrive_etl.store.connections import ConnectionRecord
from wooxy_pipedrive_etl.store.installations import Installation
from wooxy_pipedrive_etl_tests.patience import http_client
from wooxy_pipedrive_etl_tests.scenario import DOMAIN, NAME, Connected

CLIENT_ID, CLIENT_SECRET = "app-1", "the-secret-of-the-app"
PUBLIC_URL = "http://127.0.0.1:9"
CALLBACK = PUBLIC_URL + oauth_app.CALLBACK_PATH


def register(
    server: sandbox.SandboxServer, *, scopes: Sequence[str] = tuple(sandbox.SCOPES), callback: str = CALLBACK
) -> OAuthApp:
    """Registers the app, or changes its scopes."""
    server.oauth_app = sandbox.OAuthApp(CLIENT_ID, CLIENT_SECRET, callback, scopes=tuple(scopes))
    return OAuthApp(CLIENT_ID, CLIENT_SECRET, callback, server.url)


def allow(server: sandbox.SandboxServer, app: OAuthApp) -> str:
    """Presses Allow and Install; returns the code that Pipedrive passes to the callback."""
    form = {"client_id": app.client_id, "redirect_uri": app.redirect_uri, "decision": "allow"}
    with http_client() as client:
        answer = client.post(f"{server.url}/oauth/authorize", data=form)
    return str(httpx.URL(answer.headers["location"]).params["code"])


@dataclass
class ByOAuth(Connected):
    """A connection that a user allowed by OAuth, and its app."""

    app: OAuthApp = field(kw_only=True)

    def connect(self) -> ConnectionRecord:
        return self.choose_domain(self.install())

    def install(self) -> Installation:
        """Allow and Install, up to the choice of domain."""
        return installations.install_with_code(self.store, self.app, self.code())

    def choose_domain(self, installation: Installation, **other: Any) -> ConnectionRecord:
        usual = {"default_region": None, "consent": "respect", "on_delete": "delete"}
        chosen = {"name": self.name, "domain": self.domain, **usual, **self.settings, **other}
        return installations.connect_installation(self.store, installation.id, **chosen)[0]

    def code(self) -> str:
        return allow(self.server, self.app)

    def set_scopes(self, *scopes: str) -> None:
        """Applies to future consents."""
        register(self.server, scopes=scopes)

    def grants(self) -> list[dict[str, Any]]:
        """The grants Pipedrive has recorded."""
        found: list[dict[str, Any]] = self.server.oauth.state()["grants"]
        return found

    def token_requests(self) -> int:
        return len(self.requests("/oauth/token"))


@contextmanager
def connected_by_oauth(
    database_url: str,
    account: sandbox.Account,
    monkeypatch: pytest.MonkeyPatch,
    *,
    scopes: Sequence[str] = tuple(sandbox.SCOPES),
) -> Iterator[ByOAuth]:
    """Like `connected`, but a user allows the app, which the environment configures."""
    store = Store.open(database_url)
    try:
        limits = sandbox.Limits(burst_per_2s=100_000)
        with sandbox.SandboxServer(account, limits=limits) as server:
            app = register(server, scopes=scopes)
            for variable, value in (
                (OAUTH_CLIENT_ID_VARIABLE, CLIENT_ID),
                (OAUTH_CLIENT_SECRET_VARIABLE, CLIENT_SECRET),
                (OAUTH_URL_VARIABLE, server.url),
                (PUBLIC_URL_VARIABLE, PUBLIC_URL),
            ):
                monkeypatch.setenv(variable, value)
            connection = ByOAuth(account, server, store, NAME, DOMAIN, app=app)
            connection.connect()
            server.clear_requests()
            yield connection
    finally:
        store.close()
