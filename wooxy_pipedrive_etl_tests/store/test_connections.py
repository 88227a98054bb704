from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from threading import Barrier
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from wooxy_pipedrive_etl.list_settings import Consent, OnDelete
from wooxy_pipedrive_etl.store import (
    Store,
    budgets,
    credentials,
    polls,
    run_requests,
    sync_state,
    tables,
    webhooks,
)
from wooxy_pipedrive_etl.store.budgets import Budget
from wooxy_pipedrive_etl.store.catalogue import save_names
from wooxy_pipedrive_etl.store.connections import (
    ConnectionExists,
    ConnectionRecord,
    SyncSettings,
    UnknownConnection,
    add_connection,
    change_settings,
    disconnect,
    get_connection,
    list_connections,
    remove_connection,
    set_api_url,
    set_paused,
    set_state,
)
from wooxy_pipedrive_etl.store.credentials import OAuthTokens, StoredCredentials
from wooxy_pipedrive_etl.store.polls import Polls
from wooxy_pipedrive_etl.store.runs import begin_run
from wooxy_pipedrive_etl.store.secrets import SecretBox
from wooxy_pipedrive_etl.store.snapshot import count_persons, land_persons
from wooxy_pipedrive_etl.store.webhooks import NO_WEBHOOK, StoredWebhook

from .conftest import new_connection, new_domain


def _add(db: sa.Connection, name: str, domain_id: int, token: str = "encrypted") -> ConnectionRecord:
    return add_connection(
        db,
        name=name,
        domain_id=domain_id,
        api_url="https://acme.pipedrive.com",
        company_id=7,
        stored_credentials=StoredCredentials(token),
        settings=SyncSettings("FI", Consent.REQUIRE, OnDelete.KEEP),
    )


def test_new_connection_is_a_draft_with_its_settings(db: sa.Connection) -> None:
    record = _add(db, "acme", new_domain(db, "shop.example.com"))
    assert get_connection(db, "acme") == record
    assert (record.name, record.domain, record.state) == ("acme", "shop.example.com", "draft")
    assert (record.default_region, record.consent, record.on_delete) == ("FI", "require", "keep")
    assert (record.sync_state.watermark, record.sync_state.applied_revision) == (None, None)


def test_the_list_table_is_named_with_its_schema(db: sa.Connection, record: ConnectionRecord) -> None:
    assert record.qualified_list_table == "default_contact_list"
    db.execute(tables.domains.update().values(list_schema="shop_example_com"))
    found = get_connection(db, "acme")
    assert found.qualified_list_table == "shop_example_com.default_contact_list"


def test_a_name_in_use_is_refused(db: sa.Connection, record: ConnectionRecord) -> None:
    with pytest.raises(ConnectionExists, match="named acme exists already; choose another name"):
        _add(db, "acme", new_domain(db, "news.example.com"))


def test_a_domain_in_use_is_refused(db: sa.Connection, record: ConnectionRecord) -> None:
    with pytest.raises(ConnectionExists, match="fed by the connection acme already; choose another domain"):
        _add(db, "bolt", record.domain_id)


def test_only_one_program_can_take_a_name(engine: sa.Engine) -> None:
    together = Barrier(2)

    def take(domain: str) -> str:
        with engine.begin() as db:
            domain_id = new_domain(db, domain)
        together.wait()
        try:
            with engine.begin() as db:
                _add(db, "acme", domain_id)
        except ConnectionExists:
            return "refused"
        return "added"

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(take, ["shop.example.com", "news.example.com"]))
    assert sorted(results) == ["added", "refused"]


def test_a_name_taken_meanwhile_is_refused(postgres_url: str) -> None:
    """On PostgreSQL, the slower of two programs sees nothing of the quicker one before it inserts."""
    engine = Store.open(postgres_url).engine
    with engine.begin() as db:
        domains = [new_domain(db, name) for name in ("shop.example.com", "news.example.com")]

    def slower() -> None:
        with engine.begin() as db:
            _add(db, "acme", domains[1])

    with ThreadPoolExecutor(1) as pool:
        with engine.begin() as quicker:
            _add(quicker, "acme", domains[0])
            result = pool.submit(slower)
            waiting = sa.text(
                "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"
            )
            while not result.done() and quicker.execute(waiting).scalar() == 0:
                pass
        with pytest.raises(ConnectionExists, match="just now"):
            result.result()
    engine.dispose()


def test_an_unknown_connection_is_reported_with_existing_ones(db: sa.Connection) -> None:
    with pytest.raises(UnknownConnection, match=r"no connection named acme \(there is none yet\)"):
        get_connection(db, "acme")
    new_connection(db, "bolt", "news.example.com")
    new_connection(db, "acme", "shop.example.com")
    with pytest.raises(UnknownConnection, match=r"no connection named Acme \(there are: acme, bolt\)"):
        get_connection(db, "Acme")
    assert [record.name for record in list_connections(db)] == ["acme", "bolt"]


def test_each_function_changes_only_its_part(db: sa.Connection, record: ConnectionRecord) -> None:
    other = new_connection(db, "bolt", "news.example.com")
    moment = datetime(2026, 11, 1)
    tokens = OAuthTokens("tokens", moment, "base,contacts:read")
    changes: list[tuple[Callable[[], object], dict[str, Any]]] = [
        (lambda: set_state(db, record.id, "active"), {"state": "active"}),
        (lambda: set_paused(db, record.id, True), {"paused": True}),
        (lambda: set_api_url(db, record.id, "https://b"), {"api_url": "https://b"}),
        (
            lambda: change_settings(db, record.id, SyncSettings("DE", Consent.IGNORE, OnDelete.KEEP)),
            {"default_region": "DE", "consent": "ignore", "on_delete": "keep"},
        ),
        (
            lambda: sync_state.advance(db, record.id, watermark=2**53 + 1),
            {"sync_state": replace(record.sync_state, watermark=2**53 + 1)},
        ),
        (lambda: polls.note(db, record.id, "fields", moment), {"polls": Polls(None, moment)}),
        (
            lambda: webhooks.remember(db, record.id, StoredWebhook(7, "https://w", "p")),
            {"webhook": StoredWebhook(7, "https://w", "p")},
        ),
        (lambda: run_requests.ask(db, record.id, "{}"), {"requested_run": "{}"}),
        (
            lambda: credentials.replace(db, record.id, StoredCredentials.of_oauth(tokens, 3)),
            {"credentials": StoredCredentials("", "tokens", moment, "base,contacts:read", 3)},
        ),
    ]
    for change, changed in changes:
        before = get_connection(db, "acme")
        change()
        assert get_connection(db, "acme") == replace(before, **changed)
    assert get_connection(db, "bolt") == other


def test_refused_tokens_lose_access_unless_replaced(db: sa.Connection, record: ConnectionRecord) -> None:
    moment = datetime(2026, 11, 1)
    old, new = OAuthTokens("old", moment, None), OAuthTokens("new", moment, None)
    credentials.replace(db, record.id, StoredCredentials.of_oauth(old, 3))
    credentials.lose_access(db, record.id, "revoked", encrypted="old")
    assert get_connection(db, "acme").credentials.access_lost == "revoked"
    assert credentials.renew(db, record.id, new, encrypted_before="old")
    assert get_connection(db, "acme").credentials == StoredCredentials.of_oauth(new, 3)
    credentials.lose_access(db, record.id, "revoked", encrypted="old")
    assert not credentials.renew(db, record.id, old, encrypted_before="old")
    assert get_connection(db, "acme").credentials == StoredCredentials.of_oauth(new, 3)


def test_disconnecting_keeps_the_sync_state_and_user(db: sa.Connection, record: ConnectionRecord) -> None:
    tokens = OAuthTokens("tokens", datetime(2026, 11, 1), "base")
    credentials.replace(db, record.id, StoredCredentials.of_oauth(tokens, 3))
    webhooks.remember(db, record.id, StoredWebhook(7, "https://w", "p"))
    run_requests.ask(db, record.id, "{}")
    sync_state.advance(db, record.id, watermark=5)
    disconnect(db, record.id, access_lost="uninstalled")
    left = get_connection(db, "acme")
    assert left.state == "disconnected"
    assert left.credentials == StoredCredentials(oauth_user_id=3, access_lost="uninstalled")
    assert (left.webhook, left.requested_run, left.sync_state.watermark) == (NO_WEBHOOK, None, 5)


def test_connections_of_a_company_share_its_budget(db: sa.Connection, record: ConnectionRecord) -> None:
    new_connection(db, "bolt", "news.example.com")
    for left in (50, 40):
        moment = datetime(2026, 11, 1, 0, left)
        budgets.note(db, 7, daily_limit=1_000, daily_left=left, noted_at=moment)
        assert {each.budget for each in list_connections(db)} == {Budget(1_000, left, moment)}
    remove_connection(db, record.id)
    assert get_connection(db, "bolt").budget.daily_left == 40
    remove_connection(db, get_connection(db, "bolt").id)
    assert db.execute(sa.select(tables.budgets)).all() == []


def test_removing_leaves_only_the_domain_and_opt_outs(db: sa.Connection, record: ConnectionRecord) -> None:
    other = new_connection(db, "bolt", "news.example.com")
    person = pd.DataFrame({"person_id": [1], "version": [1], "raw": ["{}"]})
    for kept_or_not in (record, other):
        land_persons(db, kept_or_not.id, person)
        save_names(db, kept_or_not.id, "org", {1: "Acme Oy"})
        begin_run(db, kept_or_not.id, "run", "full")
    memory = tables.opt_outs
    db.execute(memory.insert().values(domain_id=record.domain_id, phone_hash="h", channel="c"))
    remove_connection(db, record.id)
    for table in tables.metadata.sorted_tables:
        if "connection_id" in table.c:
            left = db.scalars(sa.select(table.c.connection_id)).all()
            assert set(left) <= {other.id}, table.name
    assert [one.name for one in list_connections(db)] == ["bolt"]
    assert count_persons(db, other.id) == 1
    domains = db.scalars(sa.select(tables.domains.c.name).order_by(tables.domains.c.name)).all()
    assert domains == ["news.example.com", "shop.example.com"]
    assert db.scalars(sa.select(memory.c.domain_id)).all() == [record.domain_id]


def test_the_token_is_encrypted_and_never_shown(db: sa.Connection) -> None:
    box = SecretBox("A" * 43 + "=")
    encrypted = box.encrypt("t0ken-of-acme")
    record = _add(db, "acme", new_domain(db, "shop.example.com"), encrypted)
    stored = db.execute(sa.select(tables.credentials)).one()
    assert "t0ken-of-acme" not in str(stored)
    assert encrypted not in repr(record)
    assert box.decrypt(get_connection(db, "acme").credentials.encrypted_api_token) == "t0ken-of-acme"
