"""The key is lost but the database remains: everyone who opted out stays opted out, however the user continues."""

from __future__ import annotations

import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from wooxy_pipedrive_etl.connections import accounts
from wooxy_pipedrive_etl.settings import KEY_VARIABLE
from wooxy_pipedrive_etl.store import Store, keys, tables
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.store.home import home
from wooxy_pipedrive_etl.store.secrets import KeyUnusable, open_secret_box

from ..scenario import Connected, Target, add_person, connected, email, small_account

ROWS: dict[str, Target] = {"name": "name", "emails": "email", "phones": "phoneNumber"}
OPTED_OUT = "person1@example.com"

Lose = Callable[[pytest.MonkeyPatch], object]


def new_key() -> str:
    return urlsafe_b64encode(secrets.token_bytes(32)).decode()


def key_file() -> Path:
    return home() / "key"


LOSSES: dict[str, Lose] = {
    "file deleted": lambda _: key_file().unlink(),
    "file replaced": lambda _: key_file().write_text(new_key()),
    "another in the environment": lambda patch: patch.setenv(KEY_VARIABLE, new_key()),
    "new home folder": lambda patch: patch.setenv("WOOXY_PIPEDRIVE_HOME", str(home().with_name("another"))),
}


def database(acme: Connected) -> str:
    return acme.store.engine.url.render_as_string(hide_password=False)


def reopen(acme: Connected) -> None:
    """Opens the store as the next command does."""
    url = database(acme)
    acme.store.close()
    acme.store = Store.open(url)


def accept(acme: Connected, *, forget: bool = False) -> int:
    """Does what `key accept` does."""
    count = keys.accept(acme.store.engine, open_secret_box(home), forget_opt_outs=forget)
    reopen(acme)
    return count


def reconnect(acme: Connected, *, forget: bool = False) -> None:
    accounts.disconnect(acme.store, acme.name, forget=forget)
    acme.connect()
    acme.import_rows(ROWS)


def opt_out_and_leave(acme: Connected) -> None:
    """Person 1 opts out and is deleted in Pipedrive; a run sees both and deletes the contact."""
    acme.import_rows(ROWS)
    acme.sync()
    acme.execute(f"UPDATE {{list}} SET \"smsSubscribe\" = false WHERE email = '{OPTED_OUT}'")  # noqa: S608
    acme.account.delete_person(1)
    acme.sync()
    assert OPTED_OUT not in acme.column("email")


@pytest.fixture
def acme(database_url: str) -> Iterator[Connected]:
    with connected(database_url, small_account(2)) as acme:
        opt_out_and_leave(acme)
        yield acme
        acme.store.close()


def returns(acme: Connected) -> bool | None:
    """Restores person 1 in Pipedrive; returns whether that subscribes them to SMS."""
    add_person(acme.account, 1)
    acme.sync()
    flag: bool | None = acme.contact(email=OPTED_OUT)["smsSubscribe"]
    return flag


def stored_flag(acme: Connected, address: str = OPTED_OUT) -> bool | None:
    """As stored in the table, where empty differs from false."""
    sql = f"SELECT \"smsSubscribe\" FROM {acme.list_table()} WHERE email = '{address}'"  # noqa: S608
    with reading(acme.store.engine) as db:
        flag = db.exec_driver_sql(sql).scalar_one()
        return None if flag is None else bool(flag)


@pytest.mark.parametrize("lose", LOSSES.values(), ids=LOSSES)
def test_another_key_is_refused_until_the_old_returns(
    acme: Connected, lose: Lose, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, old_key, old_home = acme.dump(), key_file().read_text(), home()
    lose(monkeypatch)
    for _ in range(2):
        with pytest.raises(KeyUnusable, match="key accept --new-numbers-opted-out"):
            Store.open(database(acme))
    assert acme.dump() == before
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    monkeypatch.setenv("WOOXY_PIPEDRIVE_HOME", str(old_home))
    key_file().touch(0o600)
    key_file().write_text(old_key)
    reopen(acme)
    assert not acme.status().new_numbers_opted_out
    assert returns(acme) is False
    assert stored_flag(acme) is False


@pytest.mark.parametrize("forget", [False, True])
def test_opt_outs_hold_with_new_numbers_opted_out(acme: Connected, forget: bool) -> None:
    key_file().unlink()
    assert accept(acme) == 1
    reconnect(acme, forget=forget)
    assert acme.status().new_numbers_opted_out
    assert returns(acme) is False
    # As far as this key knows, nobody has opted out.
    assert stored_flag(acme) is None
    assert acme.column("smsSubscribe")["person2@example.com"] is True


def test_only_forgetting_opt_outs_subscribes_again(acme: Connected) -> None:
    key_file().write_text(new_key())
    assert accept(acme, forget=True) == 1
    reconnect(acme)
    assert not acme.status().new_numbers_opted_out
    assert returns(acme) is True


def test_forgetting_opt_outs_lets_new_contacts_subscribe(acme: Connected) -> None:
    key_file().write_text(new_key())
    accept(acme)
    reconnect(acme)
    add_person(acme.account, 3)
    acme.sync()
    assert stored_flag(acme, "person3@example.com") is None
    accept(acme, forget=True)
    add_person(acme.account, 4)
    acme.sync()
    assert stored_flag(acme, "person4@example.com") is True
    # Its one moment has passed.
    assert stored_flag(acme, "person3@example.com") is None


@pytest.mark.parametrize("forget", [False, True])
def test_a_recreated_connection_remembers_opt_outs(acme: Connected, forget: bool) -> None:
    reconnect(acme, forget=forget)
    assert returns(acme) is False


@pytest.mark.parametrize("forget", [False, True])
def test_disconnecting_does_not_bypass_the_refusal(acme: Connected, forget: bool) -> None:
    """A disconnected connection has no credentials left that would reveal the lost key."""
    accounts.disconnect(acme.store, acme.name, forget=forget)
    key_file().write_text(new_key())
    with pytest.raises(keys.OtherKey):
        reopen(acme)
    accept(acme)
    acme.connect()
    acme.import_rows(ROWS)
    assert returns(acme) is False


def test_opt_outs_return_with_the_old_key(acme: Connected) -> None:
    old_key = key_file().read_text()
    key_file().write_text(new_key())
    accept(acme)
    reconnect(acme)
    # Someone opts out and is deleted while the old key is away.
    acme.execute("UPDATE {list} SET \"smsSubscribe\" = false WHERE email = 'person2@example.com'")
    acme.sync()
    acme.account.delete_person(2)
    acme.sync()
    key_file().write_text(old_key)
    reopen(acme)
    reconnect(acme)
    assert returns(acme) is False
    assert stored_flag(acme) is False
    add_person(acme.account, 2)
    acme.sync()
    assert acme.status().new_numbers_opted_out
    assert acme.column("smsSubscribe")["person2@example.com"] is False


def test_runs_with_an_unaccepted_key_are_refused(acme: Connected) -> None:
    before = acme.dump()
    key_file().write_text(new_key())
    acme.store.close()
    acme.store = Store.open(database(acme), any_key=True)
    for kind in ("full", "re-map", "changes"):
        with pytest.raises(keys.OtherKey):
            acme.sync(kind)
    assert acme.dump() == before


def test_a_domain_without_opt_outs_is_not_affected(acme: Connected) -> None:
    bolt = Connected(acme.account, acme.server, acme.store, "bolt", "news.example.com")
    bolt.connect()
    bolt.import_rows(ROWS)
    bolt.sync()
    key_file().write_text(new_key())
    accept(acme)
    bolt.store = acme.store
    reconnect(acme, forget=True)
    reconnect(bolt)
    add_person(acme.account, 3)
    acme.sync()
    bolt.sync()
    assert [each.status().new_numbers_opted_out for each in (acme, bolt)] == [True, False]
    assert [stored_flag(each, "person3@example.com") for each in (acme, bolt)] == [None, True]


def test_forgetting_a_connection_keeps_other_domains_opt_outs(acme: Connected) -> None:
    bolt = Connected(acme.account, acme.server, acme.store, "bolt", "news.example.com")
    bolt.connect()
    accounts.disconnect(acme.store, bolt.name, forget=True)
    assert returns(acme) is False


def test_another_connection_of_the_domain_remembers(acme: Connected) -> None:
    accounts.disconnect(acme.store, acme.name, forget=True)
    acme.name = "acme-again"
    acme.connect()
    acme.import_rows(ROWS)
    assert returns(acme) is False


def test_flags_set_by_hand_stay_with_their_contact(acme: Connected) -> None:
    add_person(acme.account, 3, phones=[])
    add_person(acme.account, 4, phones=[])
    acme.sync()
    key_file().write_text(new_key())
    accept(acme)
    reconnect(acme)
    acme.execute("UPDATE {list} SET \"smsSubscribe\" = true WHERE email = 'person3@example.com'")
    first, second = "+358401234001", "+358401234002"
    for person_id, number in ((3, first), (4, first[:-1] + "9"), (2, second)):
        numbers = [{"value": number, "primary": True, "label": "work"}]
        acme.account.edit_person(person_id, phones=numbers)
    acme.sync()
    addresses = [f"person{number}@example.com" for number in (3, 4, 2)]
    assert [stored_flag(acme, address) for address in addresses] == [True, None, None]
    acme.account.edit_person(2, emails=[email("renamed@example.com")])
    acme.execute("UPDATE {list} SET \"smsSubscribe\" = true WHERE email = 'person2@example.com'")
    acme.sync()
    assert stored_flag(acme, "renamed@example.com") is True


def forget_fingerprint(acme: Connected) -> None:
    """A database as earlier versions left it."""
    with acme.store.engine.begin() as db:
        db.execute(tables.opt_outs.update().values(key_id=None))
        db.execute(tables.keys.delete())


def test_credentials_prove_the_key_of_an_earlier_version(acme: Connected) -> None:
    forget_fingerprint(acme)
    reopen(acme)
    assert not acme.status().new_numbers_opted_out
    assert returns(acme) is False
    assert stored_flag(acme) is False


def test_accepting_a_valid_key_loses_nothing(acme: Connected) -> None:
    forget_fingerprint(acme)
    assert accept(acme, forget=True) == 0
    assert returns(acme) is False


@pytest.mark.parametrize("what", ["no credentials", "another key", "some of another key"])
def test_unproven_old_opt_outs_require_accepting_the_key(acme: Connected, what: str) -> None:
    forget_fingerprint(acme)
    if what == "no credentials":
        accounts.disconnect(acme.store, acme.name, forget=False)
    elif what == "some of another key":
        acme.execute("UPDATE sync_webhooks SET encrypted_password = 'of another'")
    else:
        key_file().write_text(new_key())
    with pytest.raises(keys.OtherKey):
        reopen(acme)
    accept(acme)
    reconnect(acme)
    assert returns(acme) is False
    assert stored_flag(acme) is None


def test_a_key_without_opt_outs_proves_nothing(database_url: str) -> None:
    """A different key that came first is refused like any other once there are opt-outs."""
    with connected(database_url, small_account(2)) as acme:
        old_key, another = key_file().read_text(), new_key()
        key_file().write_text(another)
        reopen(acme)
        key_file().write_text(old_key)
        reopen(acme)
        opt_out_and_leave(acme)
        key_file().write_text(another)
        with pytest.raises(keys.OtherKey):
            reopen(acme)
        acme.store.close()


def test_no_key_is_created_beside_credentials(database_url: str) -> None:
    with connected(database_url, small_account(2)):
        key_file().unlink()
        with pytest.raises(KeyUnusable, match=r"/key is missing, and WOOXY_PIPEDRIVE_KEY is not set"):
            Store.open(database_url)
        assert not key_file().exists()


def test_fresh_database_gets_one_key(database_url: str) -> None:
    store = Store.open(database_url)
    key_file().unlink()
    store.close()
    store = Store.open(database_url)
    with reading(store.engine) as db:
        stored = db.scalars(sa.select(tables.keys.c.fingerprint)).all()
    assert stored == [open_secret_box(home).fingerprint]
    store.close()
