"""A connection's settings, and the actions on the connection as a whole."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

import httpx
import pytest

from wooxy_pipedrive_etl.connections.run_requests import requested_run
from wooxy_pipedrive_etl.guards import NOTHING_ALLOWED
from wooxy_pipedrive_etl.matching import view
from wooxy_pipedrive_etl.sandbox.pipedrive import Account
from wooxy_pipedrive_etl.store import Store
from wooxy_pipedrive_etl.store.connections import list_connections
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.store.locks import sole_writer
from wooxy_pipedrive_etl.web.app import build_app
from wooxy_pipedrive_etl_tests.scenario import Connected, Refused, connected, small_account

from .consenting import CLIENT_SECRET, Pipedrive, consenting
from .served import serving
from .visitor import HOSTILE, PASSWORD, Visitor, text_of, visiting

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
    """Presses a button of the settings."""
    visitor.get(SETTINGS)
    return visitor.post(f"/integrations/acme/{what}", fields)


def page_after(visitor: Visitor, what: str, fields: dict[str, str] | None = None) -> str:
    """What the page says afterwards."""
    answer = act(visitor, what, fields)
    assert answer.headers["location"] == SETTINGS
    return text_of(visitor.follow(answer))


CHANGED = {"default_region": "fi", "consent": "require", "on_delete": "keep"}


def test_settings_are_shown_and_saved(acme: Connected, visitor: Visitor) -> None:
    page = visitor.get(SETTINGS)
    assert re.search(r'value="respect"[^>]*checked', page.text)
    assert re.search(r'name="ignore_empty"[^>]*checked', page.text)
    assert "a channel that is off is never switched on again" in text_of(page)
    assert "The settings are saved." in page_after(visitor, "settings", CHANGED)
    assert "starts now" not in text_of(visitor.get(SETTINGS))
    record = acme.record()
    assert (record.default_region, record.consent, record.on_delete) == ("FI", "require", "keep")
    assert not view.ignores_empty_values(acme.store, acme.name)
    page = visitor.get(SETTINGS)
    assert '<option value="FI" selected>Finland (+358)</option>' in page.text
    assert re.search(r'value="require"[^>]*checked', page.text)
    assert re.search(r'value="keep"[^>]*checked', page.text)
    assert not re.search(r'name="ignore_empty"[^>]*checked', page.text)
    page_after(visitor, "settings", {**CHANGED, "ignore_empty": "on", "default_region": ""})
    assert acme.record().default_region is None
    assert view.ignores_empty_values(acme.store, acme.name)


AS_IT_IS = {"default_region": "", "consent": "respect", "on_delete": "delete"}


def test_ignore_empty_values_applies_as_shown(acme: Connected, visitor: Visitor) -> None:
    """Even with a draft over it, whose Import does not undo the setting."""
    acme.import_rows({"emails": "email", "city": "town"})
    acme.sync()
    acme.draft_rows({"emails": "email", "city": "town", "note": "remark"})
    shown = page_after(visitor, "settings", AS_IT_IS)
    assert "A run that brings the whole list in line with them starts now." in shown
    assert not re.search(r'name="ignore_empty"[^>]*checked', visitor.get(SETTINGS).text)
    acme.account.edit_person(8, custom_fields={"city": None})
    acme.sync("changes")
    assert acme.contact(email="person8@example.com")["town"] is None
    match = visitor.get("/integrations/acme/match")
    assert "Draft: not live yet" in text_of(match)
    assert not re.search(r'name="ignore_empty"[^>]*checked', match.text)
    assert 'value="remark"' in match.text


def test_a_drafts_ignore_empty_values_waits_for_import(acme: Connected, visitor: Visitor) -> None:
    acme.import_rows({"emails": "email"})
    acme.draft_rows({"emails": "email"}, ignore_empty=False)
    page = visitor.get(SETTINGS)
    assert re.search(r'name="ignore_empty"[^>]*checked', page.text)
    assert "The draft on Match variables switches it off, which waits for Import." in text_of(page)
    # Saving other settings keeps the draft's.
    page_after(visitor, "settings", {**AS_IT_IS, "ignore_empty": "on", "consent": "require"})
    assert "switches it off" in text_of(visitor.get(SETTINGS))
    assert view.ignores_empty_values(acme.store, acme.name)


def test_saving_settings_says_whether_a_run_starts(acme: Connected, visitor: Visitor) -> None:
    same = {**AS_IT_IS, "ignore_empty": "on"}
    assert "starts now" not in page_after(visitor, "settings", {**same, "default_region": "DE"})
    acme.import_rows({"emails": "email"})
    assert "starts now" in page_after(visitor, "settings", {**same, "default_region": "FI"})
    assert "starts now" not in page_after(
        visitor, "settings", {**same, "default_region": "FI", "consent": "ignore"}
    )
    page_after(visitor, "pause")
    assert "with the next run: acme is paused" in page_after(visitor, "settings", same)


def test_no_page_shows_a_path_of_the_server(acme: Connected, visitor: Visitor) -> None:
    path = acme.store.engine.url.database
    assert path is not None
    for page in ("/", SETTINGS, "/integrations/acme/match", "/integrations/acme/contacts"):
        assert path not in visitor.get(page).text
    assert "of the embedded SQLite database" in text_of(visitor.get(SETTINGS))


def test_invalid_settings_are_refused(acme: Connected, visitor: Visitor) -> None:
    for wrong in ({"default_region": HOSTILE}, {"consent": ""}, {"on_delete": "burn"}):
        answer = act(visitor, "settings", {**CHANGED, **wrong})
        assert answer.status_code == 422
        assert 'role="alert"' in answer.text
        assert "<script>alert" not in answer.text
    # What was typed is still there.
    assert re.search(r'value="require"[^>]*checked', answer.text)
    assert acme.record().consent == "respect"
    assert view.ignores_empty_values(acme.store, acme.name)


def test_settings_during_a_run(acme: Connected, visitor: Visitor) -> None:
    with sole_writer(acme.store.engine, acme.record()):
        answer = act(visitor, "settings", CHANGED)
        assert answer.status_code == 409
        assert "Another run of the connection acme is at work" in text_of(answer)
        assert "Another run" in page_after(visitor, "webhook", {"action": "register"})
        assert "Another run" in page_after(visitor, "disconnect", {"confirm": "acme"})
    assert acme.record().state == "draft"


def test_pause_and_resume(acme: Connected, visitor: Visitor) -> None:
    acme.import_all()
    assert "acme is paused" in page_after(visitor, "pause")
    assert acme.record().paused
    assert "acme resumed" in page_after(visitor, "resume")
    assert not acme.record().paused


def test_sync_now(acme: Connected, visitor: Visitor) -> None:
    assert "has not been imported yet" in page_after(visitor, "sync", {"kind": "full"})
    acme.import_all()
    answer = act(visitor, "sync", {"kind": "full"})
    assert answer.headers["location"] == "/integrations/acme/progress"
    request = requested_run(acme.record())
    assert request is not None
    assert (request.kind, request.dry_run, request.permissions) == ("full", False, NOTHING_ALLOWED)


def test_settings_link_to_what_a_guard_refused(acme: Connected, account: Account, visitor: Visitor) -> None:
    acme.import_all()
    acme.sync()
    assert "See what waits for you" not in text_of(visitor.get(SETTINGS))
    for number in range(1, 23):
        account.delete_person(number)
    with pytest.raises(Refused):
        acme.sync()
    for path in ("/", SETTINGS):
        assert 'href="/integrations/acme/progress">See what waits for you' in visitor.get(path).text
    # A run requested here has no permissions, whatever the form says.
    act(visitor, "sync", {"kind": "full", "allow_mass_delete": "on", "use_reserve": "on"})
    request = requested_run(acme.record())
    assert request is not None
    assert request.permissions == NOTHING_ALLOWED


# The webhook


def test_a_webhook(acme: Connected, visitor: Visitor) -> None:
    where = f"{visitor.url}/webhooks/pipedrive/acme"
    page = text_of(visitor.get(SETTINGS))
    assert "○ None: changes are found by polling" in page
    assert f"Pipedrive will send to {where}" in page
    page = page_after(visitor, "webhook", {"action": "register"})
    assert f"Webhook registered: Pipedrive sends changes to {where}." in page
    assert "● Registered" in page
    assert [each["subscription_url"] for each in acme.server.webhooks.shown()] == [where]
    page = page_after(visitor, "webhook", {"action": "remove"})
    assert "○ None" in page
    assert acme.server.webhooks.shown() == []


def test_a_public_address_webhooks_cannot_use(acme: Connected) -> None:
    app = build_app(acme.store, public_url="http://sync.example.com")
    with serving(acme.store, app=app) as url, visiting(url) as visitor:
        page = visitor.sign_in().get(SETTINGS)
        assert "use https://sync.example.com" in text_of(page)
        assert 'value="register"' not in page.text
        assert "use https://sync.example.com" in page_after(visitor, "webhook", {"action": "register"})


# Disconnect


def test_disconnecting_asks_for_the_name(acme: Connected, visitor: Visitor) -> None:
    for wrong in ("", "other", "ACME"):
        assert "type its name" in page_after(visitor, "disconnect", {"confirm": wrong, "forget": "on"})
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
    for form in ("pause", "sync", "webhook", "reconnect"):
        assert f'action="/integrations/acme/{form}"' not in page.text
    answer = act(visitor, "disconnect", {"confirm": "acme", "forget": "on"})
    assert "everything of it is forgotten but the list" in text_of(visitor.follow(answer))
    assert visitor.get(SETTINGS).status_code == 404
    with reading(acme.store.engine) as db:
        assert list_connections(db) == []


def test_a_webhook_left_behind_is_reported(acme: Connected, visitor: Visitor) -> None:
    page_after(visitor, "webhook", {"action": "register"})
    acme.account.token = "another"
    page = text_of(visitor.follow(act(visitor, "disconnect", {"confirm": "acme"})))
    assert f"The webhook to {visitor.url}/webhooks/pipedrive/acme may still be in Pipedrive" in page


def test_an_unknown_connection(visitor: Visitor) -> None:
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
    assert "Signed in with the app (OAuth)" in text_of(page)
    assert "reconnect" not in page.text
    pipedrive.set_scopes("base", "contacts:read")
    pipedrive.reconnect()
    page = pipedrive.visitor.get(SETTINGS)
    assert "Pipedrive let the app in without: Users, read only" in text_of(page)
    assert "Administer account" in text_of(page)
    assert f"form-action 'self' {pipedrive.server.url};" in page.headers["content-security-policy"]
    assert "allowed without the scope admin" in page_after(
        pipedrive.visitor, "webhook", {"action": "register"}
    )
    pipedrive.set_scopes("base", "contacts:read", "users:read", "admin")
    pipedrive.reconnect()
    assert "Pipedrive let the app in without" not in text_of(pipedrive.visitor.get(SETTINGS))


def test_a_revoked_app(pipedrive: Pipedrive) -> None:
    pipedrive.server.oauth.revoke_all()
    page = page_after(pipedrive.visitor, "webhook", {"action": "register"})
    assert "reconnects" in page
    assert "✗ Access lost: access was revoked or has expired" in page
    page = pipedrive.visitor.get(SETTINGS).text
    assert 'action="/integrations/acme/reconnect"' in page
    assert 'action="/integrations/acme/sync"' not in page
    pipedrive.reconnect()
    assert "● Registered" in page_after(pipedrive.visitor, "webhook", {"action": "register"})


def test_disconnecting_revokes_the_access(pipedrive: Pipedrive) -> None:
    act(pipedrive.visitor, "disconnect", {"confirm": "acme"})
    assert pipedrive.server.oauth.state()["grants"] == []


def test_no_page_contains_a_secret(pipedrive: Pipedrive) -> None:
    visitor = pipedrive.visitor
    pages = [page_after(visitor, "webhook", {"action": "register"})]
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
    assert record.credentials.encrypted_oauth_tokens
    secrets += re.findall(r'"([^"]{20,})"', decrypt(record.credentials.encrypted_oauth_tokens))
    assert record.webhook.encrypted_password
    secrets.append(decrypt(record.webhook.encrypted_password))
    assert len(secrets) == 6
    for page in pages:
        for secret in secrets:
            assert secret not in page


SAME_ORIGIN = {"sec-fetch-site": "same-origin"}


def test_input_survives_being_signed_out(acme: Connected, visitor: Visitor) -> None:
    visitor.get(SETTINGS)
    acme.execute("DELETE FROM sync_sessions")
    typed = {"consent": "require", "on_delete": "keep", "default_region": "SE"}
    page = visitor.post(SETTINGS, typed, headers=SAME_ORIGIN)
    assert page.status_code == 403
    assert "You were signed out; nothing was saved yet. Sign in, and what you typed comes back." in text_of(
        page
    )
    assert acme.record().consent == "respect"
    (carried,) = re.findall(r'name="kept" value="([^"]+)"', page.text)
    fields = {"password": PASSWORD, "kept": unescape(carried)}
    # A wrong password loses nothing either.
    again = visitor.post("/sign-in", fields | {"password": "a wrong one"})
    assert f'name="kept" value="{carried}"' in again.text
    page = visitor.post("/sign-in", fields)
    assert "What you typed before was not saved. It is still here." in text_of(page)
    assert acme.record().consent == "respect"
    hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text))
    assert {name: hidden[name] for name in typed} == typed
    assert visitor.post(SETTINGS, hidden).status_code == 303
    assert (acme.record().consent, acme.record().on_delete) == ("require", "keep")


@pytest.mark.parametrize("path", ["disconnect", "sync", "pause", "runs/x/deletions"])
def test_actions_are_not_repeated_after_signing_in(acme: Connected, visitor: Visitor, path: str) -> None:
    visitor.get(SETTINGS)
    acme.execute("DELETE FROM sync_sessions")
    page = visitor.post(f"/integrations/acme/{path}", {"confirm": "acme"}, headers=SAME_ORIGIN)
    assert "nothing was saved yet. Sign in, and do it again." in text_of(page)
    assert 'name="kept"' not in page.text
    forged = {"password": PASSWORD, "kept": f'["/integrations/acme/{path}", [["confirm", "acme"]]]'}
    assert visitor.post("/sign-in", forged).status_code == 303
    assert acme.record().state == "draft"


def test_a_page_soon_reports_a_locked_database(acme: Connected) -> None:
    url = acme.store.engine.url.render_as_string(hide_password=False)
    # As `serve` opens it, which waits less long than a run.
    store = Store.open(url, sqlite_wait_seconds=0.2)
    with serving(store) as pages, visiting(pages) as visitor:
        visitor.sign_in().get(SETTINGS)
        with acme.store.engine.begin():
            page = visitor.post("/integrations/acme/pause")
        assert page.status_code == 503
        assert "is locked by another program" in text_of(page)
        assert not acme.record().paused
        assert visitor.post("/integrations/acme/pause").status_code == 303
    store.close()
