"""OAuth tokens over the life of a connection: renewed in time, renewed once for all processes, and lost with a
report."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import pytest

from wooxy_pipedrive_etl.automation import alerts
from wooxy_pipedrive_etl.automation.due import due, schema_due
from wooxy_pipedrive_etl.automation.polls import poll_fields, poll_persons
from wooxy_pipedrive_etl.automation.waiting import Waiting
from wooxy_pipedrive_etl.connections import credentials, installations
from wooxy_pipedrive_etl.connections.credentials import AHEAD, AccessLost, pipedrive_client
from wooxy_pipedrive_etl.errors import InvalidSetting, SyncError
from wooxy_pipedrive_etl.http_api.errors import ServerError
from wooxy_pipedrive_etl.pipedrive.errors import InvalidApp, InvalidToken
from wooxy_pipedrive_etl.sandbox.pipedrive import Fault
from wooxy_pipedrive_etl.settings import KEY_VARIABLE, OAUTH_CLIENT_ID_VARIABLE, OAUTH_CLIENT_SECRET_VARIABLE
from wooxy_pipedrive_etl.store import Store
from wooxy_pipedrive_etl.store.secrets import KeyUnusable
from wooxy_pipedrive_etl.sync import catalogue, persons
from wooxy_pipedrive_etl.sync.run import begin
from wooxy_pipedrive_etl_tests.consent import CLIENT_SECRET, ByOAuth, connected_by_oauth
from wooxy_pipedrive_etl_tests.scenario import FakeClock, Target, add_person, everything, small_account
from wooxy_pipedrive_etl_tests.state import change_stored
from wooxy_pipedrive_etl_tests.store.programs import program, read_line, say

ROWS: dict[str, Target] = {"emails": "email", "name": "name"}
REVOKED = (
    r"^The connection acme lost access to Pipedrive, because access .*: Integrations > acme > Reconnect\.$"
)

# Another program that calls Pipedrive with the connection's credentials when told to.
_ASK = """
import sys
from wooxy_pipedrive_etl.store import Store
from wooxy_pipedrive_etl.store.connections import get_connection
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.connections.credentials import pipedrive_client
store = Store.open(sys.argv[1])
with reading(store.engine) as db:
    record = get_connection(db, "acme")
with pipedrive_client(store, record) as client:
    print("ready", flush=True)
    input()
    print(client.account().company_id, flush=True)
"""


@pytest.fixture
def acme(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[ByOAuth]:
    with connected_by_oauth(sqlite_url, small_account(), monkeypatch) as acme:
        yield acme


def tokens(acme: ByOAuth) -> credentials.Tokens:
    stored = acme.record().credentials
    assert stored.encrypted_oauth_tokens is not None
    return credentials.stored_tokens(acme.store, stored.encrypted_oauth_tokens, stored.oauth_expires_at)


def change(acme: ByOAuth, **values: Any) -> None:
    with acme.store.engine.begin() as db:
        change_stored(db, acme.record().id, **values)


def end_in(acme: ByOAuth, left: timedelta) -> None:
    """Sets how long the access token lives."""
    change(acme, oauth_expires_at=(datetime.now(UTC) + left).replace(tzinfo=None))


def company_of(acme: ByOAuth) -> int:
    """One request with the connection's credentials."""
    with pipedrive_client(acme.store, acme.record()) as client:
        return client.account().company_id


def test_a_valid_access_token_is_used_without_renewal(acme: ByOAuth) -> None:
    acme.import_rows(ROWS)
    assert acme.sync()["created"] == 3
    add_person(acme.account, 4)
    assert acme.sync("changes")["created"] == 1
    end_in(acme, AHEAD + timedelta(minutes=30))
    assert company_of(acme) == 777
    assert acme.token_requests() == 0
    status = acme.status()
    assert (status.access, status.access_lost, status.paused) == ("oauth", None, False)
    assert status.scopes == ["admin", "base", "contacts:read", "users:read"]


def test_an_expiring_access_token_is_renewed_before_use(acme: ByOAuth) -> None:
    acme.import_rows(ROWS)
    before = tokens(acme)
    end_in(acme, AHEAD - timedelta(seconds=1))
    assert acme.sync()["created"] == 3
    after = tokens(acme)
    assert acme.token_requests() == 1
    assert {request.status for request in acme.server.requests} == {200}
    assert (after.access_token != before.access_token, after.refresh_token) == (True, before.refresh_token)
    assert not after.end_soon()
    assert after.expires_at - datetime.now(UTC).replace(tzinfo=None) > timedelta(minutes=30)
    assert acme.sync()["unchanged"] == 3
    assert acme.token_requests() == 1


def test_an_access_token_refused_mid_run_is_renewed(acme: ByOAuth) -> None:
    acme.import_rows(ROWS)
    with begin(acme.store, acme.name, "run") as run:
        catalogue.read_catalogue(run)
        acme.server.oauth.expire_access_tokens()
        assert persons.fetch_persons(run).fetched == 3
    assert acme.token_requests() == 1
    assert [request.status for request in acme.server.requests].count(401) == 1


def test_repeatedly_refused_access_tokens_end_the_run(acme: ByOAuth) -> None:
    acme.import_rows(ROWS)
    acme.server.faults.add(Fault("unauthorized_401", "/api", times=None))
    with pytest.raises(
        InvalidToken, match=r"answered GET /api/v1/users/me with 401.*: reconnect the account \["
    ):
        acme.sync()
    assert acme.token_requests() == 1
    assert acme.status().access_lost is None


@pytest.mark.parametrize("how", ["ends soon", "refused"])
def test_many_at_once_renew_once(database_url: str, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    with connected_by_oauth(database_url, small_account(), monkeypatch) as acme:
        _renewed_once(acme, how)


def _renewed_once(acme: ByOAuth, how: str) -> None:
    if how == "refused":
        acme.server.oauth.expire_access_tokens()
    else:
        end_in(acme, timedelta())
    together, record = Barrier(6), acme.record()
    with ExitStack() as stack:
        clients = [stack.enter_context(pipedrive_client(acme.store, record)) for _ in range(3)]

        def ask(number: int) -> int:
            together.wait()
            return clients[number % 3].account().company_id

        with ThreadPoolExecutor(6) as pool:
            assert set(pool.map(ask, range(6))) == {777}
    assert acme.token_requests() == 1


def test_two_programs_renew_once(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with connected_by_oauth(database_url, small_account(), monkeypatch) as acme:
        end_in(acme, timedelta())
        with program(_ASK, database_url) as first, program(_ASK, database_url) as second:
            for each in (first, second):
                assert read_line(each) == "ready"
            for each in (first, second):
                say(each)
            assert [read_line(first), read_line(second)] == ["777", "777"]
        assert acme.token_requests() == 1
        assert company_of(acme) == 777
        assert acme.token_requests() == 1


def test_a_renewal_does_not_wait_for_sqlites_writer(acme: ByOAuth, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "STORING_SECONDS", 0.05)
    end_in(acme, timedelta())
    # The writer may be a run in another program, or the very thread that makes the request.
    with (
        pipedrive_client(acme.store, acme.record()) as client,
        acme.store.engine.begin() as db,
    ):
        change_stored(db, acme.record().id, watermark=1)
        assert client.account().company_id == 777
        assert client.account().company_id == 777
    assert acme.token_requests() == 1
    assert acme.record().sync_state.watermark == 1
    assert company_of(acme) == 777
    assert acme.token_requests() == 2
    assert not tokens(acme).end_soon()


def test_lost_access_is_reported_despite_a_busy_database(
    acme: ByOAuth, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "STORING_SECONDS", 0.05)
    acme.server.oauth.revoke_all()
    with acme.store.engine.begin(), pytest.raises(AccessLost, match=REVOKED):
        company_of(acme)
    assert acme.status().access_lost is None
    with pytest.raises(AccessLost, match=REVOKED):
        company_of(acme)
    assert acme.status().access_lost == "revoked"


def test_an_app_revoked_mid_run_stops_all_runs(acme: ByOAuth) -> None:
    acme.import_rows(ROWS)
    acme.sync()
    with begin(acme.store, acme.name, "run") as run:
        catalogue.read_catalogue(run)
        acme.server.oauth.revoke_all()
        with pytest.raises(AccessLost, match=REVOKED):
            persons.fetch_persons(run)
    assert acme.status().access_lost == "revoked"
    acme.server.clear_requests()
    with pytest.raises(AccessLost, match=REVOKED):
        acme.sync()
    with pytest.raises(AccessLost, match=REVOKED):
        company_of(acme)
    now, record = datetime.now(UTC) + timedelta(days=1), acme.record()
    for look in (due, schema_due, poll_persons, poll_fields):
        found = look(acme.store, record, now)
        assert isinstance(found, Waiting)
        assert "Reconnect" in found.reason
    assert acme.server.requests == []


def test_a_revoked_app_is_noticed_by_a_poll(acme: ByOAuth, caplog: pytest.LogCaptureFixture) -> None:
    acme.import_rows(ROWS)
    acme.sync()
    acme.server.oauth.revoke_all()
    now = datetime.now(UTC) + timedelta(days=1)
    assert poll_persons(acme.store, acme.record(), now) is None
    assert acme.status().access_lost == "revoked"
    assert "Integrations > acme > Reconnect" in caplog.text


def test_an_app_uninstalled_mid_run_ends_the_run(acme: ByOAuth) -> None:
    acme.import_rows(ROWS)
    acme.sync()
    record = acme.record()
    assert record.credentials.oauth_user_id is not None
    with begin(acme.store, acme.name, "run") as run:
        catalogue.read_catalogue(run)
        acme.server.oauth.uninstall(record.credentials.oauth_user_id)
        assert installations.uninstalled(acme.store, record.company_id, record.credentials.oauth_user_id) == [
            "acme"
        ]
        with pytest.raises(
            AccessLost, match=r"because the app was uninstalled in Pipedrive\. .* > Reconnect\.$"
        ):
            persons.fetch_persons(run)
    assert (acme.status().state, acme.status().access_lost) == ("disconnected", "uninstalled")
    with pytest.raises(AccessLost, match="was uninstalled"):
        acme.sync()
    with pytest.raises(AccessLost, match="was uninstalled"):
        company_of(acme)
    assert acme.token_requests() == 0


def test_fresh_consent_replaces_a_token_being_renewed(acme: ByOAuth) -> None:
    fresh = credentials.tokens_of(acme.store, acme.app.exchange(acme.code()))
    dead = acme.store.secrets.encrypt('{"access_token": "x", "refresh_token": "y"}')
    change(acme, encrypted_oauth_tokens=dead, oauth_expires_at=datetime(2020, 1, 1))

    def allow(_: object) -> None:
        change(acme, encrypted_oauth_tokens=fresh.encrypted, oauth_expires_at=fresh.expires_at)

    acme.server.faults.add(Fault("on_page", "/oauth/token", on_page=allow))
    acme.server.clear_requests()
    assert company_of(acme) == 777
    assert acme.token_requests() == 1
    assert acme.status().access_lost is None
    assert acme.record().credentials.encrypted_oauth_tokens == fresh.encrypted


def test_an_unavailable_token_endpoint_does_not_lose_access(acme: ByOAuth) -> None:
    acme.import_rows(ROWS)
    end_in(acme, timedelta())
    acme.server.faults.add(Fault("status", "/oauth/token", times=3, status=503))
    with pytest.raises(ServerError, match="/oauth/token answered 503"):
        acme.sync()
    assert acme.sync()["created"] == 3


def test_a_missing_app_matters_only_for_renewal(acme: ByOAuth, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(OAUTH_CLIENT_ID_VARIABLE)
    monkeypatch.delenv(OAUTH_CLIENT_SECRET_VARIABLE)
    assert company_of(acme) == 777
    end_in(acme, timedelta())
    with pytest.raises(InvalidSetting, match=r"^The connection acme needs the OAuth app, but .* are empty"):
        company_of(acme)
    monkeypatch.setenv(OAUTH_CLIENT_ID_VARIABLE, acme.app.client_id)
    monkeypatch.setenv(OAUTH_CLIENT_SECRET_VARIABLE, "another")
    with pytest.raises(InvalidApp, match="check the client ID"):
        company_of(acme)
    assert acme.status().access_lost is None


def test_tokens_encrypted_with_another_key_stop_the_run(
    acme: ByOAuth, monkeypatch: pytest.MonkeyPatch
) -> None:
    acme.import_rows(ROWS)
    monkeypatch.setenv(KEY_VARIABLE, "A" * 43 + "=")
    other = Store.open(acme.store.engine.url.render_as_string(hide_password=False))
    with pytest.raises(KeyUnusable, match=KEY_VARIABLE), begin(other, acme.name, "run"):
        pass
    other.close()
    assert acme.server.requests == []


def test_a_disconnected_connection_has_no_credentials(acme: ByOAuth) -> None:
    change(acme, state="disconnected")
    with pytest.raises(SyncError, match="is disconnected; connect it again"):
        company_of(acme)


def test_no_oauth_secret_is_stored_or_shown(
    acme: ByOAuth, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    acme.import_rows(ROWS)
    secrets, shown = {CLIENT_SECRET, *_parts(tokens(acme))}, []
    end_in(acme, timedelta())
    acme.sync()
    secrets.update(_parts(tokens(acme)))
    acme.server.oauth.expire_access_tokens()
    acme.sync()
    secrets.update(_parts(tokens(acme)))
    assert len(secrets) == 5
    acme.server.oauth.revoke_all()
    with pytest.raises(AccessLost) as lost:
        acme.sync()
    shown += [str(lost.value), repr(lost.value.__context__), caplog.text, everything(acme.store)]
    shown += [repr(acme.record()), repr(tokens(acme)), repr(acme.store), str(acme.status()), repr(acme.app)]
    shown += [str(alerts.failure_text(acme.store, acme.name, acme.last_run().run_id))]
    assert "example.com" in shown[3]
    assert not [secret for secret in secrets for text in shown if secret in text]


def _parts(found: credentials.Tokens) -> set[str]:
    return {found.access_token, found.refresh_token}
