"""OAuth as an app and a browser see it: consent, tokens and how they end, scopes, limits, and uninstalling."""

from __future__ import annotations

import base64
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from wooxy_pipedrive_etl.sandbox.pipedrive import (
    Account,
    Behaviours,
    Fault,
    InvalidValueError,
    Limits,
    OAuthApp,
    SandboxError,
    UnknownRecordError,
)

from .consent import APP, CALLBACK, LINK, Installing
from .receiver import Receiver
from .served import Clock, Served

Serve = Callable[..., Served]
ME = "/api/v1/users/me"
WEBHOOKS = "/api/v1/webhooks"
DAY = 86_400


@pytest.fixture
def installing(serve: Serve, account: Account) -> Installing:
    return Installing(serve(account))


def error(response: httpx.Response) -> tuple[int, str]:
    """The status and code of a token endpoint's error, which always has the same form."""
    body = response.json()
    assert body.keys() == {"success", "message", "error"}
    assert body["success"] is False
    return response.status_code, body["error"]


def is_unauthorized(response: httpx.Response) -> bool:
    return (response.status_code, response.headers.get("x-401-by-gw"), response.json()["errorCode"]) == (
        401, "true", 401,
    )  # fmt: skip


# Consent


class Page(HTMLParser):
    """What a browser would send from the page, and the page's full text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.forms: list[dict[str, str | None]] = []
        self.hidden: dict[str, str | None] = {}
        self.buttons: list[tuple[str | None, str | None]] = []
        self.text: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        if tag == "form":
            self.forms.append(given)
        if tag == "input":
            assert given["type"] == "hidden"
            self.hidden[str(given["name"])] = given["value"]
        if tag == "button":
            assert given["type"] == "submit"
            self.buttons.append((given["name"], given["value"]))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def consent_page(served: Served, **link: str) -> httpx.Response:
    return served.http.get(f"{served.server.url}/oauth/authorize", params={**LINK, **link})


def test_the_consent_page_names_app_and_scopes(installing: Installing) -> None:
    installing.set_scopes("contacts:read")
    response = consent_page(installing.served, response_type="code")
    page = Page(response.text)
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert {"title", "h1", "main", "form"} <= set(page.tags)
    assert "script" not in page.tags
    text = " ".join(page.text)
    for part in (
        "Wooxy",
        "Example Oy",
        "Sync Bot",
        "basic information",
        "Read people",
        "Allow and Install",
        "Cancel",
    ):
        assert part in text
    assert "Administer" not in text
    assert page.forms == [{"method": "post", "action": "/oauth/authorize"}]
    assert page.hidden == LINK
    assert page.buttons == [("decision", "allow"), ("decision", "deny")]
    allowed = installing.decide()
    assert allowed.status_code == 302
    location = httpx.URL(allowed.headers["location"])
    assert (str(location.copy_with(query=None)), list(location.params)) == (CALLBACK, ["code", "state"])
    assert location.params["state"] == "s-1"
    denied = installing.decide("deny").headers["location"]
    assert denied == f"{CALLBACK}?error=user_denied&state=s-1"


def test_names_are_escaped_on_the_page(serve: Serve, account: Account) -> None:
    account.company_name = "<script>alert(1)</script>"
    served = serve(account)
    served.server.oauth_app = OAuthApp("app-1", "s", CALLBACK, name='<img src="x">')
    page = Page(consent_page(served, state='"><script>').text)
    assert {"script", "img"}.isdisjoint(page.tags)
    assert page.hidden["state"] == '"><script>'


@pytest.mark.parametrize("state", [None, "", "a&b=c#d é%20+"])
def test_the_state_is_returned_unchanged(installing: Installing, state: str | None) -> None:
    form = {"client_id": APP.client_id, "redirect_uri": CALLBACK, "decision": "deny"}
    given = form if state is None else {**form, "state": state}
    served = installing.served
    location = served.http.post(f"{served.server.url}/oauth/authorize", data=given).headers["location"]
    assert httpx.URL(location).params.get("state") == state


def test_a_callback_keeps_its_query_string(serve: Serve, account: Account) -> None:
    installing = Installing(serve(account), OAuthApp("app-1", "s", f"{CALLBACK}?from=pipedrive"))
    location = installing.decide("deny").headers["location"]
    assert location == f"{CALLBACK}?from=pipedrive&error=user_denied&state=s-1"


@pytest.mark.parametrize(
    "wrong",
    [
        {"client_id": "app-2"},
        {"client_id": ""},
        {"redirect_uri": f"{CALLBACK}/"},
        {"redirect_uri": f"{CALLBACK}?a=b"},
        {"redirect_uri": "https://elsewhere.example/"},
        {"redirect_uri": ""},
        {"response_type": "token"},
        {"scope": ""},
    ],
)
def test_a_wrong_link_never_redirects(installing: Installing, wrong: dict[str, str]) -> None:
    for response in (consent_page(installing.served, **wrong), installing.decide(**wrong)):
        assert (response.status_code, response.has_redirect_location) == (400, False)
        assert Page(response.text).forms == []
        assert "elsewhere" not in response.text


@pytest.mark.parametrize("decision", ["", "maybe"])
def test_an_invalid_decision_is_refused(installing: Installing, decision: str) -> None:
    assert installing.decide(decision).status_code == 400


# Tokens


def test_a_code_is_exchanged_for_tokens(installing: Installing) -> None:
    response = installing.exchange(installing.code())
    assert (response.status_code, response.headers["cache-control"]) == (200, "no-store")
    tokens = response.json()
    assert len(tokens.pop("access_token")) >= 768
    assert tokens.pop("refresh_token").startswith("777:9001:")
    assert tokens == {
        "token_type": "Bearer",
        "scope": "base,contacts:read,users:read,admin",
        "expires_in": 3599,
        "api_domain": installing.served.server.url,
    }


@pytest.mark.parametrize(("seconds", "status"), [(299, 200), (300, 400)])
def test_a_code_lives_five_minutes(installing: Installing, clock: Clock, seconds: int, status: int) -> None:
    code = installing.code()
    clock.tick(seconds)
    assert installing.exchange(code).status_code == status


def test_reusing_a_code_revokes_only_its_tokens(installing: Installing) -> None:
    other, code = installing.tokens(), installing.code()
    tokens = installing.exchange(code).json()
    assert installing.status(tokens) == 200
    for _ in range(2):
        assert error(installing.exchange(code)) == (400, "invalid_grant")
        assert installing.status(tokens) == 401
        assert error(installing.refresh(tokens["refresh_token"])) == (400, "invalid_grant")
    assert installing.status(other) == 200


def test_a_refresh_keeps_the_old_access_token_valid(installing: Installing, clock: Clock) -> None:
    first = installing.tokens()
    clock.tick(1800)
    second = installing.refresh(first["refresh_token"]).json()
    assert second["refresh_token"] == first["refresh_token"]
    assert second["access_token"] != first["access_token"]
    assert second.keys() == first.keys()
    clock.tick(1799)
    assert [installing.status(each) for each in (first, second)] == [200, 200]
    clock.tick(1)
    assert [installing.status(each) for each in (first, second)] == [401, 200]
    clock.tick(1800)
    assert is_unauthorized(installing.call(second, ME))


def test_an_unused_refresh_token_expires_after_sixty_days(installing: Installing, clock: Clock) -> None:
    token = installing.tokens()["refresh_token"]
    for _ in range(2):
        clock.tick(60 * DAY - 1)
        assert installing.refresh(token).status_code == 200
    clock.tick(60 * DAY)
    assert error(installing.refresh(token)) == (400, "invalid_grant")


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({}, "invalid_request"),
        ({"grant_type": ""}, "invalid_request"),
        ({"grant_type": "client_credentials"}, "unsupported_grant_type"),
        ({"grant_type": "refresh_token"}, "invalid_request"),
        ({"grant_type": "refresh_token", "refresh_token": ""}, "invalid_request"),
        ({"grant_type": "refresh_token", "refresh_token": "777:9001:0"}, "invalid_grant"),
        ({"grant_type": "refresh_token", "refresh_token": ["a", "a"]}, "invalid_request"),
        ({"grant_type": "authorization_code", "code": "CODE"}, "invalid_request"),
        ({"grant_type": "authorization_code", "redirect_uri": CALLBACK}, "invalid_request"),
        ({"grant_type": "authorization_code", "code": "0", "redirect_uri": CALLBACK}, "invalid_grant"),
        ({"grant_type": "authorization_code", "code": "CODE", "redirect_uri": CALLBACK + "/"}, "invalid_grant"),
    ],
)  # fmt: skip
def test_a_wrong_request_for_tokens(installing: Installing, form: dict[str, Any], code: str) -> None:
    given = {**form, "code": installing.code()} if form.get("code") == "CODE" else form
    assert error(installing.post("token", **given)) == (400, code)


def test_tokens_can_only_be_requested_by_form(installing: Installing) -> None:
    form = {"grant_type": "authorization_code", "code": installing.code(), "redirect_uri": CALLBACK}
    url, auth = f"{installing.served.server.url}/oauth/token", (APP.client_id, APP.client_secret)
    http = installing.served.http
    assert error(http.post(url, json=form, auth=auth)) == (400, "invalid_request")
    assert error(http.post(url, params=form, auth=auth)) == (400, "invalid_request")
    plain: dict[str, Any] = {"content": urlencode(form), "headers": {"content-type": "text/plain"}}
    assert error(http.post(url, auth=auth, **plain)) == (400, "invalid_request")
    assert http.post(url, data=form, auth=auth).status_code == 200
    assert http.get(url, params=form, auth=auth).status_code == 405


@pytest.mark.parametrize("path", ["token", "revoke"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Basic " + base64.b64encode(b"app-1:wrong").decode()},
        {"authorization": "Basic " + base64.b64encode(b"app-2:app-secret").decode()},
        {"authorization": "Bearer app-secret"},
    ],
)
def test_only_the_app_gets_or_revokes_tokens(
    installing: Installing, path: str, headers: dict[str, str]
) -> None:
    refresh_token = installing.tokens()["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token, "token": refresh_token}
    # Credentials in the form are not accepted.
    form.update(client_id=APP.client_id, client_secret=APP.client_secret)
    url = f"{installing.served.server.url}/oauth/{path}"
    response = installing.served.http.post(url, data=form, headers=headers)
    assert error(response) == (401, "invalid_client")
    assert response.headers["www-authenticate"].startswith("Basic")
    assert installing.refresh(refresh_token).status_code == 200


def test_without_an_app_every_client_is_invalid(installing: Installing) -> None:
    installing.served.server.oauth_app = None
    for path in ("token", "revoke"):
        assert error(installing.post(path, token="t")) == (401, "invalid_client")
    page = consent_page(installing.served)
    assert (page.status_code, "invalid_client" in page.text) == (400, True)


def test_tokens_of_one_app_are_useless_to_another(installing: Installing) -> None:
    tokens, code = installing.tokens(), installing.code()
    other = Installing(installing.served, OAuthApp("app-2", "other-secret", CALLBACK))
    assert error(other.exchange(code)) == (400, "invalid_grant")
    assert error(other.refresh(tokens["refresh_token"])) == (400, "invalid_grant")
    for token in ("access_token", "refresh_token"):
        assert other.post("revoke", token=tokens[token]).status_code == 200
    assert installing.status(tokens) == 200


# The API with an access token


def test_an_access_token_acts_as_its_own_user(installing: Installing, account: Account) -> None:
    owner = account.token_owner_id
    other = account.token_owner_id = account.add_user("Other")
    tokens = installing.tokens()
    account.token_owner_id = owner
    me = installing.call(tokens, ME).json()["data"]
    assert (me["id"], me["is_you"], me["company_id"]) == (other, True, 777)
    users = installing.call(tokens, "/api/v1/users").json()["data"]
    assert [row["id"] for row in users if row["is_you"]] == [other]
    assert installing.served.data(ME)["id"] == owner


def test_a_token_in_the_wrong_place_is_refused(installing: Installing, account: Account) -> None:
    tokens = installing.tokens()
    url = installing.served.server.url + ME
    bearer = {"authorization": f"Bearer {tokens['access_token']}"}
    for headers in (
        {"authorization": f"Bearer {account.token}"},
        {"x-api-token": tokens["access_token"]},
        {"x-api-token": account.token, **bearer},
        {"authorization": f"Basic {tokens['access_token']}"},
        {"authorization": f"Bearer {tokens['refresh_token']}"},
        {"authorization": "Bearer"},
        {},
    ):
        assert is_unauthorized(installing.served.http.get(url, headers=headers))
    lower = {"authorization": f"bearer {tokens['access_token']}"}
    assert installing.served.http.get(url, headers=lower).status_code == 200


PATHS = {
    "base": [ME, "/v1/users/me"],
    "contacts:read": [
        "/api/v2/persons",
        "/api/v2/persons/1",
        "/api/v2/personFields",
        "/api/v2/personFields/name",
        "/api/v2/organizations",
        "/api/v2/organizations/1",
    ],
    "users:read": ["/api/v1/users"],
    "admin": [WEBHOOKS],
}


@pytest.mark.parametrize("scope", PATHS)
def test_each_endpoint_needs_its_scope(installing: Installing, scope: str) -> None:
    installing.set_scopes(scope)
    tokens = installing.tokens()
    assert tokens["scope"] == ",".join(dict.fromkeys(["base", scope]))
    for needed, paths in PATHS.items():
        for path in paths:
            response = installing.call(tokens, path)
            if needed in ("base", scope):
                assert response.status_code in (200, 404)
                continue
            assert response.status_code == 403
            assert response.json() == {
                "success": False,
                "error": "Scope and URL mismatch",
                "errorCode": 403,
                "error_info": "Please check developers.pipedrive.com",
            }
    for method, path in (("POST", WEBHOOKS), ("DELETE", f"{WEBHOOKS}/1")):
        assert (installing.call(tokens, path, method).status_code == 403) == (scope != "admin")


def test_scopes_stay_until_the_next_consent(installing: Installing) -> None:
    installing.set_scopes("base")
    code = installing.code()
    installing.set_scopes("base", "contacts:read")
    tokens = installing.exchange(code).json()
    again = installing.refresh(tokens["refresh_token"]).json()
    assert [each["scope"] for each in (tokens, again)] == ["base", "base"]
    assert installing.status(again, "/api/v2/persons") == 403
    newer = installing.tokens()
    assert newer["scope"] == "base,contacts:read"
    assert installing.status(newer, "/api/v2/persons") == 200
    assert installing.status(again, "/api/v2/persons") == 403


def test_each_grant_has_its_own_larger_burst(serve: Serve) -> None:
    installing = Installing(serve(limits=Limits(burst_per_2s=2), behaviours=Behaviours(html_403_after=1)))
    tokens, other = installing.tokens(), installing.tokens()
    statuses = [installing.call(tokens, ME) for _ in range(12)]
    assert [each.status_code for each in statuses] == [200] * 8 + [429] * 4
    assert {each.headers["x-ratelimit-limit"] for each in statuses} == {"8"}
    assert statuses[0].headers["x-ratelimit-remaining"] == "7"
    # Ignoring it locks out neither the caller nor anyone else.
    assert installing.status(other) == 200
    api_token = [installing.served.get(ME) for _ in range(4)]
    assert [each.status_code for each in api_token] == [200, 200, 429, 403]
    assert api_token[0].headers["x-ratelimit-limit"] == "2"
    assert installing.status(other) == 200


def test_the_daily_tokens_are_shared(serve: Serve) -> None:
    installing = Installing(serve(limits=Limits(daily_tokens=30)))
    tokens = installing.tokens()
    assert installing.served.get("/api/v2/persons").status_code == 200
    response = installing.call(tokens, "/api/v2/persons")
    assert response.headers["x-daily-ratelimit-token-remaining"] == "10"
    assert installing.status(tokens, "/api/v1/users") == 429
    assert installing.served.server.tokens_used == 30


# The end


def test_revoking_an_access_token_keeps_the_others(installing: Installing) -> None:
    first = installing.tokens()
    second = installing.refresh(first["refresh_token"]).json()
    assert installing.post("revoke", token=first["access_token"]).status_code == 200
    assert [installing.status(each) for each in (first, second)] == [401, 200]
    assert installing.refresh(first["refresh_token"]).status_code == 200


def test_revoking_the_refresh_token_uninstalls_the_app(installing: Installing, receiver: Receiver) -> None:
    served = installing.served
    first, second = installing.tokens(), installing.tokens()
    kept = served.subscribe(receiver.url)
    body = {"subscription_url": receiver.url, "event_action": "*", "event_object": "person", "name": "App"}
    made = installing.call(second, WEBHOOKS, "POST", json=body)
    assert made.status_code == 201
    assert [row["id"] for row in served.data(WEBHOOKS)] == [kept["id"], made.json()["data"]["id"]]
    response = installing.post("revoke", token=first["refresh_token"], token_type_hint="access_token")
    assert response.status_code == 200
    for tokens in (first, second):
        assert is_unauthorized(installing.call(tokens, ME))
        assert error(installing.refresh(tokens["refresh_token"])) == (400, "invalid_grant")
    assert served.data(WEBHOOKS) == [kept]
    assert installing.status(installing.tokens()) == 200


def test_revoking_an_unknown_token_succeeds(installing: Installing) -> None:
    tokens = installing.tokens()
    assert installing.post("revoke", token="nothing").status_code == 200
    assert error(installing.post("revoke")) == (400, "invalid_request")
    assert installing.status(tokens) == 200


def test_an_apps_webhook_belongs_to_its_user(
    installing: Installing, account: Account, receiver: Receiver
) -> None:
    owner = account.token_owner_id
    other = account.token_owner_id = account.add_user("Other")
    tokens = installing.tokens()
    account.token_owner_id = owner
    body = {"subscription_url": receiver.url, "event_action": "*", "event_object": "person", "name": "App"}
    webhook = installing.call(tokens, WEBHOOKS, "POST", json=body).json()["data"]
    assert {webhook[key] for key in ("owner_id", "admin_id", "user_id")} == {other}
    account.create_person(name="A")
    assert receiver.next().json["meta"]["webhook_owner_id"] == str(other)
    installing.served.server.webhooks.wait_until_delivered()
    installing.served.server.oauth.uninstall(owner)
    assert installing.status(tokens) == 200
    assert installing.served.data(WEBHOOKS) == [
        {**webhook, "last_http_status": 200, "last_delivery_time": "2026-03-01T12:00:00.000Z"}
    ]
    installing.served.server.oauth.uninstall(other)
    assert installing.served.data(WEBHOOKS) == []


@pytest.mark.parametrize("answer", [200, 500])
def test_the_app_is_notified_when_uninstalled(
    serve: Serve, account: Account, receiver: Receiver, answer: int
) -> None:
    installing = Installing(serve(account), OAuthApp("app-1", "app-secret", receiver.url))
    tokens = installing.tokens()
    receiver.always = answer
    installing.served.server.uninstall_app()
    told = receiver.next()
    assert (told.method, told.path) == ("DELETE", "/pipedrive")
    assert told.json == {
        "client_id": "app-1",
        "company_id": 777,
        "user_id": account.token_owner_id,
        "timestamp": "2026-03-01T12:00:00.000Z",
    }
    assert told.headers["authorization"] == "Basic " + base64.b64encode(b"app-1:app-secret").decode()
    assert told.headers["content-type"] == "application/json"
    assert is_unauthorized(installing.call(tokens, ME))
    assert len(receiver.received) == 1


def test_an_unreachable_app_is_uninstalled_anyway(installing: Installing) -> None:
    # Nothing listens at the callback.
    tokens = installing.tokens()
    installing.served.server.uninstall_app()
    assert installing.status(tokens) == 401


def test_uninstalling_needs_an_existing_app_and_user(installing: Installing) -> None:
    with pytest.raises(UnknownRecordError, match="no user 1"):
        installing.served.server.uninstall_app(1)
    installing.served.server.oauth_app = None
    with pytest.raises(SandboxError, match="No app is registered"):
        installing.served.server.uninstall_app()


@pytest.mark.parametrize(
    "wrong",
    [
        {"scopes": ("base", "deals:read")},
        {"redirect_uri": "http://example.com/callback"},
        {"redirect_uri": "/callback"},
    ],
)
def test_an_app_pipedrive_would_reject_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidValueError):
        OAuthApp(**{"client_id": "a", "client_secret": "b", "redirect_uri": CALLBACK, **wrong})


# Commands, faults and the log


def done(served: Served, method: str, path: str, **body: Any) -> Any:
    response = served.control(method, path, **body)
    assert response.status_code == 200, response.text
    return response.json()


def test_the_controls_set_and_uninstall_the_app(serve: Serve, account: Account, receiver: Receiver) -> None:
    served = serve(account)
    assert done(served, "GET", "/oauth") == {"app": None, "grants": []}
    assert served.control("PATCH", "/oauth/app", client_id="app-1").status_code == 400
    assert served.control("POST", "/oauth/uninstall").status_code == 400
    fields = {"client_id": "app-1", "client_secret": "app-secret", "redirect_uri": receiver.url}
    done(served, "PATCH", "/oauth/app", **fields, name="Other", scopes=["admin"])
    assert served.server.oauth_app == OAuthApp("app-1", "app-secret", receiver.url, "Other", ("admin",))
    done(served, "PATCH", "/oauth/app", scopes=["contacts:read"])
    app = served.server.oauth_app
    assert app == OAuthApp("app-1", "app-secret", receiver.url, "Other", ("contacts:read",))
    assert served.control("PATCH", "/oauth/app", scopes=["nonsense"]).status_code == 400
    installing = Installing(served, app)
    tokens = installing.tokens()
    assert done(served, "GET", "/oauth") == {
        "app": {
            "client_id": "app-1",
            "redirect_uri": receiver.url,
            "name": "Other",
            "scopes": ["contacts:read"],
        },
        "grants": [
            {
                "id": 1,
                "client_id": "app-1",
                "user_id": account.token_owner_id,
                "scopes": ["base", "contacts:read"],
                "granted_at": "2026-03-01T12:00:00Z",
                "refresh_until": "2026-04-30T12:00:00Z",
                "access_tokens": 1,
            }
        ],
    }
    assert done(served, "POST", "/oauth/expire")["grants"][0]["access_tokens"] == 0
    assert installing.status(tokens) == 401
    tokens = installing.refresh(tokens["refresh_token"]).json()
    assert installing.status(tokens) == 200
    assert done(served, "POST", "/oauth/revoke")["grants"] == []
    assert installing.status(tokens) == 401
    assert error(installing.refresh(tokens["refresh_token"])) == (400, "invalid_grant")
    assert receiver.received == []
    tokens = installing.tokens()
    assert served.control("POST", "/oauth/uninstall", user_id=1).status_code == 404
    assert done(served, "POST", "/oauth/uninstall", user_id=account.token_owner_id)["grants"] == []
    assert receiver.next().json["user_id"] == account.token_owner_id
    assert installing.status(tokens) == 401


def test_the_uninstall_callback_may_call_the_server(serve: Serve) -> None:
    served = serve()
    # The callback is the sandbox itself, which can answer only once the command lets it.
    done(
        served,
        "PATCH",
        "/oauth/app",
        client_id="a",
        client_secret="b",
        redirect_uri=f"{served.server.url}/callback",
    )
    done(served, "POST", "/oauth/uninstall")
    assert [(each.method, each.status) for each in served.server.requests] == [("DELETE", 404)]


def test_silently_revoking_tokens_leaves_the_webhooks(installing: Installing, receiver: Receiver) -> None:
    tokens = installing.tokens()
    body = {"subscription_url": receiver.url, "event_action": "*", "event_object": "person", "name": "App"}
    assert installing.call(tokens, WEBHOOKS, "POST", json=body).status_code == 201
    installing.served.server.oauth.revoke_all()
    assert len(installing.served.data(WEBHOOKS)) == 1


def test_oauth_calls_are_free_and_logged_without_secrets(installing: Installing) -> None:
    consent_page(installing.served)
    installing.tokens()
    log = installing.served.server.requests
    assert [(each.method, each.path, each.query, each.status, each.tokens) for each in log] == [
        ("GET", "/oauth/authorize", {}, 200, 0),
        ("POST", "/oauth/authorize", {}, 302, 0),
        ("POST", "/oauth/token", {}, 200, 0),
    ]


def test_faults_can_strike_the_token_endpoint(installing: Installing) -> None:
    refresh_token = installing.tokens()["refresh_token"]
    faults = installing.served.server.faults
    faults.add(Fault("status", path_prefix="/oauth/token", status=503))
    faults.add(Fault("truncated_json", path_prefix="/oauth/token"))
    assert installing.refresh(refresh_token).status_code == 503
    with pytest.raises(ValueError, match=r".+"):
        installing.refresh(refresh_token).json()
    assert installing.refresh(refresh_token).status_code == 200


def test_secrets_are_never_shown(installing: Installing) -> None:
    tokens = installing.tokens()
    oauth = installing.served.server.oauth
    caller = oauth.caller(tokens["access_token"])
    shown = repr((installing.app, caller, oauth.state())) + installing.served.control("GET", "/oauth").text
    for secret in (APP.client_secret, tokens["access_token"], tokens["refresh_token"]):
        assert secret not in shown
