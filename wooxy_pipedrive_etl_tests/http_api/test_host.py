"""One exchange: what is sent, what comes back, and how an attempt fails."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from wooxy_pipedrive_etl.http_api.errors import Unreachable
from wooxy_pipedrive_etl.http_api.host import Host
from wooxy_pipedrive_etl.http_api.retries import Failed

from .fake_clock import FakeClock
from .scripted import Reply, host


@contextmanager
def serving(url: str, clock: FakeClock | None = None) -> Iterator[Host]:
    api = Host(url, httpx.Auth(), clock=clock or FakeClock(), timeout=60.0)
    try:
        yield api
    finally:
        api.close()


def exchange(api: Host, began: list[httpx.Headers] | None = None) -> tuple[httpx.Response, bytes]:
    return api.exchange(
        "POST",
        "/things",
        params={"limit": "5"},
        body={"name": "x"},
        clean=lambda text: text.replace("secret", "***"),
        began=([] if began is None else began).append,
    )


@pytest.mark.parametrize("status", [200, 302, 404, 503])
def test_any_answer_is_returned_whatever_its_status(status: int) -> None:
    began: list[httpx.Headers] = []
    with host([Reply(b"words", status, {"x-told": "7", "location": "/elsewhere"})]) as served:
        with serving(served.url) as api:
            response, content = exchange(api, began)
        (request,) = served.requests
    assert (response.status_code, content) == (status, b"words")
    assert [headers["x-told"] for headers in began] == ["7"]
    assert (request.method, request.path, request.query) == ("POST", "/things", {"limit": "5"})
    assert json.loads(request.body) == {"name": "x"}


def test_no_proxy_of_the_environment_reads_plain_http(monkeypatch: pytest.MonkeyPatch) -> None:
    with host([Reply(b"")]) as proxy, host([Reply(b"")]) as served:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        with serving(served.url) as api:
            exchange(api)
    assert proxy.requests == []


def test_what_never_arrived_was_not_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with serving(url) as api, pytest.raises(Failed, match="the connection failed") as failure:
        exchange(api)
    assert failure.value.kind is Unreachable
    assert not failure.value.sent


def test_a_cut_answer_may_be_carried_out() -> None:
    with (
        host([Reply(b"{", cut=9)]) as served,
        serving(served.url) as api,
        pytest.raises(Failed, match="the connection failed") as failure,
    ):
        exchange(api)
    assert failure.value.kind is Unreachable
    assert failure.value.sent


def test_an_endlessly_slow_answer_is_abandoned() -> None:
    class Hurried(FakeClock):
        """An hour passes with every look at the clock, so the body always comes too late."""

        def now(self) -> float:
            self.time += 3600.0
            return self.time

    with (
        host([Reply(b"late")]) as served,
        serving(served.url, Hurried()) as api,
        pytest.raises(Failed, match="not complete after 300 s"),
    ):
        exchange(api)


def test_an_error_does_not_tell_a_secret() -> None:
    def refuse(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no way to secret.example.com")

    api = Host(
        "https://example.com",
        httpx.Auth(),
        clock=FakeClock(),
        timeout=60.0,
        transport=httpx.MockTransport(refuse),
    )
    with pytest.raises(Failed, match=r"no way to \*\*\*\.example"):
        exchange(api)
    api.close()
