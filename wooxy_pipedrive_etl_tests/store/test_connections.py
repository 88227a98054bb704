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
from wooxy_pipedrive_etl.store.reports import begin_run
from wooxy_pipedrive_etl.store.secrets import SecretBox
from wooxy_pipedrive_etl.store.snapshot import count_persons, land_persons

from .conftest import new_connection, new_domain


def _add(connection: sa.Connection, name: str, domain_id: int, token: str = "encrypted") -> ConnectionRecord:
    return add_connection(
        connection,
        name=name,
        domain_id=domain_id,
        api_url="https://acme.pipedrive.com",
        encrypted_api_token=token,
        company_id=7,
        default_region="FI",
        consent="require",
        on_delete="keep",
    )


def test_new_connection_is_a_draft_with_its_settings(connection: sa.Connection) -> None:
    record = _add(connection, "acme", new_domain(connection, "shop.example.com"))
    assert get_connection(connection, "acme") == record
    assert (record.name, record.domain, record.state) == ("acme", "shop.example.com", "draft")
    assert (record.default_region, record.consent, record.on_delete) == ("FI", "require", "keep")
    assert (record.watermark, record.applied_revision) == (None, None)


def test_list_table_is_named_as_in_sql(connection: sa.Connection, record: ConnectionRecord) -> None:
    assert record.qualified_list_table == "default_contact_list"
    connection.execute(tables.domains.update().values(list_schema="shop_example_com"))
    found = get_connection(connection, "acme")
    assert found.qualified_list_table == "shop_example_com.default_contact_list"


def test_taken_name_is_refused(connection: sa.Connection, record: ConnectionRecord) -> None:
    with pytest.raises(ConnectionExists, match="named acme exists already; choose another name"):
        _add(connection, "acme", new_domain(connection, "news.example.com"))


def test_taken_domain_is_refused(connection: sa.Connection, record: ConnectionRecord) -> None:
    with pytest.raises(ConnectionExists, match="fed by the connection acme already; choose another domain"):
        _add(connection, "bolt", record.domain_id)


def test_of_two_programs_that_take_a_name_at_once_one_is_refused(engine: sa.Engine) -> None:
    together = Barrier(2)

    def take(domain: str) -> str:
        with engine.begin() as connection:
            domain_id = new_domain(connection, domain)
        together.wait()
        try:
            with engine.begin() as connection:
                _add(connection, "acme", domain_id)
        except ConnectionExists:
            return "refused"
        return "added"

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(take, ["shop.example.com", "news.example.com"]))
    assert sorted(results) == ["added", "refused"]


def test_name_taken_after_the_look_is_refused(postgres_url: str) -> None:
    """The slower of two programs on PostgreSQL sees nothing of the quicker one before it inserts."""
    engine = Store.open(postgres_url).engine
    with engine.begin() as connection:
        domains = [new_domain(connection, name) for name in ("shop.example.com", "news.example.com")]

    def slower() -> None:
        with engine.begin() as connection:
            _add(connection, "acme", domains[1])

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


def test_unknown_connection_is_told_with_those_that_exist(connection: sa.Connection) -> None:
    with pytest.raises(UnknownConnection, match=r"no connection named acme \(there is none yet\)"):
        get_connection(connection, "acme")
    new_connection(connection, "bolt", "news.example.com")
    new_connection(connection, "acme", "shop.example.com")
    with pytest.raises(UnknownConnection, match=r"no connection named Acme \(there are: acme, bolt\)"):
        get_connection(connection, "Acme")
    assert [record.name for record in list_connections(connection)] == ["acme", "bolt"]


def test_update_changes_the_named_connection_alone(
    connection: sa.Connection, record: ConnectionRecord
) -> None:
    other = new_connection(connection, "bolt", "news.example.com")
    update_connection(connection, record.id, state="active", watermark=2**53 + 1)
    changed = get_connection(connection, "acme")
    assert (changed.state, changed.watermark) == ("active", 2**53 + 1)
    assert get_connection(connection, "bolt") == other


def test_removed_connection_leaves_nothing_but_its_domain(
    connection: sa.Connection, record: ConnectionRecord
) -> None:
    other = new_connection(connection, "bolt", "news.example.com")
    person = pd.DataFrame({"person_id": [1], "version": [1], "raw": ["{}"]})
    for kept_or_not in (record, other):
        land_persons(connection, kept_or_not.id, person)
        save_names(connection, kept_or_not.id, "org", {1: "Acme Oy"})
        begin_run(connection, kept_or_not.id, "run", "full")
    connection.execute(tables.opt_outs.insert().values(connection_id=record.id, phone_hash="h", channel="c"))
    remove_connection(connection, record.id)
    for table in tables.metadata.sorted_tables:
        if "connection_id" in table.c:
            left = connection.scalars(sa.select(table.c.connection_id)).all()
            assert set(left) <= {other.id}, table.name
    assert [one.name for one in list_connections(connection)] == ["bolt"]
    assert count_persons(connection, other.id) == 1
    domains = connection.scalars(sa.select(tables.domains.c.name).order_by(tables.domains.c.name)).all()
    assert domains == ["news.example.com", "shop.example.com"]


def test_token_is_neither_stored_as_it_is_nor_shown(connection: sa.Connection) -> None:
    box = SecretBox("A" * 43 + "=")
    encrypted = box.encrypt("t0ken-of-acme")
    record = _add(connection, "acme", new_domain(connection, "shop.example.com"), encrypted)
    stored = connection.execute(sa.select(tables.connections)).one()
    assert "t0ken-of-acme" not in str(stored)
    assert encrypted not in repr(record)
    assert box.decrypt(get_connection(connection, "acme").encrypted_api_token) == "t0ken-of-acme"
