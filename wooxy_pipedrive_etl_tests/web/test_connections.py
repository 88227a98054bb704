"""Idle connections: callers with something to say are still heard."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from wooxy_pipedrive_etl.settings import FORWARDED_ALLOW_IPS_VARIABLE
from wooxy_pipedrive_etl.store import Store
from wooxy_pipedrive_etl.web.connections import impatient
from wooxy_pipedrive_etl_tests.patience import PATIENCE_SECONDS, http_client

from .served import serving
from .visitor import text_of, visiting

HEAD = b"POST /sign-in HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 20\r\n\r\n"


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


@contextmanager
def opened(url: str, count: int, said: bytes = b"") -> Iterator[list[socket.socket]]:
    parts = urlsplit(url)
    with ExitStack() as all_of_them:
        found = []
        for _ in range(count):
            one = socket.create_connection((parts.hostname or "", parts.port or 0), timeout=PATIENCE_SECONDS)
            all_of_them.enter_context(one)
            one.sendall(said)
            found.append(one)
        yield found


def closed(connections: list[socket.socket]) -> int:
    """How many of them the server has closed, waiting for those it is about to close."""
    count = 0
    for each in connections:
        try:
            count += each.recv(1) == b""
        except ConnectionError:
            count += 1
    return count


@pytest.mark.parametrize("said", [b"", b"GET / HT", HEAD, HEAD + b"csrf=x"])
def test_silent_connections_are_closed(store: Store, said: bytes) -> None:
    with serving(store, http=impatient(wait_seconds=0.2)) as url, opened(url, 3, said) as silent:
        assert closed(silent) == 3


def test_kept_alive_connections_are_closed_when_silent(store: Store) -> None:
    request = b"GET /sign-in HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with serving(store, http=impatient(wait_seconds=0.2)) as url, opened(url, 1, request) as (one,):
        assert one.recv(12) == b"HTTP/1.1 200"
        one.sendall(b"GET / HT")
        while one.recv(65_536):
            pass


def test_the_oldest_silent_connections_are_closed_first(store: Store) -> None:
    with (
        serving(store, http=impatient(wait_seconds=PATIENCE_SECONDS, waiting_at_most=20)) as url,
        opened(url, 15) as silent,
        opened(url, 15, HEAD) as bodiless,
    ):
        with visiting(url) as visitor:
            assert "Administrator's password" in text_of(visitor.get("/sign-in"))
        with http_client() as client:
            answer = client.post(f"{url}/webhooks/pipedrive/nobody", content=b"{}")
            assert answer.status_code in (401, 404)
        assert closed(silent[:10]) == 10
        # The newest ones are still kept open.
        bodiless[-1].settimeout(0.1)
        with pytest.raises(TimeoutError):
            bodiless[-1].recv(1)


def test_slow_answers_do_not_close_the_connection(store: Store) -> None:
    """Here the server is slow, not the client."""
    with serving(store, http=impatient(wait_seconds=0.05)) as url, visiting(url) as visitor:
        visitor.get("/sign-in")
        for number in range(3):
            assert visitor.post("/sign-in", {"password": f"guess {number}"}).status_code == 403


def test_the_callers_address_cannot_be_forged(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def seen(url: str) -> str:
        with httpx.Client() as client:
            return client.get(f"{url}/whoami", headers={"x-forwarded-for": "192.0.2.7"}).text

    app = Starlette(routes=[Route("/whoami", lambda request: PlainTextResponse(request.client.host))])
    with serving(store, app=app) as url:
        assert seen(url) == "127.0.0.1"
    monkeypatch.setenv(FORWARDED_ALLOW_IPS_VARIABLE, "127.0.0.1")
    with serving(store, app=app) as url:
        assert seen(url) == "192.0.2.7"
