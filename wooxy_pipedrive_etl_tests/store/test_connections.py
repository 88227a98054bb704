from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pandas as pd
import pytest
import sqlalchemy as sa

from wooxy_pipedrive_etl.store import Store, tables
from wooxy_pipedrive_etl.store.catalogue import save_names
from wooxy_pipedrive_etl.store.connections import (
    ConnectionExists,
    ConnectionRecord,
    UnknownConnection,
    add_connection,
    get_connection,
    list_connections,
    remove_connection,
    update_connection,
)
from wooxy_pipedrive_etl.store.runs import begin_run
from wooxy_pipedrive_etl.store.secrets import SecretBox
from wooxy_pipedrive_etl.store.snapshot import count_persons, land_persons

from .conftest import new_connection, new_domain


def _add(db: sa.Connection, name: str, domain_id: int, token: str = "encrypted") -> ConnectionRecord:
    return add_connection(
        db,
        name=name,
        domain_id=domain_id,
        api_url="https://acme.pipedrive.com",
        encrypted_api_token=token,
        company_id=7,
        default_region="FI",
        consent="require",
        on_delete="keep",
    )


def test_new_connection_is_a_draft_with_its_settings(db: sa.Connection) -> None:
    record = _add(db, "acme", new_domain(db, "shop.example.com"))
    assert get_connection(db, "acme") == record
    assert (record.name, record.domain, record.state) == ("acme", "shop.example.com", "draft")
    assert (record.default_region, record.consent, record.on_delete) == ("FI", "require", "keep")
    assert (record.watermark, record.applied_revision) == (None, None)


def test_list_table_is_named_as_in_sql(db: sa.Connection, record: ConnectionRecord) -> None:
    assert record.qualified_list_table == "default_contact_list"
    db.execute(tables.domains.update().values(list_schema="shop_example_com"))
    found = get_connection(db, "acme")
    assert found.qualified_list_table == "shop_example_com.default_contact_list"


def test_taken_name_is_refused(db: sa.Connection, record: ConnectionRecord) -> None:
    with pytest.raises(ConnectionExists, match="named acme exists already; choose another name"):
        _add(db, "acme", new_domain(db, "news.example.com"))


def test_taken_domain_is_refused(db: sa.Connection, record: ConnectionRecord) -> None:
    with pytest.raises(ConnectionExists, match="fed by the connection acme already; choose another domain"):
        _add(db, "bolt", record.domain_id)


def test_of_two_programs_that_take_a_name_at_once_one_is_refused(engine: sa.Engine) -> None:
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


def test_name_taken_after_the_look_is_refused(postgres_url: str) -> None:
    """The slower of two programs on PostgreSQL sees nothing of the quicker one before it inserts."""
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


def test_unknown_connection_is_told_with_those_that_exist(db: sa.Connection) -> None:
    with pytest.raises(UnknownConnection, match=r"no connection named acme \(there is none yet\)"):
        get_connection(db, "acme")
    new_connection(db, "bolt", "news.example.com")
    new_connection(db, "acme", "shop.example.com")
    with pytest.raises(UnknownConnection, match=r"no connection named Acme \(there are: acme, bolt\)"):
        get_connection(db, "Acme")
    assert [record.name for record in list_connections(db)] == ["acme", "bolt"]


def test_update_changes_the_named_connection_alone(db: sa.Connection, record: ConnectionRecord) -> None:
    other = new_connection(db, "bolt", "news.example.com")
    update_connection(db, record.id, state="active", watermark=2**53 + 1)
    changed = get_connection(db, "acme")
    assert (changed.state, changed.watermark) == ("active", 2**53 + 1)
    assert get_connection(db, "bolt") == other


def test_removed_connection_leaves_nothing_but_its_domain_and_opt_outs(
    db: sa.Connection, record: ConnectionRecord
) -> None:
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


def test_token_is_neither_stored_as_it_is_nor_shown(db: sa.Connection) -> None:
    box = SecretBox("A" * 43 + "=")
    encrypted = box.encrypt("t0ken-of-acme")
    record = _add(db, "acme", new_domain(db, "shop.example.com"), encrypted)
    stored = db.execute(sa.select(tables.connections)).one()
    assert "t0ken-of-acme" not in str(stored)
    assert encrypted not in repr(record)
    assert box.decrypt(get_connection(db, "acme").encrypted_api_token) == "t0ken-of-acme"
