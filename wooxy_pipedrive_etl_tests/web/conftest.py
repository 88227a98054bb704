"""A store with the connection acme, whose webhook has a password; the application over HTTP, and its visitors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page

from wooxy_pipedrive_etl.connections.webhooks import USER
from wooxy_pipedrive_etl.settings import ADMIN_PASSWORD_VARIABLE
from wooxy_pipedrive_etl.store import Store
from wooxy_pipedrive_etl_tests.patience import http_client
from wooxy_pipedrive_etl_tests.scenario import isolate
from wooxy_pipedrive_etl_tests.state import change_stored
from wooxy_pipedrive_etl_tests.store.conftest import new_connection

from . import browser as browsers
from . import visitor as visitors
from .served import serving
from .visitor import Visitor

PASSWORD = "a-secret-password"


@pytest.fixture(autouse=True)
def _isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    isolate(monkeypatch, tmp_path)
    monkeypatch.setenv(ADMIN_PASSWORD_VARIABLE, visitors.PASSWORD)


@dataclass(frozen=True)
class Receiver:
    """The receiver and its caller."""

    store: Store
    connection_id: int
    url: str
    client: httpx.Client

    def call(
        self,
        body: object = None,
        *,
        name: str = "acme",
        auth: tuple[str, str] | None = (USER, PASSWORD),
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        """`body`: bytes as they are, anything else as JSON."""
        url = f"{self.url}/webhooks/pipedrive/{name}"
        credentials = httpx.BasicAuth(*auth) if auth else None
        if isinstance(body, bytes):
            request = self.client.build_request("POST", url, content=body, headers=headers)
        else:
            request = self.client.build_request("POST", url, json=body, headers=headers)
        return self.client.send(request, auth=credentials)


def new_receiving_connection(store: Store, name: str, domain: str, password: str = PASSWORD) -> int:
    with store.engine.begin() as db:
        record = new_connection(db, name, domain)
        change_stored(db, record.id, encrypted_password=store.secrets.encrypt(password))
    return record.id


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    store = Store.open(database_url)
    yield store
    store.close()


@pytest.fixture
def receiver(store: Store) -> Iterator[Receiver]:
    connection_id = new_receiving_connection(store, "acme", "shop.example.com")
    with serving(store) as url, http_client() as client:
        yield Receiver(store, connection_id, url, client)


@pytest.fixture
def forgetful_receiver(store: Store) -> Iterator[Receiver]:
    """A receiver that reads the connections on every call."""
    connection_id = new_receiving_connection(store, "acme", "shop.example.com")
    with (
        serving(store, remember_seconds=0) as url,
        http_client() as client,
    ):
        yield Receiver(store, connection_id, url, client)


@pytest.fixture
def url(store: Store) -> Iterator[str]:
    """The root of the pages of `store`."""
    with serving(store) as url:
        yield url


@pytest.fixture
def visitor(url: str) -> Iterator[Visitor]:
    """Signed in."""
    with visitors.visiting(url) as visitor:
        yield visitor.sign_in()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Lives only as long as a module's tests need it: Playwright has an event loop in this thread, so nothing else,
    such as Dagster, can run one."""
    yield from browsers.launched()


@pytest.fixture
def browser_page(browser: Browser) -> Iterator[Page]:
    """A page in a fresh browser profile; any script error fails the test."""
    errors: list[str] = []
    with browsers.fresh_page(browser) as page:
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if _is_error(message) else None)
        yield page
    assert errors == []


def _is_error(message: ConsoleMessage) -> bool:
    """Chromium also logs every refused page, which is not a script error."""
    return message.type == "error" and not re.search(r"status of (404|409|422) ", message.text)
