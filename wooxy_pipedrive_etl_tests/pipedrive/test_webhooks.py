"""An account's webhooks: what is sent, what is retried, and which odd lists do no harm."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from wooxy_pipedrive_etl.http_api.errors import ApiError, BrokenAnswer, OutcomeUnknown, Unreachable
from wooxy_pipedrive_etl.http_api.retries import Retries
from wooxy_pipedrive_etl.pipedrive import PipedriveClient, Webhook
from wooxy_pipedrive_etl.pipedrive import errors as e
from wooxy_pipedrive_etl.sandbox.pipedrive import Account, Behaviours, SandboxServer
from wooxy_pipedrive_etl_tests.http_api.fake_clock import FakeClock
from wooxy_pipedrive_etl_tests.http_api.scripted import Reply, Request, host

from .conftest import Connect

PATH = "/api/v1/webhooks"
URL = "https://sync.example.fi/pipedrive"
PASSWORD = "a-secret-password"


def element(webhook_id: int = 4710, **values: Any) -> dict[str, Any]:
    """As in section 3.3 of the reference."""
    return {
        "id": webhook_id,
        "company_id": 777,
        "owner_id": 9001,
        "user_id": 9001,
        "event_action": "*",
        "event_object": "person",
        "subscription_url": URL,
        "version": "2.0",
        "is_active": 1,
        "add_time": "2026-11-20T08:00:00.000Z",
        "remove_time": None,
        "type": "general",
        "http_auth_user": "pd",
        "http_auth_password": PASSWORD,
        "remove_reason": None,
        "last_delivery_time": None,
        "last_http_status": None,
        "admin_id": 9001,
        "name": "contact sync",
        **values,
    }


def listing(*elements: Any) -> Reply:
    return Reply({"status": "ok", "success": True, "data": list(elements)})


def made(**values: Any) -> Reply:
    return Reply({"status": "ok", "success": True, "data": element(**values)}, 201)


def refused(status: int, **body: Any) -> Reply:
    return Reply({"status": "error", "success": False, **body}, status)


def create(client: PipedriveClient, before: set[int] | None = None) -> Webhook:
    return client.create_webhook(
        url=URL, name="contact sync", user="pd", password=PASSWORD, before=before or set()
    )


def test_what_a_registration_sends(connect: Connect) -> None:
    with host([made()]) as pipedrive:
        client = connect(pipedrive.url)
        webhook = create(client)
    (request,) = pipedrive.requests
    assert (request.method, request.path, request.query) == ("POST", PATH, {})
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.body) == {
        "subscription_url": URL,
        "event_object": "person",
        "event_action": "*",
        "name": "contact sync",
        "version": "2.0",
        "http_auth_user": "pd",
        "http_auth_password": PASSWORD,
    }
    assert (webhook.id, webhook.url, webhook.active) == (4710, URL, True)
    assert PASSWORD not in repr(webhook)
    assert client.usage.tokens_used == 10


def test_the_life_of_a_webhook_in_an_account(connect: Connect) -> None:
    behaviours = Behaviours(webhook_url_check="none")
    with SandboxServer(Account(), behaviours=behaviours) as server:
        client = connect(server.url, server.account.token)
        url = "http://127.0.0.1:1/pipedrive"
        webhook = client.create_webhook(url=url, name="x", user="pd", password=PASSWORD, before=set())
        assert client.webhooks() == [webhook]
        assert (webhook.user, webhook.password) == ("pd", PASSWORD)
        client.delete_webhook(webhook.id)
        client.delete_webhook(webhook.id)
        assert client.webhooks() == []
        assert client.usage.tokens_used == server.tokens_used == 10 + 10 + 6 + 6 + 10


def test_a_list_with_malformed_elements(connect: Connect) -> None:
    odd: list[Any] = [None, 7, "x", [], {}, {"id": 1}, element(True), element(5, subscription_url=None)]
    odd.append(element() | {"id": "4"})
    rest = {"name": None, "version": 2.0, "http_auth_user": 7, "http_auth_password": None}
    with host([listing(*odd, element(), element(6, **rest))]) as pipedrive:
        whole, other = connect(pipedrive.url).webhooks()
    assert whole.id == 4710
    assert (other.name, other.version) == ("", "2.0")
    assert (other.user, other.password) == (None, None)


@pytest.mark.parametrize("data", [None, []])
def test_no_webhooks(connect: Connect, data: Any) -> None:
    with host([Reply({"success": True, "data": data})]) as pipedrive:
        assert connect(pipedrive.url).webhooks() == []


@pytest.mark.parametrize(
    ("values", "active"),
    [
        ({"is_active": 1}, True),
        ({"is_active": True}, True),
        ({"is_active": 0}, False),
        ({"is_active": False}, False),
        ({"is_active": 1, "remove_time": "2026-11-20T08:00:00.000Z"}, False),
    ],
)
def test_whether_it_is_active(connect: Connect, values: dict[str, Any], active: bool) -> None:
    with host([listing(element(**values))]) as pipedrive:
        (webhook,) = connect(pipedrive.url).webhooks()
    assert webhook.active is active


@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        (
            refused(400, errors={"subscription_url": ["invalid or non-reachable URL"]}),
            e.NotAccepted,
            "invalid or non-reachable URL.*give a public https URL",
        ),
        (refused(422, errors={"x": ["limit reached"]}), e.NotAccepted, "limit reached.*may have 40"),
        (refused(403, message="Forbidden"), e.Forbidden, "Forbidden.*token of an admin"),
        (refused(403, error="Scope and URL mismatch"), e.MissingScope, "needs the scope admin"),
        (refused(401, error="unauthorized access", errorCode=401), e.InvalidToken, "unauthorized access"),
        (refused(400, error=f"bad password {PASSWORD}"), e.NotAccepted, r"bad password \*\*\*"),
        (refused(405), e.BadRequest, "report it"),
    ],
)
def test_permanent_errors_are_not_retried(
    connect: Connect, clock: FakeClock, reply: Reply, error: type[ApiError], words: str
) -> None:
    with host([reply]) as pipedrive, pytest.raises(error, match=words) as failure:
        create(connect(pipedrive.url))
    assert type(failure.value) is error
    assert "POST /api/v1/webhooks" in str(failure.value)
    assert PASSWORD not in str(failure.value)
    assert len(pipedrive.requests) == 1
    assert clock.waits == []


LOST = [Reply(b"", 502), Reply(b'{"success": true, "da', 200), Reply(b"", 201, cut=10), refused(500)]


@pytest.mark.parametrize("lost", LOST, ids=["502", "half", "cut", "500"])
def test_a_lost_answer_is_checked_before_retrying(connect: Connect, lost: Reply) -> None:
    known, other = element(1), element(2, subscription_url="https://sync.example.fi/other")
    with host([lost, listing(known, other, element(3))]) as pipedrive:
        webhook = create(connect(pipedrive.url), before={1, 2})
    assert webhook.id == 3
    assert [each.method for each in pipedrive.requests] == ["POST", "GET"]


def test_a_failed_creation_is_retried_a_few_times(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with host([Reply(b"", 502), listing(element(1)), made(webhook_id=2)]) as pipedrive:
        assert create(connect(pipedrive.url), before={1}).id == 2
    assert [each.method for each in pipedrive.requests] == ["POST", "GET", "POST"]

    def never(request: Request, _: int) -> Reply:
        return listing() if request.method == "GET" else Reply(b"", 502)

    with host(never) as pipedrive, pytest.raises(OutcomeUnknown, match="looks first") as failure:
        create(connect(pipedrive.url))
    assert [each.method for each in pipedrive.requests] == ["POST", "GET"] * 3
    assert not failure.value.permanent
    assert PASSWORD not in str(failure.value) + caplog.text


def test_requests_never_processed_are_safe_to_retry(connect: Connect, clock: FakeClock) -> None:
    """A 429 or a connection that was never made: the request cannot have had an effect."""
    with host([Reply({"success": False}, 429, {"retry-after": "2"}), made()]) as pipedrive:
        assert create(connect(pipedrive.url)).id == 4710
    assert [each.method for each in pipedrive.requests] == ["POST", "POST"]
    gone = pipedrive.url
    before = len(clock.waits)
    with pytest.raises(Unreachable, match="POST /api/v1/webhooks failed 3 times"):
        create(connect(gone, retries=Retries(attempts=3)))
    assert len(clock.waits) == before + 2


def test_deleting_is_retried(connect: Connect) -> None:
    replies = [Reply(b"", 502), Reply({"status": "ok", "success": True})]
    with host(replies) as pipedrive:
        connect(pipedrive.url).delete_webhook(4710)
    assert [(each.method, each.path) for each in pipedrive.requests] == [("DELETE", f"{PATH}/4710")] * 2


def test_deleting_a_missing_webhook_succeeds(connect: Connect) -> None:
    with host([refused(404, errors={"id": ["not found"]})]) as pipedrive:
        connect(pipedrive.url).delete_webhook(4710)
    assert len(pipedrive.requests) == 1


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (refused(403, message="Forbidden"), e.Forbidden),
        (Reply(b"<h1>Welcome", 200, {"content-type": "text/html"}), e.NotPipedrive),
        (Reply({"success": False}), BrokenAnswer),
        (Reply(b"<h1>nginx", 404, {"content-type": "text/html"}), e.NotPipedrive),
    ],
)
def test_a_failed_deletion_is_reported(connect: Connect, reply: Reply, error: type[ApiError]) -> None:
    with host([reply]) as pipedrive, pytest.raises(error):
        connect(pipedrive.url).delete_webhook(4710)
