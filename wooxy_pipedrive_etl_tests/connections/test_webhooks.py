"""A connection's webhook: registered once, verified, removed, and what Pipedrive may do to it meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from wooxy_pipedrive_etl.connections import accounts, webhooks
from wooxy_pipedrive_etl.connections.webhooks import WebhookState
from wooxy_pipedrive_etl.errors import InvalidSetting, WrongAccount
from wooxy_pipedrive_etl.http_api.errors import OutcomeUnknown, ServerError
from wooxy_pipedrive_etl.pipedrive.errors import (
    InvalidToken,
    MissingScope,
    NotAccepted,
)
from wooxy_pipedrive_etl.sandbox.pipedrive import Fault
from wooxy_pipedrive_etl.sandbox.pipedrive.subscriptions import Subscription
from wooxy_pipedrive_etl.sandbox.pipedrive.webhooks import MAX_WEBHOOKS_PER_USER
from wooxy_pipedrive_etl.store import Store
from wooxy_pipedrive_etl.store.connections import UnknownConnection
from wooxy_pipedrive_etl.store.inbox import Hints, add_event, count_hints, pending_hints, received
from wooxy_pipedrive_etl.store.locks import ConnectionBusy, sole_writer
from wooxy_pipedrive_etl.views.status import Webhook
from wooxy_pipedrive_etl_tests.scenario import Connected, add_person, connected, new_token, small_account
from wooxy_pipedrive_etl_tests.state import change_stored
from wooxy_pipedrive_etl_tests.web.served import serving

WEBHOOKS = "/api/v1/webhooks"


@pytest.fixture
def state_url(request: pytest.FixtureRequest) -> str:
    """SQLite, except for tests of what the databases store."""
    url: str = request.getfixturevalue(getattr(request, "param", "sqlite_url"))
    return url


on_both_databases = pytest.mark.parametrize("state_url", ["sqlite_url", "postgres_url"], indirect=True)


@pytest.fixture
def acme(state_url: str) -> Iterator[Connected]:
    with connected(state_url, small_account()) as acme:
        yield acme


@pytest.fixture
def receiver(acme: Connected) -> Iterator[str]:
    with serving(acme.store) as url:
        yield url


@contextmanager
def _second(acme: Connected, name: str, domain: str) -> Iterator[Connected]:
    """Another connection of the same Pipedrive account in the same store."""
    second = Connected(acme.account, acme.server, acme.store, name, domain)
    second.connect()
    yield second


def listed(acme: Connected) -> list[dict[str, Any]]:
    return acme.server.webhooks.shown()


def urls(acme: Connected) -> list[str]:
    return [each["subscription_url"] for each in listed(acme)]


def register(acme: Connected, url: str) -> WebhookState:
    return webhooks.register(acme.store, acme.name, url)


def look_after(acme: Connected) -> WebhookState:
    return webhooks.look_after(acme.store, acme.name)


def hints(acme: Connected) -> Hints:
    return pending_hints(acme.store.inbox, acme.record().id)


def statuses(acme: Connected) -> set[int | None]:
    acme.server.webhooks.wait_until_attempted()
    return {delivery.status for delivery in acme.server.webhooks.deliveries()}


def foreign(acme: Connected, url: str, **values: Any) -> int:
    """A webhook created by someone else; returns its id."""
    asked = Subscription(
        **{
            "subscription_url": url,
            "event_action": "*",
            "event_object": "person",
            "name": "theirs",
            "user_id": acme.account.token_owner_id,
            **values,
        }
    )
    return int(acme.server.webhooks.add(asked, owner_id=acme.account.token_owner_id, by_app=False)["id"])


@on_both_databases
def test_from_an_edit_to_the_inbox(acme: Connected, receiver: str) -> None:
    state = register(acme, receiver)
    url = f"{receiver}/webhooks/pipedrive/acme"
    assert (state.state, state.url) == ("registered", url)
    assert acme.status().webhook == Webhook(url, registered=True)
    (webhook,) = listed(acme)
    assert (webhook["event_object"], webhook["event_action"], webhook["version"]) == ("person", "*", "2.0")
    assert webhook["name"] == "Wooxy contact list (acme)"

    created = add_person(acme.account, 9)
    acme.account.edit_person(1, name="Renamed")
    acme.account.delete_person(2)
    acme.account.merge_persons(1, 3)
    acme.server.webhooks.wait_until_delivered()
    assert statuses(acme) == {200}
    assert hints(acme).changed == [1, 2, 3, created]
    assert hints(acme).deleted == {2, 3}
    assert acme.status().hints_waiting == 4


@on_both_databases
def test_doubled_replayed_and_reversed_events_do_no_harm(acme: Connected, receiver: str) -> None:
    register(acme, receiver)
    acme.server.webhooks.double(1)
    acme.account.edit_person(1, name="Renamed")
    acme.server.webhooks.reverse(2)
    acme.account.edit_person(2, name="Renamed")
    acme.account.delete_person(2)
    acme.server.webhooks.replay()
    acme.server.webhooks.wait_until_delivered()
    assert statuses(acme) == {200}
    assert hints(acme).changed == [1, 2]
    assert hints(acme).deleted == {2}
    assert received(acme.store.inbox, acme.record().id).accepted == 5


def test_the_password_is_encrypted_and_never_shown(
    acme: Connected, receiver: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    state = register(acme, receiver)
    (webhook,) = listed(acme)
    password = webhook["http_auth_password"]
    assert len(password) >= 40
    record = acme.record()
    assert acme.store.secrets.decrypt(record.webhook.encrypted_password or "") == password
    assert (
        password
        not in f"{record.webhook.encrypted_password} {record!r} {state!r} {acme.status()} {caplog.text}"
    )


def test_registering_again_only_checks(acme: Connected, receiver: str) -> None:
    register(acme, receiver)
    before = listed(acme)
    acme.server.clear_requests()
    for again in (receiver, f"{receiver}/", f"{receiver}/webhooks/pipedrive/acme"):
        assert register(acme, again).state == "alive"
    assert look_after(acme).state == "alive"
    assert {each.method for each in acme.server.requests} == {"GET"}
    assert listed(acme) == before


def test_another_url_replaces_the_first(acme: Connected, receiver: str) -> None:
    register(acme, receiver)
    (before,) = listed(acme)
    moved = receiver.replace("127.0.0.1", "localhost")
    assert register(acme, moved).state == "registered"
    (after,) = listed(acme)
    assert after["subscription_url"] == f"{moved}/webhooks/pipedrive/acme"
    assert after["http_auth_password"] != before["http_auth_password"]
    acme.account.edit_person(1, name="Renamed")
    assert statuses(acme) == {200}


def test_a_refused_new_url_keeps_the_old_webhook(acme: Connected, receiver: str) -> None:
    register(acme, receiver)
    before = listed(acme)
    with pytest.raises(NotAccepted, match=r"subscription_url.*invalid or non-reachable URL.*give a public"):
        register(acme, "http://127.0.0.1:1")
    assert listed(acme) == before
    assert look_after(acme).state == "alive"
    acme.account.edit_person(1, name="Renamed")
    assert statuses(acme) == {200}


@on_both_databases
def test_a_webhook_that_pipedrive_dropped_is_registered_again(acme: Connected, receiver: str) -> None:
    register(acme, receiver)
    (before,) = listed(acme)
    acme.server.webhooks.drop_all()
    assert look_after(acme).state == "registered"
    (after,) = listed(acme)
    assert after["subscription_url"] == before["subscription_url"]
    assert after["http_auth_password"] != before["http_auth_password"]
    assert acme.record().webhook.webhook_id == after["id"]
    acme.account.edit_person(1, name="Renamed")
    assert statuses(acme) == {200}
    assert hints(acme).changed == [1]


def test_checking_without_a_webhook_costs_nothing(acme: Connected) -> None:
    acme.server.clear_requests()
    state = look_after(acme)
    assert (state.state, state.url) == ("none", None)
    assert acme.requests() == []
    assert acme.status().webhook == Webhook(None, registered=False)


def test_a_token_without_the_admin_scope(acme: Connected, receiver: str) -> None:
    acme.server.faults.add(Fault("scope_403", WEBHOOKS, times=None))
    with pytest.raises(MissingScope, match="needs the scope admin"):
        register(acme, receiver)
    assert acme.record().webhook.url is None
    assert acme.record().webhook.encrypted_password is None
    acme.server.faults.clear()
    register(acme, receiver)
    acme.server.faults.add(Fault("scope_403", WEBHOOKS, times=None))
    state = look_after(acme)
    assert state.state == "unavailable"
    assert "changes are found by polling" in state.message
    assert "needs the scope admin" in state.message
    acme.server.faults.clear()
    assert look_after(acme).state == "alive"


def test_a_token_that_may_look_but_not_register(acme: Connected, receiver: str) -> None:
    acme.server.faults.add(Fault("scope_403", WEBHOOKS, after=1))
    with pytest.raises(MissingScope, match="POST /api/v1/webhooks"):
        register(acme, receiver)
    assert acme.record().webhook.url is None
    assert acme.record().webhook.encrypted_password is None


def test_the_limit_of_webhooks(acme: Connected, receiver: str) -> None:
    register(acme, receiver)
    acme.server.webhooks.drop_all()
    others = [foreign(acme, f"https://example.com/{n}") for n in range(MAX_WEBHOOKS_PER_USER)]
    state = look_after(acme)
    assert state.state == "unavailable"
    assert "webhooks limit reached" in state.message
    assert "remove unused webhooks" in state.message
    assert acme.status().webhook == Webhook(f"{receiver}/webhooks/pipedrive/acme", registered=False)
    assert acme.record().webhook.encrypted_password is None
    # It is still wanted, and the next check registers it.
    acme.server.webhooks.remove(others[0])
    assert look_after(acme).state == "registered"
    assert acme.status().webhook.registered
    assert len(listed(acme)) == MAX_WEBHOOKS_PER_USER


def test_a_lost_answer_creates_no_second_webhook(acme: Connected, receiver: str) -> None:
    """The POST succeeded but its answer is unreadable: a check finds the webhook instead of creating another."""
    acme.server.faults.add(Fault("truncated_json", WEBHOOKS, after=1))
    assert register(acme, receiver).state == "registered"
    assert [each.method for each in acme.server.requests if each.path == WEBHOOKS] == ["GET", "POST", "GET"]
    (webhook,) = listed(acme)
    assert acme.record().webhook.webhook_id == webhook["id"]
    acme.account.edit_person(1, name="Renamed")
    assert statuses(acme) == {200}


def test_a_failed_registration_is_retried_after_a_check(acme: Connected, receiver: str) -> None:
    acme.server.faults.add(Fault("status", WEBHOOKS, after=1, status=502))
    assert register(acme, receiver).state == "registered"
    methods = [each.method for each in acme.server.requests if each.path == WEBHOOKS]
    assert methods == ["GET", "POST", "GET", "POST"]
    assert len(listed(acme)) == 1


def test_a_webhook_from_an_interrupted_registration_is_found(acme: Connected, receiver: str) -> None:
    """Everything after the POST fails, so the result is unknown; then Pipedrive recovers."""
    acme.server.faults.add(Fault("truncated_json", WEBHOOKS, after=1))
    acme.server.faults.add(Fault("status", WEBHOOKS, after=1, status=503, times=None))
    with pytest.raises(ServerError):
        register(acme, receiver)
    (webhook,) = listed(acme)
    assert acme.status().webhook.registered is False
    # Its events are recorded even so.
    acme.account.edit_person(1, name="Renamed")
    assert statuses(acme) == {200}
    acme.server.faults.clear()
    assert look_after(acme).state == "alive"
    assert acme.record().webhook.webhook_id == webhook["id"]
    assert listed(acme)[0]["id"] == webhook["id"]


def test_an_unknown_registration_outcome_is_reported(acme: Connected, receiver: str) -> None:
    for after in (1, 3, 5):
        # Each POST, and no GET.
        acme.server.faults.add(Fault("status", WEBHOOKS, after=after, status=502))
    with pytest.raises(OutcomeUnknown, match="Whether POST /api/v1/webhooks was done is not known"):
        register(acme, receiver)
    assert listed(acme) == []
    assert look_after(acme).state == "registered"


@pytest.mark.parametrize("forgotten", ["id", "id and password"])
def test_a_forgotten_webhook_is_not_duplicated(acme: Connected, receiver: str, forgotten: str) -> None:
    """As after a kill between the request and the commit."""
    register(acme, receiver)
    (before,) = listed(acme)
    values: dict[str, Any] = {"webhook_id": None}
    if forgotten != "id":
        values["encrypted_password"] = acme.store.secrets.encrypt("another")
    with acme.store.engine.begin() as db:
        change_stored(db, acme.record().id, **values)
    state = look_after(acme)
    (after,) = listed(acme)
    if forgotten == "id":
        assert state.state == "alive"
        assert after == before
    else:
        assert state.state == "registered"
        assert after["id"] != before["id"]
    acme.account.edit_person(1, name="Renamed")
    assert statuses(acme) == {200}


def test_webhooks_of_other_programs_are_not_touched(acme: Connected, receiver: str) -> None:
    theirs = {
        foreign(acme, "https://example.com/hook"),
        foreign(acme, f"{receiver}/webhooks/pipedrive/acme", event_object="deal"),
        foreign(acme, f"{receiver}/webhooks/pipedrive/acme-2"),
    }
    register(acme, receiver)
    acme.server.webhooks.remove(acme.record().webhook.webhook_id or 0)
    look_after(acme)
    webhooks.remove(acme.store, acme.name)
    assert {each["id"] for each in listed(acme)} == theirs


@on_both_databases
def test_each_connection_of_an_account_has_its_webhook(acme: Connected, receiver: str) -> None:
    with _second(acme, "acme-2", "second.example.com") as second:
        register(acme, receiver)
        register(second, receiver)
        both = listed(acme)
        assert urls(acme) == [f"{receiver}/webhooks/pipedrive/{name}" for name in ("acme", "acme-2")]
        assert both[0]["http_auth_password"] != both[1]["http_auth_password"]
        assert look_after(acme).state == look_after(second).state == "alive"
        assert listed(acme) == both
        acme.account.edit_person(1, name="Renamed")
        assert statuses(acme) == {200}
        assert hints(acme).changed == hints(second).changed == [1]
        accounts.disconnect(acme.store, "acme", forget=False)
        assert urls(acme) == [both[1]["subscription_url"]]
        assert look_after(second).state == "alive"


def test_removing(acme: Connected, receiver: str) -> None:
    register(acme, receiver)
    assert webhooks.remove(acme.store, acme.name).state == "none"
    assert listed(acme) == []
    assert acme.status().webhook == Webhook(None, registered=False)
    assert acme.record().webhook.encrypted_password is None
    assert webhooks.remove(acme.store, acme.name).state == "none"


def test_a_failed_removal_can_be_retried(acme: Connected, receiver: str) -> None:
    register(acme, receiver)
    acme.server.faults.add(Fault("status", WEBHOOKS, times=None, status=503))
    with pytest.raises(ServerError):
        webhooks.remove(acme.store, acme.name)
    assert acme.status().webhook.registered
    acme.server.faults.clear()
    webhooks.remove(acme.store, acme.name)
    assert listed(acme) == []


@on_both_databases
@pytest.mark.parametrize("forget", [False, True])
def test_disconnecting_removes_the_webhook(acme: Connected, receiver: str, forget: bool) -> None:
    register(acme, receiver)
    connection_id = acme.record().id
    add_event(acme.store.inbox, connection_id, 1, deleted=False)
    assert accounts.disconnect(acme.store, acme.name, forget=forget) is None
    assert listed(acme) == []
    assert count_hints(acme.store.inbox, connection_id) == (0 if forget else 1)
    if not forget:
        assert acme.record().webhook.encrypted_password is None
    acme.connect()
    assert look_after(acme).state == "none"


@pytest.mark.parametrize("trouble", ["away", "token", "key"])
def test_disconnecting_succeeds_when_the_webhook_cannot_be_removed(
    acme: Connected, receiver: str, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(acme, receiver)
    store = acme.store
    if trouble == "away":
        acme.server.stop()
    elif trouble == "token":
        acme.account.token = new_token()
    else:
        monkeypatch.setenv("WOOXY_PIPEDRIVE_KEY", "A" * 43 + "=")
        store = Store.open(acme.store.engine.url.render_as_string(hide_password=False))
    left = accounts.disconnect(store, acme.name, forget=False)
    assert left is not None
    assert left.startswith(f"The webhook to {receiver}/webhooks/pipedrive/acme may still be in Pipedrive")
    assert acme.record().state == "disconnected"
    assert acme.record().webhook.url is None
    if store is not acme.store:
        store.close()


def test_events_after_disconnecting_are_refused(acme: Connected) -> None:
    with serving(acme.store, remember_seconds=0) as receiver:
        register(acme, receiver)
        acme.server.faults.add(Fault("status", WEBHOOKS, times=None, status=503))
        assert accounts.disconnect(acme.store, acme.name, forget=False)
        acme.account.edit_person(1, name="Renamed")
        assert statuses(acme) == {401}
        assert hints(acme).changed == []


@on_both_databases
def test_a_reused_connection_id_has_no_pending_changes(acme: Connected) -> None:
    """SQLite gives the id to the next connection, and a late call may have left something behind."""
    connection_id = acme.record().id
    accounts.disconnect(acme.store, acme.name, forget=True)
    add_event(acme.store.inbox, connection_id, 1, deleted=True)
    again = acme.connect()
    assert count_hints(acme.store.inbox, again.id) == 0


def test_wrong_accounts_are_refused_and_keep_their_webhooks(acme: Connected, receiver: str) -> None:
    """Even a webhook with the same id as ours."""
    register(acme, receiver)
    before = listed(acme)
    acme.account.company_id = 778
    for act in (look_after, lambda acme: webhooks.remove(acme.store, acme.name)):
        with pytest.raises(WrongAccount, match="belong to the Pipedrive company 778"):
            act(acme)
    with pytest.raises(WrongAccount):
        register(acme, receiver.replace("127.0.0.1", "localhost"))
    left = accounts.disconnect(acme.store, acme.name, forget=False)
    assert left is not None
    assert "Pipedrive company 778" in left
    assert [each["id"] for each in listed(acme)] == [each["id"] for each in before]


def test_which_connections_cannot_have_a_webhook(acme: Connected, receiver: str) -> None:
    with pytest.raises(UnknownConnection):
        webhooks.register(acme.store, "nowhere", receiver)
    with sole_writer(acme.store.engine, acme.record()):
        with pytest.raises(ConnectionBusy):
            register(acme, receiver)
        with pytest.raises(ConnectionBusy):
            look_after(acme)
        with pytest.raises(ConnectionBusy):
            webhooks.remove(acme.store, acme.name)
    token, acme.account.token = acme.account.token, new_token()
    with pytest.raises(InvalidToken):
        register(acme, receiver)
    acme.account.token = token
    accounts.disconnect(acme.store, acme.name, forget=False)
    with pytest.raises(InvalidSetting, match="is disconnected; connect it again"):
        register(acme, receiver)
    assert look_after(acme).state == "none"


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("https://sync.example.com", "https://sync.example.com/webhooks/pipedrive/acme"),
        ("https://sync.example.com/", "https://sync.example.com/webhooks/pipedrive/acme"),
        (
            "https://sync.example.com:8443/wooxy/",
            "https://sync.example.com:8443/wooxy/webhooks/pipedrive/acme",
        ),
        ("https://a.example/webhooks/pipedrive/acme", "https://a.example/webhooks/pipedrive/acme"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/webhooks/pipedrive/acme"),
        ("http://localhost", "http://localhost/webhooks/pipedrive/acme"),
        ("http://[::1]:80", "http://[::1]:80/webhooks/pipedrive/acme"),
    ],
)
def test_urls(given: str, made: str) -> None:
    assert webhooks.subscription_url(given, "acme") == made


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("", "is not an https URL"),
        ("sync.example.com", "is not an https URL"),
        ("ftp://sync.example.com", "is not an https URL"),
        ("https://", "is not an https URL"),
        ("https://sync example.com", "is not an https URL"),
        ("https://sync.example.com:port", "can't be read"),
        ("https://[::1", "can't be read"),
        ("http://sync.example.com", "use https://sync.example.com"),
        ("http://10.0.0.1", "in the clear"),
        ("https://me:hunter2@sync.example.com", "more than a host and a path"),
        ("https://sync.example.com/?key=hunter2", "more than a host and a path"),
        ("https://sync.example.com/#hunter2", "more than a host and a path"),
    ],
)
def test_invalid_urls_are_refused(given: str, words: str) -> None:
    with pytest.raises(InvalidSetting, match=words) as error:
        webhooks.subscription_url(given, "acme")
    assert "hunter2" not in str(error.value)


def test_a_full_run_verifies_the_webhook(acme: Connected, receiver: str) -> None:
    acme.import_rows({"emails": "email", "name": "name"})
    register(acme, receiver)
    acme.sync()
    acme.server.webhooks.drop_all()
    acme.sync("changes")
    assert listed(acme) == [], "a run of changes spares the question"
    acme.sync()
    assert len(listed(acme)) == 1
    # From the edit to the list, all over HTTP.
    acme.account.delete_person(1)
    acme.server.webhooks.wait_until_delivered()
    assert acme.sync("changes")["deleted"] == 1


def test_a_full_run_continues_without_verifying_the_webhook(acme: Connected, receiver: str) -> None:
    acme.import_rows({"emails": "email", "name": "name"})
    register(acme, receiver)
    acme.server.faults.add(Fault("scope_403", WEBHOOKS, times=None))
    assert acme.sync()["created"] == len(acme.account.visible_person_ids())
