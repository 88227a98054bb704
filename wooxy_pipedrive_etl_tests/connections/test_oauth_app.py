"""The OAuth app from the environment: missing, incomplete or invalid."""

from __future__ import annotations

import pytest

from wooxy_pipedrive_etl.connections.oauth_app import NEEDED_SCOPES, WANTED_SCOPES, oauth_app
from wooxy_pipedrive_etl.errors import InvalidSetting
from wooxy_pipedrive_etl.sandbox.pipedrive import SCOPES
from wooxy_pipedrive_etl.settings import (
    OAUTH_CLIENT_ID_VARIABLE,
    OAUTH_CLIENT_SECRET_VARIABLE,
    OAUTH_URL_VARIABLE,
    PUBLIC_URL_VARIABLE,
)

SECRET = "hunter2"


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OAUTH_CLIENT_ID_VARIABLE, "id-1")
    monkeypatch.setenv(OAUTH_CLIENT_SECRET_VARIABLE, f" {SECRET}\n")


def test_no_app_is_set_up() -> None:
    assert oauth_app() is None


@pytest.mark.usefixtures("app")
def test_the_redirect_uri_is_local_unless_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    app = oauth_app()
    assert app is not None
    assert (app.client_id, app.client_secret, app.oauth_url) == (
        "id-1",
        SECRET,
        "https://oauth.pipedrive.com",
    )
    assert app.redirect_uri == "http://127.0.0.1:8000/oauth/pipedrive/callback"
    monkeypatch.setenv(PUBLIC_URL_VARIABLE, "https://sync.example.com/wooxy/")
    monkeypatch.setenv(OAUTH_URL_VARIABLE, "http://127.0.0.1:8765")
    app = oauth_app()
    assert app is not None
    assert app.redirect_uri == "https://sync.example.com/wooxy/oauth/pipedrive/callback"
    assert app.oauth_url == "http://127.0.0.1:8765"


@pytest.mark.usefixtures("app")
def test_oauth_returns_to_the_sending_pages() -> None:
    app = oauth_app("http://127.0.0.1:4711")
    assert app is not None
    assert app.redirect_uri == "http://127.0.0.1:4711/oauth/pipedrive/callback"
    with pytest.raises(InvalidSetting, match=f"^{PUBLIC_URL_VARIABLE} of 0.0.0.0 is http"):
        oauth_app("http://0.0.0.0:8000")


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        (OAUTH_CLIENT_ID_VARIABLE, "", f"^{OAUTH_CLIENT_ID_VARIABLE} is empty"),
        (OAUTH_CLIENT_SECRET_VARIABLE, " ", f"^{OAUTH_CLIENT_SECRET_VARIABLE} is empty"),
        (
            OAUTH_URL_VARIABLE,
            "http://oauth.pipedrive.com",
            f"^{OAUTH_URL_VARIABLE} can't be used; give .* https host",
        ),
        (OAUTH_URL_VARIABLE, "hunter2", f"^{OAUTH_URL_VARIABLE} can't be used"),
        (PUBLIC_URL_VARIABLE, "http://sync.example.com", f"^{PUBLIC_URL_VARIABLE} .* in the clear"),
        (PUBLIC_URL_VARIABLE, "hunter2", f"^{PUBLIC_URL_VARIABLE} is not an https URL"),
    ],
)
def test_unusable_variables_are_named_without_their_secrets(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, says: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(InvalidSetting, match=says) as refusal:
        oauth_app()
    assert SECRET not in str(refusal.value)


def test_scopes_are_those_that_pipedrive_knows() -> None:
    assert WANTED_SCOPES.keys() == SCOPES.keys()
    assert WANTED_SCOPES.keys() > NEEDED_SCOPES
