"""Pipedrive's report of an uninstalled app: trusted with the app's secret, and what happens to connections then."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from wooxy_pipedrive_etl.connections import run_requests
from wooxy_pipedrive_etl.connections.oauth_app import CALLBACK_PATH
from wooxy_pipedrive_etl.matching import view
from wooxy_pipedrive_etl.settings import OAUTH_CLIENT_SECRET_VARIABLE
from wooxy_pipedrive_etl.store import Store
from wooxy_pipedrive_etl.store.installations import list_installations
from wooxy_pipedrive_etl_tests.patience import http_client
from wooxy_pipedrive_etl_tests.scenario import small_account

from .consenting import CLIENT_ID, CLIENT_SECRET, Pipedrive, consenting
from .visitor import Visitor, text_of

APP = (CLIENT_ID, CLIENT_SECRET)


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


@pytest.fixture
def pipedrive(visitor: Visitor, store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipedrive]:
    with consenting(small_account(), visitor, store, monkeypatch) as pipedrive:
        pipedrive.connect()
        yield pipedrive


def report_uninstall(
    pipedrive: Pipedrive, auth: tuple[str, str] | None = APP, **changed: Any
) -> httpx.Response:
    """Makes Pipedrive's call, without any of the browser's cookies."""
    account = pipedrive.server.account
    body = {
        "client_id": CLIENT_ID,
        "company_id": account.company_id,
        "user_id": account.token_owner_id,
        "timestamp": "2026-11-25T10:00:00Z",
        **changed,
    }
    with http_client() as client:
        return client.request("DELETE", pipedrive.visitor.url + CALLBACK_PATH, json=body, auth=auth)


def test_an_uninstalled_app(pipedrive: Pipedrive) -> None:
    pipedrive.allow()
    view.suggest_matching(pipedrive.store, "acme")
    run_requests.request_run(pipedrive.store, "acme", "full", dry_run=True)
    pipedrive.server.uninstall_app()
    record = pipedrive.record()
    assert record.requested_run is None
    assert (record.state, record.credentials.access_lost) == ("disconnected", "uninstalled")
    assert record.credentials.encrypted_oauth_tokens is None
    with pipedrive.store.engine.connect() as db:
        assert list_installations(db) == []
    page = pipedrive.visitor.get("/")
    assert "✗ Access lost: the app was uninstalled in Pipedrive" in text_of(page)
    assert 'href="/integrations/acme/settings">Reconnect' in page.text
    pipedrive.reconnect()
    assert pipedrive.record().state == "draft"
    assert "○ Draft" in text_of(pipedrive.visitor.get("/"))


def test_callers_without_the_secret_are_refused(
    pipedrive: Pipedrive, monkeypatch: pytest.MonkeyPatch
) -> None:
    for auth in (None, (CLIENT_ID, "wrong"), ("other", CLIENT_SECRET), ("", ""), ("ä", "ä")):
        answer = report_uninstall(pipedrive, auth)
        assert answer.status_code == 401
        assert "basic" in answer.headers["www-authenticate"].lower()
    # The browser's session does not count.
    assert pipedrive.visitor.client.request("DELETE", CALLBACK_PATH, json={}).status_code == 401
    monkeypatch.setenv(OAUTH_CLIENT_SECRET_VARIABLE, "")
    assert report_uninstall(pipedrive, (CLIENT_ID, "")).status_code == 401
    assert pipedrive.record().state == "draft"


def test_malformed_uninstall_calls_are_refused(pipedrive: Pipedrive) -> None:
    wrong: list[tuple[dict[str, Any], int]] = [
        ({"client_id": "other"}, 400),
        ({"company_id": "many"}, 400),
        ({"company_id": 0}, 400),
        ({"company_id": 2**70}, 400),
        ({"user_id": None}, 400),
        ({"filling": "x" * 5000}, 413),
    ]
    for changed, status in wrong:
        assert report_uninstall(pipedrive, **changed).status_code == status
    assert pipedrive.record().state == "draft"


def test_text_ids_work_and_unknown_users_are_ignored(pipedrive: Pipedrive) -> None:
    assert report_uninstall(pipedrive, user_id=4711).status_code == 200
    assert report_uninstall(pipedrive, company_id=4711).status_code == 200
    assert pipedrive.record().state == "draft"
    account = pipedrive.server.account
    answer = report_uninstall(
        pipedrive, company_id=str(account.company_id), user_id=str(account.token_owner_id)
    )
    assert answer.status_code == 200
    assert pipedrive.record().state == "disconnected"
