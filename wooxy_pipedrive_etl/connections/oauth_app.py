"""The OAuth app that the environment configures: its credentials, and the scopes that it asks for."""

from __future__ import annotations

from wooxy_pipedrive_etl.errors import InvalidSetting
from wooxy_pipedrive_etl.http_api.errors import InvalidApiUrl
from wooxy_pipedrive_etl.pipedrive import OAuthApp
from wooxy_pipedrive_etl.settings import (
    OAUTH_CLIENT_ID_VARIABLE,
    OAUTH_CLIENT_SECRET_VARIABLE,
    OAUTH_URL_VARIABLE,
    PIPEDRIVE_OAUTH_URL,
    PUBLIC_URL_VARIABLE,
    Settings,
)

from .public_url import checked_public_url

_PUBLIC_URL = "http://127.0.0.1:8000"

# Pipedrive sends users back here, and reports uninstallations here.
CALLBACK_PATH = "/oauth/pipedrive/callback"

# The scopes that the app asks for in Pipedrive, and why, in words for the user who grants them.
WANTED_SCOPES = {
    "base": "Basic information: which company and which user allowed this.",
    "contacts:read": "Contacts, read only: the persons and organisations whose values go into the contact list.",
    "users:read": "Users, read only: the names of owners, for columns that show them.",
    "admin": (
        "Administer account: Pipedrive requires it for webhooks, which bring changes within seconds. The app uses it "
        "for nothing else; without it, changes are found by polling."
    ),
}
NEEDED_SCOPES = frozenset({"base", "contacts:read"})


def oauth_app(public_url: str | None = None) -> OAuthApp | None:
    """The app, or None if none is configured. `public_url`: where users reach `serve`; None for what the environment
    says, which will do where nobody is sent to Pipedrive. Raises InvalidSetting."""
    settings = Settings.current()
    client = settings.oauth_client
    if client is None:
        return None
    root = checked_public_url(
        public_url or settings.public_root or _PUBLIC_URL, PUBLIC_URL_VARIABLE, "people's consent"
    )
    client_id, client_secret = client
    try:
        return OAuthApp(
            client_id=client_id,
            client_secret=client_secret,
            redirect_uri=root + CALLBACK_PATH,
            oauth_url=settings.oauth_url,
        )
    except InvalidApiUrl:
        raise InvalidSetting(
            f"{OAUTH_URL_VARIABLE} can't be used; give the root of an https host, or unset it for "
            f"{PIPEDRIVE_OAUTH_URL}."
        ) from None


def needed_oauth_app(what_for: str, public_url: str | None = None) -> OAuthApp:
    """`oauth_app`, where nothing works without it. Raises InvalidSetting."""
    app = oauth_app(public_url)
    if app is None:
        raise InvalidSetting(
            f"{what_for} needs the OAuth app, but {OAUTH_CLIENT_ID_VARIABLE} and {OAUTH_CLIENT_SECRET_VARIABLE} are "
            "empty; set them wherever the program runs."
        )
    return app
