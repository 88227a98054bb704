"""Through Pipedrive's consent page and back: what is accepted, what is ignored, and what each ending says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from wooxy_pipedrive_etl.connections.oauth_app import CALLBACK_PATH
from wooxy_pipedrive_etl.sandbox.pipedrive import Account
from wooxy_pipedrive_etl.store import Store
from wooxy_pipedrive_etl.store.installations import list_installations
from wooxy_pipedrive_etl.web import consent
from wooxy_pipedrive_etl_tests.scenario import DOMAIN, empty_account, small_account

from .consenting import Pipedrive, consenting
from .visitor import Visitor, text_of


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


@pytest.fixture
def pipedrive(visitor: Visitor, store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipedrive]:
    with consenting(small_account(), visitor, store, monkeypatch) as pipedrive:
        yield pipedrive


def assert_nothing_happened(pipedrive: Pipedrive) -> None:
    """No code was exchanged, and nothing is stored."""
    assert pipedrive.oauth_calls() == []
    with pipedrive.store.engine.connect() as db:
        assert list_installations(db) == []


def test_connecting_through_pipedrives_consent_page(pipedrive: Pipedrive) -> None:
    page = pipedrive.allow()
    assert "Select the domain" in text_of(page)
    record = pipedrive.connect()
    assert (record.credentials.access, record.domain, record.state) == ("oauth", DOMAIN, "draft")
    assert "Match its variables now" in text_of(pipedrive.visitor.get("/"))


def test_consent_denied(pipedrive: Pipedrive) -> None:
    page = pipedrive.visitor.get(pipedrive.decide("deny"))
    assert page.status_code == 200
    assert "You did not allow it" in text_of(page)
    assert "Nothing was connected." in text_of(page)
    assert 'href="/integrations/new"' in page.text
    assert_nothing_happened(pipedrive)


def test_a_state_that_is_missing_or_forged(pipedrive: Pipedrive) -> None:
    for forged in (None, "", "forged", "ä", "x" * 5000):
        back = httpx.URL(pipedrive.decide())
        without = back.copy_remove_param("state")
        changed = without if forged is None else without.copy_set_param("state", forged)
        page = pipedrive.visitor.get(str(changed))
        assert page.status_code == 400
        assert "was not started in this browser" in text_of(page)
        assert 'href="/integrations/new"' in page.text
        # A state can be guessed only once.
        assert pipedrive.visitor.get(str(back)).status_code == 400
    assert_nothing_happened(pipedrive)


def test_a_state_of_another_browser(pipedrive: Pipedrive) -> None:
    """Its code would connect someone else's account here."""
    back = pipedrive.decide()
    other = Visitor(pipedrive.visitor.url)
    with other.client:
        other.sign_in()
        assert other.get(back).status_code == 400
    assert_nothing_happened(pipedrive)


def test_a_state_that_is_too_old(pipedrive: Pipedrive, monkeypatch: pytest.MonkeyPatch) -> None:
    back = pipedrive.decide()
    monkeypatch.setattr(consent, "STATE_SECONDS", -1)
    assert pipedrive.visitor.get(back).status_code == 400
    assert_nothing_happened(pipedrive)


def test_a_state_that_was_used(pipedrive: Pipedrive) -> None:
    back = pipedrive.decide()
    assert pipedrive.visitor.get(back).status_code == 303
    pipedrive.server.clear_requests()
    page = pipedrive.visitor.get(back)
    assert page.status_code == 400
    assert pipedrive.oauth_calls() == []


def test_a_code_that_was_used(pipedrive: Pipedrive) -> None:
    """With a valid state, because it was captured on the way."""
    first = httpx.URL(pipedrive.decide())
    assert pipedrive.visitor.get(str(first)).status_code == 303
    again = httpx.URL(pipedrive.decide()).copy_set_param("code", first.params["code"])
    page = pipedrive.visitor.get(str(again))
    assert page.status_code == 400
    assert "used up, expired or revoked" in text_of(page)
    assert first.params["code"] not in page.text


def test_a_code_that_is_too_old(pipedrive: Pipedrive) -> None:
    back = pipedrive.decide()
    pipedrive.server.account.clock = lambda: datetime.now(UTC) + timedelta(minutes=5)
    page = pipedrive.visitor.get(back)
    assert page.status_code == 400
    assert "used up, expired or revoked" in text_of(page)


def test_neither_a_code_nor_a_denial(pipedrive: Pipedrive) -> None:
    for query in ("", "&error=server_error", "&code="):
        state = httpx.URL(pipedrive.decide()).params["state"]
        page = pipedrive.visitor.get(f"{CALLBACK_PATH}?state={state}{query}")
        assert page.status_code == 400
        assert "did not grant access" in text_of(page)
    assert_nothing_happened(pipedrive)


def test_a_signed_out_user_starts_again(pipedrive: Pipedrive) -> None:
    back = pipedrive.decide()
    pipedrive.visitor.client.cookies.clear()
    sign_in = pipedrive.visitor.follow(pipedrive.visitor.get(back))
    assert "nothing was connected. Sign in and start again." in text_of(sign_in)
    assert "code" not in str(sign_in.url)
    assert 'name="next" value="/integrations/new"' in sign_in.text
    pipedrive.visitor.sign_in()
    assert pipedrive.visitor.get(back).status_code == 400
    assert_nothing_happened(pipedrive)


def test_the_app_is_already_installed(pipedrive: Pipedrive) -> None:
    pipedrive.connect()
    page = pipedrive.allow()
    assert "It is installed already" in text_of(page)
    assert "Continue to the app: acme" in text_of(page)
    assert 'href="/integrations/acme/match"' in page.text
    pipedrive.connect("second.example.com", "second")


def test_an_app_without_the_needed_scopes(pipedrive: Pipedrive) -> None:
    pipedrive.set_scopes("base", "users:read")
    page = pipedrive.visitor.get(pipedrive.decide())
    assert page.status_code == 400
    assert "without the scope contacts:read" in text_of(page)
    with pipedrive.store.engine.connect() as db:
        assert list_installations(db) == []


def test_without_an_app_consent_is_refused(visitor: Visitor) -> None:
    visitor.get("/integrations/new")
    answer = visitor.post("/integrations/new/allow")
    assert answer.status_code == 400
    assert "needs the OAuth app" in text_of(answer)


# Reconnect


def test_reconnect_after_access_was_revoked(pipedrive: Pipedrive) -> None:
    pipedrive.connect()
    with pipedrive.store.engine.begin() as db:
        db.exec_driver_sql("UPDATE sync_credentials SET access_lost = 'revoked'")
    assert "✗ Access lost: access was revoked" in text_of(pipedrive.visitor.get("/"))
    answer = pipedrive.reconnect()
    assert answer.headers["location"] == "/integrations/acme/settings"
    assert "Pipedrive lets acme in again." in text_of(pipedrive.visitor.get("/"))
    assert pipedrive.record().credentials.access_lost is None


def test_reconnect_by_another_company(pipedrive: Pipedrive, monkeypatch: pytest.MonkeyPatch) -> None:
    pipedrive.connect()
    with consenting(_other_company(), pipedrive.visitor, pipedrive.store, monkeypatch) as other:
        page = other.reconnect()
        assert page.status_code == 400
        assert "belong to the Pipedrive company 4242" in text_of(page)
        assert 'href="/integrations/acme/settings"' in page.text
        assert other.server.oauth.state()["grants"] == []
    assert pipedrive.record().api_url == pipedrive.server.url


def _other_company() -> Account:
    account = empty_account()
    account.company_id = 4242
    return account


def test_fewer_scopes_the_next_time(pipedrive: Pipedrive) -> None:
    pipedrive.connect()
    pipedrive.set_scopes("base", "contacts:read")
    pipedrive.reconnect()
    assert pipedrive.record().credentials.scopes == frozenset({"base", "contacts:read"})


def test_only_existing_connections_can_be_reconnected(pipedrive: Pipedrive) -> None:
    pipedrive.visitor.get("/integrations/new")
    assert pipedrive.visitor.post("/integrations/nobody/reconnect").status_code == 404


# Headers


def test_only_consent_pages_may_post_to_pipedrive(pipedrive: Pipedrive) -> None:
    policy = "content-security-policy"
    allowed = f"form-action 'self' {pipedrive.server.url};"
    assert allowed in pipedrive.visitor.get("/integrations/new").headers[policy]
    assert "form-action 'self';" in pipedrive.visitor.get("/").headers[policy]
    assert "form-action 'self';" in pipedrive.allow().headers[policy]
