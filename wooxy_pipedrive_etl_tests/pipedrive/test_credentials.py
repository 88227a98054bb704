from __future__ import annotations

import logging

import httpx
import pytest

from wooxy_pipedrive_etl.http_api.errors import ServerError
from wooxy_pipedrive_etl.pipedrive import ApiToken, BearerTokens, PipedriveClient
from wooxy_pipedrive_etl.pipedrive.budget import Budgets
from wooxy_pipedrive_etl.pipedrive.errors import InvalidToken
from wooxy_pipedrive_etl_tests.http_api.scripted import Reply, Request, host

ME = Reply({"success": True, "data": {"id": 9, "name": "Bot", "company_id": 777, "access": []}})


class Renewing:
    """Tokens that are renewed whenever one is refused, until the last."""

    def __init__(self, *tokens: str) -> None:
        self.tokens = list(tokens)

    def current(self, refused: str | None) -> str:
        if refused == self.tokens[0] and len(self.tokens) > 1:
            del self.tokens[0]
        return self.tokens[0]


def unauthorized(request: Request) -> Reply:
    return Reply({"success": False, "error": f"no access for {request.headers['authorization']}"}, 401)


def test_a_token_is_never_shown() -> None:
    token = ApiToken("hunter2")
    assert "hunter2" not in f"{token} {token!r} {token.fingerprint} {[token]}"


@pytest.mark.parametrize(
    "secret", ["", " ", "hunter2\n", "hunter 2", "hunter2\u200b", "hünter2", "hunter2\0"]
)
def test_an_unsendable_token_is_refused_without_showing_it(secret: str) -> None:
    with pytest.raises(InvalidToken) as refusal:
        ApiToken(secret)
    assert "unter" not in str(refusal.value)


def test_a_refused_access_token_is_replaced(budgets: Budgets) -> None:
    def answer(request: Request, _: int) -> Reply:
        return ME if request.headers["authorization"] == "Bearer second" else unauthorized(request)

    tokens = BearerTokens(Renewing("first", "second").current, "1/9")
    with host(answer) as pipedrive, PipedriveClient(pipedrive.url, tokens, budgets=budgets) as client:
        client.account()
        client.account()
        usage = client.usage
    sent = [request.headers["authorization"] for request in pipedrive.requests]
    assert sent == ["Bearer first", "Bearer second", "Bearer second"]
    assert not any("x-api-token" in request.headers for request in pipedrive.requests)
    # The refused one counts as a request and costs nothing.
    assert (usage.requests, usage.tokens_used) == (3, 4)


@pytest.mark.parametrize("renewals", [("first",), ("first", "second", "third")])
def test_a_second_refusal_fails_without_showing_tokens(
    budgets: Budgets, caplog: pytest.LogCaptureFixture, renewals: tuple[str, ...]
) -> None:
    caplog.set_level(logging.DEBUG)
    tokens = BearerTokens(Renewing(*(f"hunter-{each}" for each in renewals)).current, "1/9")
    with (
        host(lambda request, _: unauthorized(request)) as pipedrive,
        PipedriveClient(pipedrive.url, tokens, budgets=budgets) as client,
        pytest.raises(InvalidToken, match=r"401, .*: reconnect the account\.$") as failure,
    ):
        client.account()
    assert len(pipedrive.requests) == min(2, len(renewals))
    shown = f"{failure.value} {caplog.text} {tokens} {tokens!r} {tokens.fingerprint} {vars(client)}"
    assert "hunter-" not in shown


def test_a_former_token_is_hidden_too(budgets: Budgets) -> None:
    tokens = BearerTokens(Renewing("hunter-1", "hunter-2").current, "1/9")
    refused = httpx.Request("GET", "https://acme.pipedrive.com", headers={"authorization": "Bearer hunter-1"})
    next(tokens.auth_flow(httpx.Request("GET", "https://acme.pipedrive.com")))
    assert tokens.renew(refused)
    assert tokens.hide_in("hunter-1 and hunter-2") == "*** and ***"


def test_a_failed_renewal_raises_its_own_error(budgets: Budgets) -> None:
    def broken(refused: str | None) -> str:
        if refused is None:
            return "first"
        raise ServerError("The OAuth host is away.")

    with (
        host(lambda request, _: unauthorized(request)) as pipedrive,
        PipedriveClient(pipedrive.url, BearerTokens(broken, "1/9"), budgets=budgets) as client,
        pytest.raises(ServerError, match="is away"),
    ):
        client.account()
    assert len(pipedrive.requests) == 1


def test_tokens_of_one_user_share_a_larger_budget(budgets: Budgets) -> None:
    url = "https://acme.pipedrive.com"
    first, renewed = (BearerTokens(Renewing(token).current, "1/9") for token in ("first", "second"))
    other = BearerTokens(Renewing("first").current, "1/8")
    assert budgets.of(url, first) is budgets.of(url, renewed)
    assert budgets.of(url, first) is not budgets.of(url, other)
    places = {credentials: _places(budgets, url, credentials) for credentials in (first, ApiToken("t"))}
    assert list(places.values()) == [80, 20]


def _places(budgets: Budgets, url: str, credentials: BearerTokens | ApiToken) -> int:
    """How many requests can be sent before one has to wait."""
    budget, count = budgets.of(url, credentials), 0
    while isinstance(budget.pace._take(), int):
        count += 1
    return count
