"""The OAuth app that the environment configures: its credentials, and the scopes that it asks for."""

from __future__ import annotations

import os

from wooxy_pipedrive_etl.errors import InvalidSetting
from wooxy_pipedrive_etl.http_api.errors import InvalidApiUrl
from wooxy_pipedrive_etl.pipedrive import OAuthApp
from wooxy_pipedrive_etl.pipedrive.oauth import PIPEDRIVE_OAUTH_URL

from .public_url import checked_public_url

ID_VARIABLE = "WOOXY_PIPEDRIVE_OAUTH_CLIENT_ID"
SECRET_VARIABLE = "WOOXY_PIPEDRIVE_OAUTH_CLIENT_SECRET"
URL_VARIABLE = "WOOXY_PIPEDRIVE_OAUTH_URL"
PUBLIC_URL_VARIABLE = "WOOXY_PIPEDRIVE_PUBLIC_URL"
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


def oauth_app() -> OAuthApp | None:
    """The app, or None if none is configured. Raises InvalidSetting."""
    client_id, client_secret = (
        os.environ.get(variable, "").strip() for variable in (ID_VARIABLE, SECRET_VARIABLE)
    )
    if not client_id and not client_secret:
        return None
    for variable, value in ((ID_VARIABLE, client_id), (SECRET_VARIABLE, client_secret)):
        if not value:
            raise InvalidSetting(
                f"{variable} is empty; set it to what Pipedrive's Developer Hub shows for the app, or unset "
                f"{ID_VARIABLE} and {SECRET_VARIABLE} both."
            )
    root = checked_public_url(
        os.environ.get(PUBLIC_URL_VARIABLE) or _PUBLIC_URL, PUBLIC_URL_VARIABLE, "people's consent"
    )
    try:
        return OAuthApp(
            client_id=client_id,
            client_secret=client_secret,
            redirect_uri=root + CALLBACK_PATH,
            oauth_url=os.environ.get(URL_VARIABLE) or PIPEDRIVE_OAUTH_URL,
        )
    except InvalidApiUrl:
        raise InvalidSetting(
            f"{URL_VARIABLE} can't be used; give the root of an https host, or unset it for {PIPEDRIVE_OAUTH_URL}."
        ) from None


def needed_oauth_app(what_for: str) -> OAuthApp:
    """The app, where nothing works without it. Raises InvalidSetting."""
    app = oauth_app()
    if app is None:
        raise InvalidSetting(
            f"{what_for} needs the OAuth app, but {ID_VARIABLE} and {SECRET_VARIABLE} are empty; set them wherever "
            "the program runs."
        )
    return app
