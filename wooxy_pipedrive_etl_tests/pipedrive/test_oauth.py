"""The app at Pipedrive's OAuth host: codes and refresh tokens against the sandbox, odd answers from a script."""

from __future__ import annotations

import base64
import logging
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from wooxy_pipedrive_etl.http_api.errors import (
    ApiError,
    BrokenAnswer,
    InvalidApiUrl,
    ServerError,
    TransientError,
    Unreachable,
)
from wooxy_pipedrive_etl.pipedrive import BearerTokens, Grant, OAuthApp, PipedriveClient
from wooxy_pipedrive_etl.pipedrive import errors as e
from wooxy_pipedrive_etl.pipedrive.budget import PROCESS_BUDGETS
from wooxy_pipedrive_etl.sandbox.pipedrive import Account, SandboxServer
from wooxy_pipedrive_etl_tests.consent import allow, register
from wooxy_pipedrive_etl_tests.http_api.fake_clock import FakeClock
from wooxy_pipedrive_etl_tests.http_api.scripted import Reply, Request, host

SECRET, CODE, REFRESH = "the-client-secret", "the-one-code", "1:1:the-refresh-token"
GRANT: dict[str, Any] = {
    "access_token": "v1u:" + "a" * 800,
    "token_type": "Bearer",
    "refresh_token": REFRESH,
    "scope": "base,contacts:read",
    "expires_in": 3599,
    "api_domain": "https://example.pipedrive.com",
}


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    clock = FakeClock()
    monkeypatch.setattr(PROCESS_BUDGETS, "clock", clock)
    return clock


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxServer]:
    with SandboxServer(Account()) as server:
        yield server


@pytest.fixture
def app(server: SandboxServer) -> Iterator[OAuthApp]:
    yield register(server)
    server.account.clock = lambda: datetime.now(UTC)
    server.oauth.revoke_all()
    server.clear_requests()


def named(url: str) -> OAuthApp:
    return OAuthApp("id-1", SECRET, "https://sync.example.com/oauth/pipedrive/callback", url)


def refused(status: int, code: str, **more: str) -> Reply:
    return Reply(
        {"success": False, "message": f"{code} {REFRESH} {CODE} {SECRET}", "error": code, **more}, status
    )


def works(grant: Grant) -> bool:
    tokens = BearerTokens(lambda refused: grant.access_token, "someone")
    with PipedriveClient(grant.api_url, tokens) as client:
        try:
            return client.account().company_id == 777
        except e.InvalidToken:
            return False


def test_the_consent_url_carries_the_state(app: OAuthApp) -> None:
    url = urlsplit(app.authorize_url("a state/&"))
    assert url.path == "/oauth/authorize"
    assert parse_qs(url.query) == {
        "client_id": [app.client_id],
        "redirect_uri": [app.redirect_uri],
        "state": ["a state/&"],
    }


def test_a_code_becomes_a_working_grant(server: SandboxServer, app: OAuthApp) -> None:
    before = datetime.now(UTC)
    grant = app.exchange(allow(server, app))
    assert works(grant)
    assert grant.scopes == {"base", "contacts:read", "users:read", "admin"}
    assert grant.api_url == server.url
    assert before + timedelta(seconds=3599) <= grant.expires_at <= datetime.now(UTC) + timedelta(seconds=3599)


def test_a_code_works_once_within_five_minutes(server: SandboxServer, app: OAuthApp) -> None:
    code, late = allow(server, app), allow(server, app)
    app.exchange(code)
    with pytest.raises(e.GrantRefused, match=r"used up, expired or revoked; reconnect the account\.$"):
        app.exchange(code)
    server.account.clock = lambda: datetime.now(UTC) + timedelta(minutes=5)
    with pytest.raises(e.GrantRefused):
        app.exchange(late)


def test_a_refresh_token_works_until_revoked(server: SandboxServer, app: OAuthApp) -> None:
    grant = app.exchange(allow(server, app))
    renewed = app.refresh(grant.refresh_token)
    assert renewed.access_token != grant.access_token
    assert (renewed.refresh_token, renewed.scopes) == (grant.refresh_token, grant.scopes)
    assert works(renewed)
    app.revoke(grant.refresh_token)
    app.revoke(grant.refresh_token)
    assert not works(renewed)
    with pytest.raises(e.GrantRefused):
        app.refresh(grant.refresh_token)


def test_a_wrong_app_secret_is_reported(server: SandboxServer, app: OAuthApp) -> None:
    wrong = OAuthApp(app.client_id, "wrong", app.redirect_uri, app.oauth_url)
    asked: list[Callable[[], object]] = [
        lambda: wrong.exchange(allow(server, app)),
        lambda: wrong.refresh("any"),
        lambda: wrong.revoke("any"),
    ]
    for ask in asked:
        with pytest.raises(e.InvalidApp, match=r'401, "invalid_client.*check the client ID'):
            ask()


@pytest.mark.parametrize("ask", ["exchange", "refresh"])
@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (refused(400, "invalid_grant"), e.GrantRefused),
        (refused(400, "invalid_request"), e.InvalidApp),
        (refused(401, "invalid_client"), e.InvalidApp),
        (refused(503, "invalid_grant"), ServerError),
        (refused(429, "slow_down"), ServerError),
        (Reply(b"<html>", 403), e.InvalidApp),
        (Reply(b"", 302, {"location": "https://elsewhere.example"}), e.InvalidApp),
        (Reply([SECRET], 400), e.InvalidApp),
        (Reply(b"\xff", 200), BrokenAnswer),
        (Reply({**GRANT, "access_token": None}), BrokenAnswer),
        (Reply({**GRANT, "access_token": f"{REFRESH} "}), BrokenAnswer),
        (Reply({**GRANT, "refresh_token": ""}), BrokenAnswer),
        (Reply({**GRANT, "expires_in": REFRESH}), BrokenAnswer),
        (Reply({**GRANT, "api_domain": "http://example.com"}), BrokenAnswer),
        (Reply({**GRANT, "api_domain": f"https://{REFRESH}@example.com"}), BrokenAnswer),
    ],
)
def test_each_refusal_becomes_an_error_without_secrets(
    ask: str, reply: Reply, error: type[ApiError], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with host([reply]) as pipedrive, pytest.raises(error) as failure:
        getattr(named(pipedrive.url), ask)({"exchange": CODE, "refresh": REFRESH}[ask])
    # Using a code twice would look like theft.
    tries = 3 if issubclass(error, TransientError) and ask == "refresh" else 1
    assert len(pipedrive.requests) == tries
    told = f"{failure.value!r} {failure.value.__cause__!r} {caplog.text}"
    basic = pipedrive.requests[0].headers["authorization"].removeprefix("Basic ")
    sent = CODE if ask == "exchange" else REFRESH
    assert not [secret for secret in (SECRET, sent, basic) if secret in told]


def test_requests_are_forms_with_the_apps_credentials() -> None:
    with host([Reply(GRANT)]) as pipedrive:
        app = named(pipedrive.url)
        app.exchange(CODE)
        app.refresh(REFRESH)
        app.revoke(REFRESH)
    forms = [parse_qs(request.body.decode()) for request in pipedrive.requests]
    assert forms == [
        {"grant_type": ["authorization_code"], "code": [CODE], "redirect_uri": [app.redirect_uri]},
        {"grant_type": ["refresh_token"], "refresh_token": [REFRESH]},
        {"token": [REFRESH], "token_type_hint": ["refresh_token"]},
    ]
    for request in pipedrive.requests:
        assert request.method == "POST"
        assert request.headers["content-type"] == "application/x-www-form-urlencoded"
        assert (
            request.headers["authorization"]
            == f"Basic {base64.b64encode(f'id-1:{SECRET}'.encode()).decode()}"
        )


def test_a_renewal_is_retried_after_transient_errors(waits: FakeClock) -> None:
    def answer(_: Request, number: int) -> Reply:
        return Reply(GRANT) if number == 2 else [Reply({}, 500), Reply(GRANT, cut=1)][number]

    with host(answer) as pipedrive:
        assert named(pipedrive.url).refresh(REFRESH).refresh_token == REFRESH
    assert len(pipedrive.requests) == 3
    assert len(waits.waits) == 2


def test_a_host_without_a_server_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(Unreachable, match="try again later"):
        named(url).exchange(CODE)


def test_absurd_lifetimes_are_not_trusted() -> None:
    for expires_in, longest in ((10**15, timedelta(days=1)), (-(10**15), timedelta())):
        with host([Reply({**GRANT, "expires_in": expires_in})]) as pipedrive:
            grant = named(pipedrive.url).refresh(REFRESH)
        assert grant.expires_at <= datetime.now(UTC) + longest


def test_only_the_apps_secret_authenticates_pipedrives_call() -> None:
    app = named("https://oauth.pipedrive.com")
    right = base64.b64encode(f"id-1:{SECRET}".encode()).decode()
    assert app.is_pipedrive(f"Basic {right}")
    assert app.is_pipedrive(f"basic  {right}")
    for wrong in (
        "",
        "Basic",
        "Basic ",
        f"Bearer {right}",
        right,
        f"Basic {right[:-4]}",
        "Basic ÿ",
        f"Basic {SECRET}",
    ):
        assert not app.is_pipedrive(wrong)


def test_credentials_are_never_sent_without_tls() -> None:
    with pytest.raises(InvalidApiUrl, match="in the clear"):
        named("http://oauth.pipedrive.com")


def test_neither_app_nor_grant_shows_a_secret() -> None:
    with host([Reply(GRANT)]) as pipedrive:
        app = named(pipedrive.url)
        grant = app.refresh(REFRESH)
    shown = f"{app!r} {app} {grant!r} {grant} {[app, grant]}"
    assert SECRET not in shown
    assert REFRESH not in shown
    assert grant.access_token not in shown
