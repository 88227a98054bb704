"""One request: what is sent, what is retried, and which error each answer becomes."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from wooxy_pipedrive_etl.http_api.clock import Clock
from wooxy_pipedrive_etl.http_api.errors import (
    ApiError,
    BrokenAnswer,
    ServerError,
    TransientError,
    Unreachable,
)
from wooxy_pipedrive_etl.http_api.retries import Retries
from wooxy_pipedrive_etl.pipedrive import ApiToken, PipedriveClient
from wooxy_pipedrive_etl.pipedrive import errors as e
from wooxy_pipedrive_etl.pipedrive.budget import Budgets
from wooxy_pipedrive_etl_tests.http_api.fake_clock import FakeClock
from wooxy_pipedrive_etl_tests.http_api.scripted import Reply, Request, host
from wooxy_pipedrive_etl_tests.patience import PATIENCE_SECONDS, wait_for_end_of_threads

from .conftest import Connect
from .scripted import listed

ME = Reply({"success": True, "data": {"id": 9, "name": "Bot", "company_id": 777, "access": []}})
HTML = {"content-type": "text/html; charset=UTF-8"}
CLOUDFLARE = Reply(b"<!DOCTYPE html><p>This error is produced by Cloudflare", 403, HTML)


def failing(status: int, **body: Any) -> Reply:
    return Reply({"success": False, "data": None, **body}, status, {"x-correlation-id": "abc-123"})


def test_the_token_appears_only_in_the_header(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with host([failing(503, error="a-secret-token failed"), ME]) as pipedrive:
        client = connect(pipedrive.url)
        client.account()
    for request in pipedrive.requests:
        assert request.headers["x-api-token"] == "a-secret-token"
        assert "authorization" not in request.headers
        assert "a-secret-token" not in request.path + str(request.query)
    assert "GET /api/v1/users/me -> 200" in caplog.text
    assert "GET /api/v1/users/me -> 503 [abc-123]" in caplog.text
    assert "a-secret-token" not in caplog.text + repr(client) + str(vars(client))


@pytest.mark.parametrize(
    ("reply", "error", "says"),
    [
        (failing(401, error="unauthorized access", errorCode=401), e.InvalidToken, "unauthorized access"),
        (failing(402, error="company account is not open"), e.AccountClosed, "account is not open"),
        (failing(403, error="Scope and URL mismatch", errorCode=403), e.MissingScope, "needs the scope base"),
        (failing(403, error="Not allowed", code="feature_capping_x"), e.Forbidden, "feature_capping_x"),
        (failing(403, message="Forbidden"), e.Forbidden, "Forbidden"),
        (Reply(b"", 403), e.Forbidden, "403: use"),
        (failing(400, error="Parameter 'x' is not allowed"), e.BadRequest, "Parameter 'x' is not allowed"),
        (failing(405), e.BadRequest, "405"),
        (failing(415), e.BadRequest, "415"),
        (Reply({"status": "error", "errors": {"id": ["not found"]}}, 422), e.BadRequest, "not found"),
        (failing(404), e.EndpointGone, "newer release"),
        (failing(410), e.EndpointGone, "newer release"),
        (Reply(b"<h1>nginx", 404, HTML), e.NotPipedrive, "check the API URL"),
        (Reply(b"\xff{", 400), e.BadRequest, "400"),
        (Reply([1, 2], 400), e.BadRequest, "400"),
    ],
)
def test_permanent_errors_fail_immediately_with_pipedrives_words(
    connect: Connect, clock: FakeClock, reply: Reply, error: type[ApiError], says: str
) -> None:
    with host([reply]) as pipedrive, pytest.raises(error) as failure:
        connect(pipedrive.url).account()
    assert type(failure.value) is error
    assert failure.value.permanent
    assert says in str(failure.value)
    assert "GET /api/v1/users/me" in str(failure.value)
    assert len(pipedrive.requests) == 1
    assert clock.waits == []


def test_a_token_repeated_in_an_answer_is_masked(connect: Connect) -> None:
    reply = failing(401, error="no such token: a-secret-token")
    with host([reply]) as pipedrive, pytest.raises(e.InvalidToken) as failure:
        connect(pipedrive.url).account()
    assert "no such token: ***" in str(failure.value)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(connect: Connect, status: int) -> None:
    with host([ME]) as elsewhere:
        away = Reply(b"", status, {"location": f"{elsewhere.url}/api/v1/users/me"})
        with host([away]) as pipedrive, pytest.raises(e.RedirectRefused) as failure:
            connect(pipedrive.url).account()
    assert "check the API URL" in str(failure.value)
    assert elsewhere.requests == []


@pytest.mark.parametrize(
    "bad",
    [
        *[failing(status) for status in (500, 501, 502, 503, 504, 524)],
        Reply(b"<h1>Bad gateway", 502, HTML),
        Reply(b'{"success":true,"data":[{"id":1}', cut=40),
        Reply(b'{"success":true,"data":[{"id":1}'),
        Reply(b""),
        Reply(b"null"),
        Reply(b'"fine"'),
        Reply({"success": False, "error": "Something went wrong"}),
        Reply({"success": True, "data": None}),
        Reply({"success": True}),
        Reply({"success": True, "data": {}}),
        Reply({"success": True, "data": [], "additional_data": {"next_cursor": 5}}),
        Reply(b"not gzip", headers={"content-encoding": "gzip"}),
    ],
    ids=lambda reply: f"{reply.status}-{reply.content()[:30]!r}",
)
def test_transient_errors_are_retried(connect: Connect, clock: FakeClock, bad: Reply) -> None:
    with host([bad, bad, listed([{"id": 1}])]) as pipedrive:
        (page,) = connect(pipedrive.url).persons_by_ids([1])
    assert page.persons["person_id"].tolist() == [1]
    assert len(pipedrive.requests) == 3
    first, second = clock.waits
    assert 0.5 <= first <= 1.0
    assert 1.0 <= second <= 1.5


@pytest.mark.parametrize(
    ("bad", "error", "says"),
    [
        (failing(503, error="down"), ServerError, '503, "down" [abc-123]'),
        (Reply(b""), BrokenAnswer, "an empty body"),
        (Reply(b'{"success":false,"error":"Odd"}'), BrokenAnswer, "success: false (Odd)"),
        (Reply(b"{", cut=9), Unreachable, "the connection failed"),
    ],
)
def test_retries_are_bounded(
    connect: Connect, clock: FakeClock, bad: Reply, error: type[ApiError], says: str
) -> None:
    with host([bad]) as pipedrive, pytest.raises(error) as failure:
        connect(pipedrive.url).account()
    assert type(failure.value) is error
    assert not failure.value.permanent
    assert "GET /api/v1/users/me failed 6 times" in str(failure.value)
    assert says in str(failure.value)
    assert len(pipedrive.requests) == 6
    assert sum(clock.waits) < 60


def test_a_site_other_than_pipedrive_is_reported(connect: Connect) -> None:
    with host([Reply(b"<html>Welcome", 200, HTML)]) as site, pytest.raises(e.NotPipedrive, match="API URL"):
        connect(site.url).account()


def test_a_host_without_a_server_is_unreachable(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(Unreachable, match="failed 6 times"):
        connect(url).account()


def test_an_answer_that_never_comes_times_out(connect: Connect) -> None:
    finished = threading.Event()

    def never(_: Request, __: int) -> Reply:
        finished.wait(PATIENCE_SECONDS)
        return ME

    with host(never) as pipedrive:
        with pytest.raises(Unreachable, match="no answer within the time-out"):
            connect(pipedrive.url, timeout=0.05, retries=Retries(attempts=2)).account()
        finished.set()


class TestRateLimits:
    def refused(self, **headers: str) -> Reply:
        body = {"success": False, "error": "request over limit", "errorCode": 429}
        return Reply(body, 429, {name.replace("_", "-"): text for name, text in headers.items()})

    @pytest.mark.parametrize(
        ("headers", "told"),
        [
            ({"retry_after": "7"}, 7),
            ({"retry_after": "7", "x_ratelimit_reset": "2"}, 7),
            ({"retry_after": "86400", "x_ratelimit_reset": "2"}, 2),
            ({"retry_after": "soon", "x_ratelimit_reset": "2"}, 2),
            ({"x_ratelimit_reset": "2"}, 2),
            ({"x_ratelimit_reset": "-2"}, 1),
            ({}, 1),
        ],
    )
    def test_a_429_waits_as_long_as_requested(
        self, connect: Connect, clock: FakeClock, headers: dict[str, str], told: float
    ) -> None:
        with host([self.refused(**headers), ME]) as pipedrive:
            client = connect(pipedrive.url)
            client.account()
        assert told <= sum(clock.waits) <= told + 0.6
        assert client.usage.requests == 2
        assert client.usage.tokens_used == 2

    def test_a_429_delays_everyone_using_the_credential(self, connect: Connect, clock: FakeClock) -> None:
        times: list[float] = []

        def once(_: Request, number: int) -> Reply:
            times.append(clock.time)
            return self.refused(retry_after="9") if number == 0 else ME

        with host(once) as pipedrive:
            first, second = connect(pipedrive.url), connect(pipedrive.url)
            first.account()
            before = clock.time
            second.account()
        assert times[1] - times[0] >= 9
        assert clock.time == before

    def test_another_credential_does_not_wait(self, connect: Connect, clock: FakeClock) -> None:
        with host(
            lambda request, _: self.refused() if request.headers["x-api-token"] == "one" else ME
        ) as pipedrive:
            with pytest.raises(e.DailyBudgetSpent):
                connect(pipedrive.url, "one").account()
            clock.waits.clear()
            connect(pipedrive.url, "two").account()
        assert clock.waits == []

    def test_waits_grow_while_429s_go_on(self, connect: Connect, clock: FakeClock) -> None:
        with host([self.refused()] * 4 + [ME]) as pipedrive:
            connect(pipedrive.url).account()
        assert [round(wait - 0.25) for wait in clock.waits] == [1, 2, 4, 8]

    def test_a_spent_daily_budget_stops_at_once(self, connect: Connect, clock: FakeClock) -> None:
        spent = self.refused(
            x_daily_ratelimit_token_remaining="0", x_daily_ratelimit_token_limit="30000", retry_after="5"
        )
        with host([spent]) as pipedrive:
            client = connect(pipedrive.url)
            with pytest.raises(e.DailyBudgetSpent, match=r"of 30000 tokens.*midnight") as stop:
                client.account()
        assert not stop.value.permanent
        assert not isinstance(stop.value, TransientError)
        assert len(pipedrive.requests) == 1
        assert clock.waits == []
        assert client.usage.daily_remaining == 0
        assert client.usage.tokens_used == 0

    def test_lasting_429s_count_as_a_spent_daily_budget(self, connect: Connect, clock: FakeClock) -> None:
        start = clock.time
        with host([self.refused(retry_after="2")]) as pipedrive, pytest.raises(e.DailyBudgetSpent):
            connect(pipedrive.url).account()
        assert 60 < clock.time - start < 120
        assert len(pipedrive.requests) < 10


class TestCloudflare:
    def test_a_block_stops_every_client_of_the_credential(self, connect: Connect, clock: FakeClock) -> None:
        with host([ME, CLOUDFLARE]) as pipedrive:
            blocked, other = connect(pipedrive.url), connect(pipedrive.url)
            other.account()
            with pytest.raises(e.CloudflareBlocked, match=r"GET /api/v2/personFields.*an hour"):
                blocked.person_fields()
            for client in (blocked, other, connect(pipedrive.url)):
                with pytest.raises(e.CloudflareBlocked) as again:
                    client.account()
                assert again.value.permanent
            assert len(pipedrive.requests) == 2
        assert clock.waits == []

    def test_a_block_ends_the_current_walk(self, connect: Connect) -> None:
        with host([listed([{"id": 1}], "next"), CLOUDFLARE]) as pipedrive:
            walk = connect(pipedrive.url).walk_persons()
            next(walk)
            with pytest.raises(e.CloudflareBlocked):
                next(walk)
        assert len(pipedrive.requests) == 2

    def test_a_block_ends_after_an_hour(self, connect: Connect, clock: FakeClock) -> None:
        with host([CLOUDFLARE, ME]) as pipedrive:
            client = connect(pipedrive.url)
            with pytest.raises(e.CloudflareBlocked):
                client.account()
            clock.time += 3600
            client.account()


def test_closing_the_walk_ends_a_real_wait() -> None:
    """On the real clock: a consumer that stops does not sit out the minute that a 429 asked for."""
    refused = threading.Event()
    sat_out: list[float] = []

    class Watched(Clock):
        def wait(self, seconds: float, stop: threading.Event) -> None:
            super().wait(seconds, stop)
            sat_out.append(seconds)

    def answer(_: Request, number: int) -> Reply:
        if number == 0:
            return listed([{"id": 1}], "next")
        refused.set()
        return Reply({}, 429, {"retry-after": "60"})

    with (
        host(answer) as pipedrive,
        PipedriveClient(pipedrive.url, ApiToken("t"), budgets=Budgets(Watched())) as client,
    ):
        walk = client.walk_persons()
        next(walk)
        assert refused.wait(PATIENCE_SECONDS)
        _close(walk)
    assert not [seconds for seconds in sat_out if seconds > 30]
    wait_for_end_of_threads("pipedrive-walk")


def _close(walk: Any) -> None:
    close: Callable[[], None] = walk.close
    close()
