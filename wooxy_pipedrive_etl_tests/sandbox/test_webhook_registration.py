"""`/api/v1/webhooks`: creating webhooks, what is refused, and removing them."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

import pytest

from wooxy_pipedrive_etl.sandbox.pipedrive import Account, Behaviours
from wooxy_pipedrive_etl.sandbox.pipedrive.deliveries import Webhook
from wooxy_pipedrive_etl.sandbox.pipedrive.subscriptions import Subscription

from .receiver import Receiver
from .served import Served

Serve = Callable[..., Served]
PATH = "/api/v1/webhooks"


def asked(url: str, **changed: Any) -> dict[str, Any]:
    body = {"subscription_url": url, "event_action": "*", "event_object": "person", "name": "Sync"}
    return {name: value for name, value in {**body, **changed}.items() if value is not ...}


def test_a_webhook_is_created_listed_and_deleted(serve: Serve, account: Account, receiver: Receiver) -> None:
    served = serve(account)
    other = account.add_user("Other")
    body = asked(
        receiver.url,
        event_action="change",
        version="2.0",
        user_id=other,
        http_auth_user="pd",
        http_auth_password="secret",
    )
    response = served.call("POST", PATH, json=body)
    assert response.status_code == 201
    webhook = {
        "id": 4710,
        "company_id": 777,
        "owner_id": account.token_owner_id,
        "user_id": other,
        "event_action": "change",
        "event_object": "person",
        "subscription_url": receiver.url,
        "version": "2.0",
        "is_active": 1,
        "add_time": "2026-03-01T12:00:00.000Z",
        "remove_time": None,
        "type": "general",
        "http_auth_user": "pd",
        "http_auth_password": "secret",
        "remove_reason": None,
        "last_delivery_time": None,
        "last_http_status": None,
        "admin_id": account.token_owner_id,
        "name": "Sync",
    }
    assert response.json() == {"status": "ok", "success": True, "data": webhook}
    second = served.call("POST", "/v1/webhooks", json=asked(receiver.url)).json()["data"]
    assert (second["id"], second["user_id"], second["version"]) == (4711, account.token_owner_id, "2.0")
    assert second["http_auth_user"] is None
    listed = {"status": "ok", "success": True, "data": [webhook, second]}
    assert served.get(PATH).json() == served.get("/v1/webhooks").json() == listed
    gone = served.call("DELETE", f"{PATH}/4710")
    assert (gone.status_code, gone.json()) == (200, {"status": "ok", "success": True})
    assert served.data(PATH) == [second]
    assert [(each.method, each.tokens) for each in served.server.requests] == [
        ("POST", 10), ("POST", 10), ("GET", 10), ("GET", 10), ("DELETE", 6), ("GET", 10),
    ]  # fmt: skip
    # Creating a webhook does not call it: nothing was sent.
    assert receiver.received == []


@pytest.mark.parametrize("webhook_id", ["4711", "0", "x"])
def test_an_unknown_webhook_is_not_found(serve: Serve, receiver: Receiver, webhook_id: str) -> None:
    served = serve()
    served.subscribe(receiver.url)
    response = served.call("DELETE", f"{PATH}/{webhook_id}")
    assert response.status_code == 404
    assert response.json() == {"status": "error", "success": False, "errors": {"id": ["not found"]}}
    assert len(served.data(PATH)) == 1


@pytest.mark.parametrize(
    ("changed", "member"),
    [
        ({"subscription_url": ...}, "subscription_url"),
        ({"event_action": ...}, "event_action"),
        ({"event_object": ...}, "event_object"),
        ({"name": ...}, "name"),
        ({"name": ""}, "name"),
        ({"name": "n" * 256}, "name"),
        ({"event_action": "updated"}, "event_action"),
        ({"event_action": None}, "event_action"),
        ({"event_action": ["*"]}, "event_action"),
        ({"event_object": "personField"}, "event_object"),
        ({"version": "1.0"}, "version"),
        ({"version": 2}, "version"),
        ({"user_id": 1}, "user_id"),
        ({"user_id": "9001"}, "user_id"),
        ({"http_auth_user": 1}, "http_auth_user"),
        ({"http_auth_password": {}}, "http_auth_password"),
        ({"http_auth_password": "half \ud83d"}, "http_auth_password"),
        ({"active": True}, "active"),
    ],
)
def test_a_wrong_member_is_named(
    serve: Serve, receiver: Receiver, changed: dict[str, Any], member: str
) -> None:
    served = serve()
    response = served.call("POST", PATH, content=json.dumps(asked(receiver.url, **changed)))
    assert response.status_code == 400
    body = response.json()
    assert (body["status"], body["success"], list(body["errors"])) == ("error", False, [member])
    assert isinstance(body["errors"][member][0], str)
    assert served.data(PATH) == []


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '"text"', "event_action=*"])
def test_a_body_must_be_an_object(serve: Serve, content: str) -> None:
    response = serve().call("POST", PATH, content=content)
    assert response.status_code == 400
    assert list(response.json()["errors"]) == ["body"]


def test_every_wrong_member_is_named_at_once(serve: Serve) -> None:
    response = serve().call("POST", PATH, json={"event_action": "added", "color": "red"})
    assert set(response.json()["errors"]) == {
        "subscription_url",
        "event_action",
        "event_object",
        "name",
        "color",
    }


@pytest.mark.parametrize(
    "url",
    [
        "",
        "pipedrive",
        "/pipedrive",
        "ftp://127.0.0.1/",
        "http://sync.example.fi/",
        "http://192.0.2.1/",
        "http://127.0.0.1:0/",
        "http://127.0.0.1:99999/",
        "http://user:password@127.0.0.1:{port}/",
        "https://api.pipedrive.com/v1/webhooks",
        "https://example.pipedrive.com/",
        "http://127.0.0.1:{own}/api/v1/webhooks",
        "http://localhost:{own}/",
        "https://no-such-host.invalid/",
        "https://" + "l" * 64 + ".example/",
        "https://half\ud83d.example/",
        "http://127.0.0.1:{closed}/",
        "https://127.0.0.1:{closed}/",
        17,
        None,
    ],
)
def test_a_url_that_cannot_be_used_is_refused(serve: Serve, receiver: Receiver, url: Any) -> None:
    served = serve()
    with socket.socket() as closed:
        # Bound, but not listening.
        closed.bind(("127.0.0.1", 0))
        if isinstance(url, str):
            url = url.format(port=receiver.port, own=served.server.port, closed=closed.getsockname()[1])
        response = served.call("POST", PATH, content=json.dumps(asked(url)))
    assert response.status_code == 400
    assert response.json() == {
        "status": "error",
        "success": False,
        "errors": {"subscription_url": ["invalid or non-reachable URL"]},
    }


def test_https_or_localhost_urls_with_a_listener_work(serve: Serve, receiver: Receiver) -> None:
    served = serve()
    served.subscribe(f"https://127.0.0.1:{receiver.port}/")
    served.subscribe(f"http://localhost:{receiver.port}/")


def test_the_url_check_can_request_or_be_skipped(serve: Serve, receiver: Receiver) -> None:
    served = serve(behaviours=Behaviours(webhook_url_check="request"))
    receiver.answers.append(302)
    assert served.call("POST", PATH, json=asked(receiver.url)).status_code == 400
    receiver.answers.append(405)
    served.subscribe(receiver.url)
    served.account.behaviours = Behaviours(webhook_url_check="none")
    served.subscribe("https://nowhere.example/")


def test_a_user_has_forty_webhooks_at_most(serve: Serve, receiver: Receiver) -> None:
    served = serve()
    for _ in range(40):
        served.subscribe(receiver.url)
    response = served.call("POST", PATH, json=asked(receiver.url))
    assert response.status_code == 422
    assert (response.json()["status"], response.json()["success"]) == ("error", False)
    served.subscribe(receiver.url, user_id=served.account.add_user("Other"))
    served.call("DELETE", f"{PATH}/4710")
    served.subscribe(receiver.url)
    assert len(served.data(PATH)) == 41


def test_other_methods_are_not_allowed(serve: Serve) -> None:
    served = serve()
    response = served.call("PATCH", PATH)
    assert (response.status_code, response.headers["allow"]) == (405, "GET, POST")
    response = served.call("GET", f"{PATH}/4710")
    assert (response.status_code, response.headers["allow"]) == (405, "DELETE")
    assert served.http.post(served.server.url + PATH).status_code == 401
    assert served.server.tokens_used == 0


def test_the_password_is_never_shown(serve: Serve, receiver: Receiver) -> None:
    served = serve()
    served.subscribe(receiver.url, http_auth_user="pd", http_auth_password="very-secret")
    assert "very-secret" not in served.control("GET", "/webhooks").text
    asked = Subscription(receiver.url, "*", "person", "Sync", 9001, "2.0", "pd", "very-secret")
    assert "very-secret" not in repr(Webhook(1, asked, 9001, False, "2026-03-01T12:00:00.000Z"))
