"""From Allow and Install to a connection, and what can happen to the consent: repeated, returned, revoked."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from wooxy_pipedrive_etl.connections import accounts, installations, webhooks
from wooxy_pipedrive_etl.connections.credentials import AccessLost, stored_tokens
from wooxy_pipedrive_etl.connections.installations import suggested_name
from wooxy_pipedrive_etl.errors import InvalidSetting, WrongAccount
from wooxy_pipedrive_etl.matching import view
from wooxy_pipedrive_etl.pipedrive.errors import GrantRefused, InvalidToken, MissingScope
from wooxy_pipedrive_etl.sandbox.pipedrive import SCOPES, Account, Fault, SandboxServer
from wooxy_pipedrive_etl.settings import OAUTH_URL_VARIABLE
from wooxy_pipedrive_etl.store import tables
from wooxy_pipedrive_etl.store.installations import UnknownInstallation
from wooxy_pipedrive_etl.views.status import ConnectionStatus, statuses
from wooxy_pipedrive_etl_tests.consent import ByOAuth, allow, connected_by_oauth, register
from wooxy_pipedrive_etl_tests.scenario import (
    Connected,
    Target,
    add_person,
    connected,
    everything,
    new_token,
    small_account,
)
from wooxy_pipedrive_etl_tests.state import change_stored
from wooxy_pipedrive_etl_tests.web.served import serving

ROWS: dict[str, Target] = {"emails": "email", "name": "name"}
SMALL = ("base", "contacts:read")


@pytest.fixture
def acme(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[ByOAuth]:
    with connected_by_oauth(sqlite_url, small_account(), monkeypatch) as acme:
        yield acme


def ids(acme: ByOAuth) -> list[int]:
    return [each.id for each in installations.waiting(acme.store)]


def user(acme: ByOAuth) -> tuple[int, int]:
    return acme.account.company_id, acme.account.token_owner_id


def disconnect(acme: ByOAuth, name: str | None = None, *, forget: bool = False) -> str | None:
    return accounts.disconnect(acme.store, name or acme.name, forget=forget)


def reconnect(acme: ByOAuth) -> None:
    installations.reconnect(acme.store, acme.app, acme.name, acme.code())


def second(acme: ByOAuth) -> None:
    """Another connection of the same Pipedrive user."""
    acme.choose_domain(acme.install(), name="bolt", domain="news.example.com")


def status_of(acme: Connected, name: str) -> ConnectionStatus:
    (found,) = statuses(acme.store, name)
    return found


# Allow and Install


def test_from_a_code_to_contacts(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with connected_by_oauth(database_url, small_account(), monkeypatch) as acme:
        disconnect(acme, forget=True)
        waiting = acme.install()
        assert waiting == installations.get(acme.store, waiting.id)
        assert installations.waiting(acme.store) == [waiting]
        assert (waiting.company_id, waiting.user_id) == user(acme)
        assert (waiting.company_name, waiting.company_domain) == ("Example Oy", "example")
        assert (waiting.user_name, waiting.is_admin) == ("Sync Bot", True)
        assert (waiting.api_url, waiting.access, waiting.scopes) == (
            acme.server.url,
            "oauth",
            frozenset(SCOPES),
        )
        assert waiting.connected_to == []
        record = acme.choose_domain(waiting, default_region="fi", consent="require", on_delete="keep")
        assert (record.state, record.default_region, record.consent, record.on_delete) == (
            "draft", "FI", "require", "keep",
        )  # fmt: skip
        assert installations.waiting(acme.store) == []
        acme.import_rows(ROWS)
        assert acme.sync()["created"] == 3


def test_a_used_code_changes_nothing(acme: ByOAuth) -> None:
    code = acme.code()
    installations.install_with_code(acme.store, acme.app, code)
    before = everything(acme.store)
    with pytest.raises(GrantRefused, match="reconnect the account"):
        installations.install_with_code(acme.store, acme.app, code)
    assert everything(acme.store) == before


@pytest.mark.parametrize("scopes", [("base",), ("base", "admin")])
def test_a_grant_lacking_scopes_is_revoked(acme: ByOAuth, scopes: tuple[str, ...]) -> None:
    disconnect(acme, forget=True)
    acme.set_scopes(*scopes)
    with pytest.raises(MissingScope, match=r"without the scope contacts:read \(Contacts, read only\)"):
        acme.install()
    assert installations.waiting(acme.store) == []
    assert acme.grants() == []


def test_a_grant_lacking_scopes_is_kept_if_needed(acme: ByOAuth) -> None:
    acme.set_scopes("base")
    with pytest.raises(MissingScope):
        acme.install()
    acme.import_rows(ROWS)
    assert acme.sync()["created"] == 3


def test_an_api_token_waits_for_its_domain_too(acme: ByOAuth) -> None:
    acme.install()
    waiting = installations.install_with_api_token(acme.store, acme.server.url + "/", acme.account.token)
    assert (waiting.api_url, waiting.access, waiting.scopes) == (acme.server.url, "api token", None)
    # The OAuth consent is a separate installation, also waiting.
    assert (ids(acme)[0], len(ids(acme)), waiting.connected_to) == (waiting.id, 2, [])
    record = acme.choose_domain(waiting, name="bolt", domain="news.example.com")
    assert status_of(acme, record.name).access == "api token"
    assert acme.account.token not in everything(acme.store) + repr(waiting)
    with pytest.raises(InvalidToken):
        installations.install_with_api_token(acme.store, acme.server.url, "wrong")
    assert len(ids(acme)) == 1


def test_waiting_installations_hide_secrets_and_expire(acme: ByOAuth) -> None:
    first = acme.install()
    assert first.tokens is not None
    stored = stored_tokens(acme.store, first.tokens.encrypted, first.tokens.expires_at)
    shown = repr(first) + everything(acme.store)
    assert stored.access_token not in shown
    assert stored.refresh_token not in shown
    assert first.tokens.encrypted not in repr(first)
    # A repeated consent replaces the first.
    again = acme.install()
    assert ids(acme) == [again.id]
    with acme.store.engine.begin() as db:
        old = datetime.now(UTC).replace(tzinfo=None) - timedelta(days=1, minutes=1)
        db.execute(tables.installations.update().values(created_at=old))
    token = installations.install_with_api_token(acme.store, acme.server.url, acme.account.token)
    assert ids(acme) == [token.id]
    with pytest.raises(UnknownInstallation, match="start again with Add integration"):
        installations.get(acme.store, again.id)


def test_tokens_expired_before_choosing_the_domain_are_renewed(acme: ByOAuth) -> None:
    disconnect(acme, forget=True)
    waiting = acme.install()
    with acme.store.engine.begin() as db:
        db.execute(tables.installations.update().values(oauth_expires_at=datetime(2020, 1, 1)))
    acme.server.oauth.expire_access_tokens()
    acme.server.clear_requests()
    acme.choose_domain(waiting)
    assert acme.token_requests() == 1
    acme.import_rows(ROWS)
    assert acme.sync()["created"] == 3
    assert acme.token_requests() == 1


def test_an_app_revoked_before_the_domain_is_chosen(acme: ByOAuth) -> None:
    disconnect(acme, forget=True)
    waiting = acme.install()
    with acme.store.engine.begin() as db:
        db.execute(tables.installations.update().values(oauth_expires_at=datetime(2020, 1, 1)))
    acme.server.oauth.revoke_all()
    with pytest.raises(
        AccessLost, match=r"lost access to Example Oy, .*; start again with Add integration\.$"
    ):
        acme.choose_domain(waiting)
    assert ids(acme) == []


def test_a_forgotten_installation_is_revoked_unless_needed(
    acme: ByOAuth, caplog: pytest.LogCaptureFixture
) -> None:
    installations.forget(acme.store, acme.install().id)
    # The connection still needs it.
    assert len(acme.grants()) == 2
    disconnect(acme, forget=True)
    waiting = acme.install()
    installations.forget(acme.store, waiting.id)
    assert (acme.grants(), ids(acme)) == ([], [])
    with pytest.raises(UnknownInstallation):
        installations.forget(acme.store, waiting.id)
    acme.server.faults.add(Fault("status", "/oauth/revoke", times=3, status=503))
    installations.forget(acme.store, acme.install().id)
    assert ids(acme) == []
    assert "may still be installed" in caplog.text


def test_invalid_settings_leave_it_waiting(acme: ByOAuth) -> None:
    waiting = acme.install()
    with pytest.raises(InvalidSetting, match="is not a region"):
        acme.choose_domain(waiting, name="bolt", domain="news.example.com", default_region="Finland")
    assert ids(acme) == [waiting.id]


# Consent given again


def test_new_scopes_reach_all_connections_of_the_user(acme: ByOAuth) -> None:
    second(acme)
    acme.server.oauth.revoke_all()
    with pytest.raises(AccessLost):
        webhooks.register(acme.store, acme.name, "https://sync.example.com")
    acme.set_scopes(*SMALL)
    waiting = acme.install()
    assert waiting.connected_to == ["acme", "bolt"]
    for name in ("acme", "bolt"):
        row = status_of(acme, name)
        assert (row.scopes, row.access_lost) == (sorted(SMALL), None)
    acme.import_rows(ROWS)
    assert acme.sync()["created"] == 3


def test_reconnected_after_access_was_revoked(acme: ByOAuth) -> None:
    acme.import_rows(ROWS)
    acme.sync()
    second(acme)
    acme.server.oauth.revoke_all()
    for name in ("acme", "bolt"):
        with pytest.raises(AccessLost):
            webhooks.register(acme.store, name, "https://sync.example.com")
    add_person(acme.account, 4)
    reconnect(acme)
    for name, state in (("acme", "active"), ("bolt", "draft")):
        assert (status_of(acme, name).access_lost, status_of(acme, name).state) == (None, state)
    assert acme.sync("changes")["created"] == 1


@pytest.mark.parametrize("imported", [True, False])
def test_reconnected_after_it_was_uninstalled(acme: ByOAuth, imported: bool) -> None:
    if imported:
        acme.import_rows(ROWS)
        acme.sync()
    waiting = acme.install()
    acme.server.oauth.uninstall(user(acme)[1])
    assert installations.uninstalled(acme.store, *user(acme)) == ["acme"]
    assert installations.uninstalled(acme.store, *user(acme)) == []
    assert waiting.id not in ids(acme)
    left = acme.record().credentials
    assert (acme.record().state, left.access_lost, left.access) == ("disconnected", "uninstalled", "oauth")
    assert (left.encrypted_oauth_tokens, left.oauth_expires_at, left.oauth_scopes) == (None, None, None)
    reconnect(acme)
    assert acme.status().state == ("active" if imported else "draft")
    if imported:
        assert acme.sync()["unchanged"] == 3


def test_uninstalling_disconnects_only_the_users_oauth_connections(acme: ByOAuth) -> None:
    second(acme)
    token = installations.install_with_api_token(acme.store, acme.server.url, acme.account.token)
    acme.choose_domain(token, name="core", domain="core.example.com")
    with acme.store.engine.begin() as db:
        change_stored(
            db,
            acme.record().id,
            webhook_id=7,
            url="https://x",
            encrypted_password="p",
        )
    company_id, user_id = user(acme)
    assert installations.uninstalled(acme.store, company_id, user_id + 1) == []
    assert installations.uninstalled(acme.store, company_id + 1, user_id) == []
    assert installations.uninstalled(acme.store, company_id, user_id) == ["acme", "bolt"]
    assert status_of(acme, "core").state == "draft"
    record = acme.record()
    assert (record.webhook.webhook_id, record.webhook.url, record.webhook.encrypted_password) == (
        None,
        None,
        None,
    )


def test_consent_for_another_company_is_refused_and_revoked(acme: ByOAuth) -> None:
    acme.import_rows(ROWS)
    other = Account(company_id=778, token=new_token())
    with SandboxServer(other) as server:
        app = register(server)
        with pytest.raises(
            WrongAccount, match="belong to the Pipedrive company 778, but it was connected with 777"
        ):
            installations.reconnect(acme.store, app, acme.name, allow(server, app))
        assert server.oauth.state()["grants"] == []
    assert acme.sync()["created"] == 3


def test_consent_lacking_scopes_does_not_change_the_connection(acme: ByOAuth) -> None:
    acme.server.oauth.revoke_all()
    with pytest.raises(AccessLost):
        webhooks.register(acme.store, acme.name, "https://sync.example.com")
    acme.set_scopes("base")
    with pytest.raises(MissingScope):
        reconnect(acme)
    assert acme.status().access_lost == "revoked"
    assert acme.grants() == []


def test_a_disconnected_connection_must_be_connected_again(acme: ByOAuth) -> None:
    acme.import_rows(ROWS)
    acme.sync()
    disconnect(acme)
    code = acme.code()
    with pytest.raises(InvalidSetting, match="is disconnected; connect it again"):
        installations.reconnect(acme.store, acme.app, acme.name, code)
    waiting = installations.install_with_code(acme.store, acme.app, code)
    assert acme.choose_domain(waiting).state == "active"
    assert acme.sync()["unchanged"] == 3


def test_an_api_token_connection_can_switch_to_oauth(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connected(sqlite_url, small_account()) as acme:
        app = register(acme.server)
        monkeypatch.setenv(OAUTH_URL_VARIABLE, acme.server.url)
        record = installations.reconnect(acme.store, app, acme.name, allow(acme.server, app))
        given = record.credentials
        assert (given.access, given.encrypted_api_token, record.state) == ("oauth", "", "draft")
        acme.account.token = new_token()
        acme.import_rows(ROWS)
        assert acme.sync()["created"] == 3


# Disconnected


def test_disconnecting_uninstalls_the_app_once_nothing_needs_it(acme: ByOAuth) -> None:
    second(acme)
    waiting = acme.install()
    assert disconnect(acme) is None
    left = acme.record().credentials
    assert acme.record().state == "disconnected"
    assert (left.encrypted_oauth_tokens, left.access_lost) == (None, None)
    assert disconnect(acme, "bolt", forget=True) is None
    assert len(acme.grants()) == 3
    # Nobody chooses a domain for the last one.
    installations.forget(acme.store, waiting.id)
    assert acme.grants() == []


def test_disconnecting_reports_an_app_left_installed(acme: ByOAuth) -> None:
    acme.server.faults.add(Fault("status", "/oauth/revoke", times=None, status=503))
    left = disconnect(acme)
    assert left is not None
    assert re.match(r"The app may still be installed in Pipedrive, .*answered 503.*; uninstall it in", left)
    assert acme.status().state == "disconnected"
    assert disconnect(acme) is None


def test_disconnecting_after_access_was_lost(acme: ByOAuth) -> None:
    acme.server.oauth.revoke_all()
    with pytest.raises(AccessLost):
        webhooks.register(acme.store, acme.name, "https://sync.example.com")
    assert disconnect(acme) is None
    assert (acme.status().state, acme.status().access_lost) == ("disconnected", None)


# What is not allowed


def test_only_webhooks_need_the_admin_scope(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with connected_by_oauth(sqlite_url, small_account(), monkeypatch, scopes=SMALL) as acme:
        says = (
            r"without the scope admin \(Administer account\).*> acme > Reconnect\), or continue with polling"
        )
        with pytest.raises(MissingScope, match=says):
            webhooks.register(acme.store, acme.name, acme.server.url)
        assert acme.server.requests == []
        acme.import_rows(ROWS)
        with acme.store.engine.begin() as db:
            url = "https://sync.example.com/webhooks/pipedrive/acme"
            change_stored(db, acme.record().id, url=url)
        found = webhooks.look_after(acme.store, acme.name)
        assert found.state == "unavailable"
        assert "changes are found by polling" in found.message
        assert acme.sync()["created"] == 3
        assert acme.requests("/api/v1/webhooks") == []


def test_only_owner_names_need_the_users_scope(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    account = small_account()
    account.edit_person(1, org_id=account.add_organization("Acme Oy"))
    with connected_by_oauth(sqlite_url, account, monkeypatch, scopes=SMALL) as acme:
        acme.import_rows({**ROWS, "owner_id": "owner", "org_id": "company"})
        preview = {row.pipedrive: row.preview for row in view.show_matching(acme.store, acme.name)[0]}
        assert preview["org_id"] == "Acme Oy"
        assert acme.sync()["created"] == 3
        assert set(acme.column("owner").values()) == {None}
        assert len(acme.issues()) == 3
        assert all("names a user that could not be seen" in issue["message"] for issue in acme.issues())
        assert acme.requests("/api/v1/users") == ["/api/v1/users/me"]
        acme.set_scopes(*SMALL, "users:read")
        reconnect(acme)
        assert acme.sync("changes")["updated"] == 3
        assert set(acme.column("owner").values()) == {"Sync Bot"}
        assert acme.issues() == []


def test_webhooks_are_removed_with_the_app(acme: ByOAuth, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    with serving(acme.store) as receiver:
        assert webhooks.register(acme.store, acme.name, receiver).state == "registered"
    assert len(acme.server.webhooks.shown()) == 1
    assert disconnect(acme) is None
    assert acme.server.webhooks.shown() == []
    assert caplog.text == ""


# Names


@pytest.mark.parametrize(
    ("company_domain", "taken", "name"),
    [
        ("acme", (), "acme"),
        ("acme", ("acme", "acme-2"), "acme-3"),
        ("Ääkköset & Co.", (), "kk-set-Co"),
        ("", ("pipedrive",), "pipedrive-2"),
        ("-._", (), "pipedrive"),
        ("a" * 80, (), "a" * 63),
        ("a" * 80, ("a" * 63,), "a" * 61 + "-2"),
    ],
)
def test_a_usable_name_is_suggested(company_domain: str, taken: tuple[str, ...], name: str) -> None:
    assert suggested_name(company_domain, taken) == name
    accounts.check_name(name)
