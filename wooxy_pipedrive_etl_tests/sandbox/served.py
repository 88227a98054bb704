"""A served account and shortcuts to call it, for the tests of the sandbox."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from wooxy_pipedrive_etl.sandbox.pipedrive import Account, SandboxServer


class Clock:
    """A clock that moves only when told to."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def tick(self, seconds: float = 1.0) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class Served:
    account: Account
    server: SandboxServer
    http: httpx.Client

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"x-api-token": self.account.token, **options.pop("headers", {})}
        return self.http.request(method, self.server.url + path, headers=headers, **options)

    def get(self, path: str, **params: Any) -> httpx.Response:
        return self.call("GET", path, params=params)

    def data(self, path: str, **params: Any) -> Any:
        response = self.get(path, **params)
        assert response.status_code == 200, response.text
        return response.json()["data"]

    def persons(self, **params: Any) -> list[dict[str, Any]]:
        """One page."""
        rows: list[dict[str, Any]] = self.data("/api/v2/persons", **params)
        return rows

    def person(self, person_id: int, **params: Any) -> dict[str, Any]:
        """One person by id."""
        row: dict[str, Any] = self.data(f"/api/v2/persons/{person_id}", **params)
        return row

    def walk(self, path: str = "/api/v2/persons", **params: Any) -> list[dict[str, Any]]:
        """All pages."""
        rows: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            body = self.get(path, **params, **cursor).json()
            rows += body["data"]
            following = body["additional_data"]["next_cursor"]
            if following is None:
                return rows
            cursor = {"cursor": following}

    def subscribe(self, url: str, **body: Any) -> dict[str, Any]:
        """Creates a webhook, for all events of persons unless told otherwise; returns it."""
        asked = {"subscription_url": url, "event_action": "*", "event_object": "person", "name": "Test"}
        response = self.call("POST", "/api/v1/webhooks", json={**asked, **body})
        assert response.status_code == 201, response.text
        webhook: dict[str, Any] = response.json()["data"]
        return webhook

    def control(self, method: str, path: str, **body: Any) -> httpx.Response:
        return self.http.request(method, f"{self.server.url}/sandbox{path}", json=body)
