"""A Pipedrive account with our app registered, and a visitor who goes to its consent page and back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import httpx
import pytest

from wooxy_pipedrive_etl.connections.oauth_app import CALLBACK_PATH
from wooxy_pipedrive_etl.sandbox.pipedrive import Account, Limits, OAuthApp, SandboxServer
from wooxy_pipedrive_etl.settings import (
    OAUTH_CLIENT_ID_VARIABLE,
    OAUTH_CLIENT_SECRET_VARIABLE,
    OAUTH_URL_VARIABLE,
)
from wooxy_pipedrive_etl.store import Store
from wooxy_pipedrive_etl.store.connections import ConnectionRecord, get_connection
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl_tests.patience import http_client
from wooxy_pipedrive_etl_tests.scenario import DOMAIN

from .visitor import Visitor

CLIENT_ID = "app-1"
CLIENT_SECRET = "the-secret-of-the-app"


@dataclass
class Pipedrive:
    """The account as the visitor sees it."""

    server: SandboxServer
    visitor: Visitor
    store: Store

    # What the visitor does

    def decide(self, decision: str = "allow", start: str = "/integrations/new/allow") -> str:
        """From our button through Pipedrive's page; returns where Pipedrive redirects the browser."""
        self.visitor.get("/integrations/new")
        sent = self.visitor.post(start)
        assert sent.status_code == 303, sent.text
        link = httpx.URL(sent.headers["location"])
        assert str(link).startswith(self.server.url)
        with http_client() as browser:
            assert browser.get(link).status_code == 200
            form = {**link.params, "decision": decision}
            answer = browser.post(f"{self.server.url}/oauth/authorize", data=form)
        assert answer.status_code == 302, answer.text
        location: str = answer.headers["location"]
        return location.removeprefix(self.visitor.url)

    def allow(self) -> httpx.Response:
        """All the way; returns the page at the end."""
        answer = self.visitor.get(self.decide())
        while answer.status_code == 303:
            answer = self.visitor.follow(answer)
        return answer

    def reconnect(self, name: str = "acme") -> httpx.Response:
        """Reconnects a connection; returns the callback's answer."""
        return self.visitor.get(self.decide(start=f"/integrations/{name}/reconnect"))

    def connect(self, domain: str = DOMAIN, name: str = "acme") -> ConnectionRecord:
        """From Allow and Install to the connection."""
        path = httpx.URL(str(self.allow().url)).path
        if not path.endswith("/domain"):
            path += "/domain"
        fields = {
            "name": name,
            "domain": domain,
            "default_region": "",
            "consent": "respect",
            "on_delete": "delete",
        }
        answer = self.visitor.post(path, fields)
        assert answer.headers.get("location") == f"/integrations/{name}/match", answer.text
        return self.record(name)

    # What happens meanwhile, and what is stored

    def set_scopes(self, *scopes: str) -> None:
        assert self.server.oauth_app is not None
        self.server.oauth_app = replace(self.server.oauth_app, scopes=scopes)

    def record(self, name: str = "acme") -> ConnectionRecord:
        with reading(self.store.engine) as db:
            return get_connection(db, name)

    def oauth_calls(self) -> list[str]:
        """Paths of our server's calls since the last `clear_requests`."""
        return [
            each.path
            for each in self.server.requests
            if each.path.startswith("/oauth/") and "authorize" not in each.path
        ]


@contextmanager
def consenting(
    account: Account, visitor: Visitor, store: Store, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Pipedrive]:
    with SandboxServer(account, limits=Limits(burst_per_2s=100_000)) as server:
        register(server, visitor.url, monkeypatch)
        yield Pipedrive(server, visitor, store)


def register(server: SandboxServer, public_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Registers our app at the account, with the callback served at `public_url`."""
    server.oauth_app = OAuthApp(CLIENT_ID, CLIENT_SECRET, public_url + CALLBACK_PATH)
    monkeypatch.setenv(OAUTH_CLIENT_ID_VARIABLE, CLIENT_ID)
    monkeypatch.setenv(OAUTH_CLIENT_SECRET_VARIABLE, CLIENT_SECRET)
    monkeypatch.setenv(OAUTH_URL_VARIABLE, server.url)
