"""The app registered in a sandbox, and a person who allows it there: short ways, over HTTP, for several areas."""

from __future__ import annotations

from collections.abc import Sequence

import httpx

from wooxy_pipedrive_etl import sandbox
from wooxy_pipedrive_etl.pipedrive import OAuthApp

CLIENT_ID, CLIENT_SECRET = "app-1", "the-secret-of-the-app"
CALLBACK = "http://127.0.0.1:9/oauth/pipedrive/callback"


def register(
    server: sandbox.SandboxServer, *, scopes: Sequence[str] = tuple(sandbox.SCOPES), callback: str = CALLBACK
) -> OAuthApp:
    """Registers the app, or gives it other scopes."""
    server.oauth_app = sandbox.OAuthApp(CLIENT_ID, CLIENT_SECRET, callback, scopes=tuple(scopes))
    return OAuthApp(CLIENT_ID, CLIENT_SECRET, callback, server.url)


def allow(server: sandbox.SandboxServer, app: OAuthApp) -> str:
    """The button Allow and Install; returns the code that Pipedrive hands to the callback."""
    form = {"client_id": app.client_id, "redirect_uri": app.redirect_uri, "decision": "allow"}
    answer = httpx.post(f"{server.url}/oauth/authorize", data=form, trust_env=False)
    return str(httpx.URL(answer.headers["location"]).params["code"])
