"""An app and its tokens: shortcuts through the OAuth of a served account, for the tests of the sandbox."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx

from wooxy_pipedrive_etl.sandbox.pipedrive import OAuthApp

from .served import Served

CALLBACK = "http://127.0.0.1:9/oauth/callback"
APP = OAuthApp("app-1", "app-secret", CALLBACK)
LINK = {"client_id": APP.client_id, "redirect_uri": CALLBACK, "state": "s-1"}


class Installing:
    """The app of a served account; each call looks to Pipedrive as if it came from the browser or the app."""

    def __init__(self, served: Served, app: OAuthApp = APP) -> None:
        self.served = served
        self.app = served.server.oauth_app = app

    def set_scopes(self, *scopes: str) -> None:
        self.app = self.served.server.oauth_app = replace(self.app, scopes=scopes)

    def post(self, path: str, **form: str) -> httpx.Response:
        """Posts to a token endpoint with the app's credentials."""
        credentials = (self.app.client_id, self.app.client_secret)
        return self.served.http.post(f"{self.served.server.url}/oauth/{path}", data=form, auth=credentials)

    def decide(self, decision: str = "allow", **changed: str) -> httpx.Response:
        """Presses a button of the consent page."""
        form = {**LINK, "redirect_uri": self.app.redirect_uri, **changed, "decision": decision}
        return self.served.http.post(f"{self.served.server.url}/oauth/authorize", data=form)

    def code(self) -> str:
        return httpx.URL(self.decide().headers["location"]).params["code"]

    def exchange(self, code: str) -> httpx.Response:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": self.app.redirect_uri}
        return self.post("token", **form)

    def refresh(self, refresh_token: str) -> httpx.Response:
        return self.post("token", grant_type="refresh_token", refresh_token=refresh_token)

    def tokens(self) -> dict[str, Any]:
        """The tokens of a new consent."""
        response = self.exchange(self.code())
        assert response.status_code == 200, response.text
        tokens: dict[str, Any] = response.json()
        return tokens

    def call(self, tokens: dict[str, Any], path: str, method: str = "GET", **options: Any) -> httpx.Response:
        """Calls the API with an access token."""
        headers = {"authorization": f"Bearer {tokens['access_token']}", **options.pop("headers", {})}
        return self.served.http.request(method, self.served.server.url + path, headers=headers, **options)

    def status(self, tokens: dict[str, Any], path: str = "/api/v1/users/me") -> int:
        return self.call(tokens, path).status_code
