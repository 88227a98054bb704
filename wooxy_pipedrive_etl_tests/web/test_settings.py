"""A connection's settings, and what a person does with it as a whole."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest

from wooxy_pipedrive_etl.sandbox import Account
from wooxy_pipedrive_etl.store import Store
from wooxy_pipedrive_etl.store.connections import list_connections
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.store.locks import sole_writer
from wooxy_pipedrive_etl.sync import matching
from wooxy_pipedrive_etl.sync.requests import requested_run
from wooxy_pipedrive_etl.web.app import build_app
from wooxy_pipedrive_etl_tests.scenario import Connected, Refused, connected, small_account

from .consenting import CLIENT_SECRET, Pipedrive, consenting
from .served import serving
from .visitor import HOSTILE, Visitor, text_of, visiting

SETTINGS = "/integrations/acme/settings"


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


@pytest.fixture
def account() -> Account:
    return small_account(25)


@pytest.fixture
def acme(account: Account, database_url: str) -> Iterator[Connected]:
    with connected(database_url, account, on_delete="delete") as acme:
        yield acme


@pytest.fixture
def store(acme: Connected) -> Store:
    return acme.store


def act(visitor: Visitor, what: str, fields: dict[str, str] | None = None) -> httpx.Response:
    """A button of the settings."""
    visitor.get(SETTINGS)
    return visitor.post(f"/integrations/acme/{what}", fields)


def told(visitor: Visitor, what: str, fields: dict[str, str] | None = None) -> str:
    """What the page says after it."""
    answer = act(visitor, what, fields)
    assert answer.headers["location"] == SETTINGS
    return text_of(visitor.follow(answer))


CHANGED = {"default_region": "fi", "consent": "require", "on_delete": "keep"}


def test_settings_are_shown_and_saved(acme: Connected, visitor: Visitor) -> None:
    page = visitor.get(SETTINGS)
    assert re.search(r'value="respect"[^>]*checked', page.text)
    assert re.search(r'name="ignore_empty"[^>]*checked', page.text)
    assert "a channel that is off is never switched on again" in text_of(page)
    assert "The settings are saved." in told(visitor, "settings", CHANGED)
    record = acme.record()
    assert (record.default_region, record.consent, record.on_delete) == ("FI", "require", "keep")
    assert not matching.ignores_empty_values(acme.store, acme.name)
    page = visitor.get(SETTINGS)
    assert 'name="default_region" value="FI"' in page.text
    assert re.search(r'value="require"[^>]*checked', page.text)
    assert re.search(r'value="keep"[^>]*checked', page.text)
    assert not re.search(r'name="ignore_empty"[^>]*checked', page.text)
    told(visitor, "settings", {**CHANGED, "ignore_empty": "on", "default_region": ""})
    assert acme.record().default_region is None
    assert matching.ignores_empty_values(acme.store, acme.name)


def test_settings_that_can_not_be(acme: Connected, visitor: Visitor) -> None:
    for wrong in ({"default_region": HOSTILE}, {"consent": ""}, {"on_delete": "burn"}):
        answer = act(visitor, "settings", {**CHANGED, **wrong})
        assert answer.status_code == 422
        assert 'role="alert"' in answer.text
        assert "<script>alert" not in answer.text
    # What was typed is still there.
    assert re.search(r'value="require"[^>]*checked', answer.text)
    assert acme.record().consent == "respect"
    assert matching.ignores_empty_values(acme.store, acme.name)


def test_settings_during_a_run(acme: Connected, visitor: Visitor) -> None:
    with sole_writer(acme.store.engine, acme.record()):
        answer = act(visitor, "settings", CHANGED)
        assert answer.status_code == 409
        assert "Another run of the connection acme is at work" in text_of(answer)
        assert "Another run" in told(visitor, "webhook", {"action": "register"})
        assert "Another run" in told(visitor, "disconnect", {"confirm": "acme"})
    assert acme.record().state == "draft"


def test_pause_and_resume(acme: Connected, visitor: Visitor) -> None:
    acme.import_all()
    assert "acme is paused" in told(visitor, "pause")
    assert acme.record().paused
    assert "acme goes on" in told(visitor, "resume")
    assert not acme.record().paused


def test_sync_now(acme: Connected, visitor: Visitor) -> None:
    assert "has not been imported yet" in told(visitor, "sync", {"kind": "full"})
    acme.import_all()
    answer = act(visitor, "sync", {"kind": "full"})
    assert answer.headers["location"] == "/integrations/acme/progress"
    request = requested_run(acme.record())
    assert request is not None
    assert (request.kind, request.dry_run, request.allow_mass_delete, request.use_reserve) == (
        "full",
        False,
        False,
        False,
    )


def test_what_a_guard_refused_can_be_allowed_once(
    acme: Connected, account: Account, visitor: Visitor
) -> None:
    acme.import_all()
    acme.sync()
    assert "allow_mass_delete" not in visitor.get(SETTINGS).text
    for number in range(1, 23):
        account.delete_person(number)
    with pytest.raises(Refused):
        acme.sync()
    assert 'href="/integrations/acme/settings#runs">Allow it once' in visitor.get("/").text
    assert "Allow the deletions that the last run refused, once" in text_of(visitor.get(SETTINGS))
    act(visitor, "sync", {"kind": "full", "allow_mass_delete": "on"})
    request = requested_run(acme.record())
    assert request is not None
    assert request.allow_mass_delete
    acme.sync(allow_mass_delete=True)
    assert "allow_mass_delete" not in visitor.get(SETTINGS).text


def test_a_run_that_would_spend_the_reserve(acme: Connected, visitor: Visitor) -> None:
    acme.import_all()
    assert acme.server.limits.daily_tokens is not None
    acme.server.gateway.budget.tokens_used = acme.server.limits.daily_tokens - 1_000
    with pytest.raises(Exception, match="reserve"):
        acme.sync()
    assert "Let this run use the reserve" in text_of(visitor.get(SETTINGS))
    act(visitor, "sync", {"kind": "full", "use_reserve": "on"})
    request = requested_run(acme.record())
    assert request is not None
    assert request.use_reserve


# The webhook


def test_a_webhook(acme: Connected, visitor: Visitor) -> None:
    where = f"{visitor.url}/webhooks/pipedrive/acme"
    page = text_of(visitor.get(SETTINGS))
    assert "○ None: changes are found by polling" in page
    assert f"Pipedrive will send to {where}" in page
    page = told(visitor, "webhook", {"action": "register"})
    assert f"Pipedrive was asked to tell of changes at {where}." in page
    assert "● Registered" in page
    assert [each["subscription_url"] for each in acme.server.webhooks.shown()] == [where]
    page = told(visitor, "webhook", {"action": "remove"})
    assert "○ None" in page
    assert acme.server.webhooks.shown() == []


def test_a_public_address_that_webhooks_can_not_have(acme: Connected) -> None:
    app = build_app(acme.store, public_url="http://sync.example.com")
    with serving(acme.store, app=app) as url, visiting(url) as visitor:
        page = visitor.sign_in().get(SETTINGS)
        assert "use https://sync.example.com" in text_of(page)
        assert 'value="register"' not in page.text
        assert "use https://sync.example.com" in told(visitor, "webhook", {"action": "register"})


# Disconnect


def test_disconnecting_wants_the_name(acme: Connected, visitor: Visitor) -> None:
    for wrong in ("", "other", "ACME"):
        assert "type its name" in told(visitor, "disconnect", {"confirm": wrong, "forget": "on"})
    assert acme.record().state == "draft"


def test_disconnect(acme: Connected, visitor: Visitor) -> None:
    acme.import_all()
    acme.sync()
    answer = act(visitor, "disconnect", {"confirm": "acme"})
    assert "acme is disconnected; its list stays as it is." in text_of(visitor.follow(answer))
    assert acme.record().state == "disconnected"
    page = visitor.get(SETTINGS)
    assert "with the name acme and the domain shop.example.com" in text_of(page)
    assert "25 contacts of shop.example.com, in the table" in text_of(page)
    for form in ("pause", "sync", "webhook", "allow-again"):
        assert f'action="/integrations/acme/{form}"' not in page.text
    answer = act(visitor, "disconnect", {"confirm": "acme", "forget": "on"})
    assert "everything of it is forgotten but the list" in text_of(visitor.follow(answer))
    assert visitor.get(SETTINGS).status_code == 404
    with reading(acme.store.engine) as connection:
        assert list_connections(connection) == []


def test_a_webhook_that_stays_behind_is_told_of(acme: Connected, visitor: Visitor) -> None:
    told(visitor, "webhook", {"action": "register"})
    acme.account.token = "another"
    page = text_of(visitor.follow(act(visitor, "disconnect", {"confirm": "acme"})))
    assert f"The webhook to {visitor.url}/webhooks/pipedrive/acme may still be in Pipedrive" in page


def test_a_connection_that_is_not_there(visitor: Visitor) -> None:
    assert visitor.get("/integrations/nobody/settings").status_code == 404
    for what in ("settings", "pause", "resume", "sync", "webhook", "disconnect"):
        assert visitor.post(f"/integrations/nobody/{what}").status_code == 404


# With OAuth


@pytest.fixture
def pipedrive(account: Account, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipedrive]:
    store = Store.open(database_url)
    with (
        serving(store) as url,
        visiting(url) as visitor,
        consenting(account, visitor.sign_in(), store, monkeypatch) as pipedrive,
    ):
        pipedrive.connect()
        yield pipedrive
    store.close()


def test_scopes_that_were_not_given(pipedrive: Pipedrive) -> None:
    page = pipedrive.visitor.get(SETTINGS)
    assert "Let in by the app (OAuth)" in text_of(page)
    assert "allow-again" not in page.text
    pipedrive.set_scopes("base", "contacts:read")
    pipedrive.allow_again()
    page = pipedrive.visitor.get(SETTINGS)
    assert "Pipedrive let the app in without: Users, read only" in text_of(page)
    assert "Administer account" in text_of(page)
    assert f"form-action 'self' {pipedrive.server.url};" in page.headers["content-security-policy"]
    assert "allowed without the scope admin" in told(pipedrive.visitor, "webhook", {"action": "register"})
    pipedrive.set_scopes("base", "contacts:read", "users:read", "admin")
    pipedrive.allow_again()
    assert "Pipedrive let the app in without" not in text_of(pipedrive.visitor.get(SETTINGS))


def test_a_revoked_app(pipedrive: Pipedrive) -> None:
    pipedrive.server.oauth.revoke_all()
    page = told(pipedrive.visitor, "webhook", {"action": "register"})
    assert "allow the app again" in page
    assert "✗ Access lost: access was revoked or has expired" in page
    page = pipedrive.visitor.get(SETTINGS).text
    assert 'action="/integrations/acme/allow-again"' in page
    assert 'action="/integrations/acme/sync"' not in page
    pipedrive.allow_again()
    assert "● Registered" in told(pipedrive.visitor, "webhook", {"action": "register"})


def test_disconnecting_gives_the_access_back(pipedrive: Pipedrive) -> None:
    act(pipedrive.visitor, "disconnect", {"confirm": "acme"})
    assert pipedrive.server.oauth.state()["grants"] == []


def test_no_page_has_a_secret_in_it(pipedrive: Pipedrive) -> None:
    visitor = pipedrive.visitor
    pages = [told(visitor, "webhook", {"action": "register"})]
    back = pipedrive.decide()
    code = httpx.URL(back).params["code"]
    taken = visitor.get(back)
    installed = taken.headers["location"]
    pages.append(str(dict(taken.headers)))
    for path, status in (
        (installed, 200),
        (f"{installed}/domain", 200),
        (back, 400),
        ("/", 200),
        ("/integrations/new", 200),
        (SETTINGS, 200),
    ):
        answer = visitor.get(path)
        assert answer.status_code == status
        pages.append(answer.text + str(dict(answer.headers)))
    record = pipedrive.record()
    secrets = [CLIENT_SECRET, code, pipedrive.server.account.token]
    decrypt = pipedrive.store.secrets.decrypt
    assert record.encrypted_oauth_tokens
    secrets += re.findall(r'"([^"]{20,})"', decrypt(record.encrypted_oauth_tokens))
    assert record.encrypted_webhook_password
    secrets.append(decrypt(record.encrypted_webhook_password))
    assert len(secrets) == 6
    for page in pages:
        for secret in secrets:
            assert secret not in page
