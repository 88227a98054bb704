"""Connecting, disconnecting and reconnecting; one run at a time; a database that disappears in the middle of a run."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from wooxy_pipedrive_etl.connections import accounts
from wooxy_pipedrive_etl.errors import InvalidSetting, SyncError
from wooxy_pipedrive_etl.http_api.errors import InvalidApiUrl
from wooxy_pipedrive_etl.pipedrive.errors import InvalidToken
from wooxy_pipedrive_etl.sandbox.pipedrive import Fault
from wooxy_pipedrive_etl.store import database, tables
from wooxy_pipedrive_etl.store.connections import ConnectionExists
from wooxy_pipedrive_etl.store.locks import ConnectionBusy
from wooxy_pipedrive_etl.sync import flow, progress
from wooxy_pipedrive_etl.sync.run import begin
from wooxy_pipedrive_etl_tests.scenario import (
    Connected,
    Target,
    add_person,
    connected,
    everything,
    new_token,
    small_account,
)

ROWS: dict[str, Target] = {"emails": "email", "name": "name", "city": "town"}


def test_connections_do_not_see_each_other(database_url: str) -> None:
    with (
        connected(database_url, small_account(2)) as acme,
        connected(database_url, small_account(3), name="other", domain="other.example.com") as other,
    ):
        acme.import_rows(ROWS)
        other.import_rows({"emails": "email", "city": "place"})
        assert acme.sync()["created"] == 2
        assert other.sync()["created"] == 3
        assert acme.sync()["unchanged"] == 2
        assert "place" not in acme.contacts()[0]
        assert len(other.contacts()) == 3
        with pytest.raises(ConnectionExists, match=r"^A connection named acme exists already"):
            acme.connect()
        with pytest.raises(ConnectionExists, match="fed by the connection acme already"):
            replace(acme, name="third").connect()


def test_a_disconnected_connection_can_be_reconnected(database_url: str) -> None:
    with connected(database_url, small_account()) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        ids = acme.column("contact_id")
        accounts.disconnect(acme.store, acme.name, forget=False)
        assert acme.status().state == "disconnected"
        assert acme.record().credentials.encrypted_api_token == ""
        with pytest.raises(SyncError, match="is disconnected; run connect"):
            acme.sync()
        with pytest.raises(InvalidSetting, match=r"shop\.example\.com, not other\.example\.com"):
            replace(acme, domain="other.example.com").connect()
        add_person(acme.account, 4)
        acme.account.token = new_token()
        assert acme.connect().state == "active"
        counts = acme.sync()
        assert (counts["created"], counts["unchanged"], counts["updated"]) == (1, 3, 0)
        assert {**acme.column("contact_id"), **ids} == acme.column("contact_id")


def test_forgetting_keeps_only_the_list_and_opt_outs(database_url: str) -> None:
    with connected(database_url, small_account()) as acme:
        acme.import_rows({**ROWS, "phones": "phoneNumber"})
        acme.sync()
        acme.execute('UPDATE {list} SET "smsSubscribe" = false')
        acme.account.edit_person(1, emails=["no address"])
        acme.account.rename_field("city", "Town")
        acme.account.delete_person(3)
        acme.sync()
        for table in (
            tables.opt_outs,
            tables.tombstones,
            tables.issues,
            tables.schema_changes,
            tables.snapshot,
            tables.contact_history,
        ):
            assert acme.rows(table), table.name
        before = acme.export()
        accounts.disconnect(acme.store, acme.name, forget=True)
        with acme.store.engine.connect() as db:
            left = {
                table.name: db.scalar(sa.select(sa.func.count()).select_from(table))
                for table in tables.metadata.sorted_tables
            }
        assert {name for name, count in left.items() if count} == {
            *("sync_domains", "sync_created_variables"),
            *("sync_opt_outs", "sync_keys"),
        }
        # The list is unchanged, and a new connection of the domain adopts it.
        acme.connect()
        assert acme.status().state == "draft"
        assert acme.export() == before
        acme.import_rows({**ROWS, "phones": "phoneNumber"})
        assert acme.sync()["created"] == 0


def test_no_secret_is_in_any_table(database_url: str) -> None:
    with connected(database_url, small_account()) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        acme.server.faults.add(Fault("unauthorized_401"))
        with pytest.raises(InvalidToken):
            acme.sync()
        shown = everything(acme.store)
        assert "Person 1" in shown
        assert "person1@example.com" in shown
        assert acme.account.token not in shown
        assert acme.account.token not in repr(acme.record()) + repr(acme.store)


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("name", "no/slash", "can't be used"),
        ("name", "", "can't be used"),
        ("domain", "not a domain", "is not a domain"),
        ("default_region", "Finland", "is not a region"),
        ("consent", "perhaps", "respect, require or ignore, not 'perhaps'"),
        ("on_delete", "burn", "delete, deactivate or keep, not 'burn'"),
    ],
)
def test_invalid_settings_are_refused(sqlite_url: str, setting: str, value: str, words: str) -> None:
    with connected(sqlite_url, small_account(1)) as acme:
        acme.server.clear_requests()
        given: dict[str, Any] = {"name": "new", "domain": "new.example.com", setting: value}
        with pytest.raises(InvalidSetting, match=words):
            accounts.connect(acme.store, api_url=acme.server.url, api_token="x", **given)
        assert acme.requests() == []


def test_credentials_are_not_sent_without_tls(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account(1)) as acme, pytest.raises(InvalidApiUrl, match="https"):
        accounts.connect(
            acme.store, name="new", domain="new.example.com", api_url="http://acme.example", api_token="x"
        )


def test_a_second_concurrent_run_is_refused(database_url: str) -> None:
    with connected(database_url, small_account()) as acme:
        acme.import_rows(ROWS)
        with begin(acme.store, acme.name, "first") as run:
            steps = flow.sync(run)
            next(steps)
            with pytest.raises(ConnectionBusy, match="Another run of the connection acme is at work"):
                acme.sync()
            *_, last = steps
            assert last.report["created"] == 3
        assert acme.sync()["unchanged"] == 3


def test_a_run_without_requests_counts_as_failed(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account()) as acme:
        acme.import_rows(ROWS)
        with begin(acme.store, acme.name, "nothing done"):
            pass
        assert acme.last_run().state == "failed"


def _end_sessions(acme: Connected) -> None:
    """Ends all sessions, as an administrator or a restart of PostgreSQL does, including the one that holds the lock."""
    aside = sa.create_engine(acme.store.engine.url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with aside.connect() as db:
        db.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_a_run_survives_losing_the_database_between_steps(postgres_url: str) -> None:
    with connected(postgres_url, small_account()) as acme:
        acme.import_rows(ROWS)
        with begin(acme.store, acme.name, "cut off") as run:
            for done in flow.sync(run):
                if done.product == "default_contact_list":
                    assert done.report["created"] == 3
                elif done.product != "contact_plan":
                    _end_sessions(acme)
        assert acme.sync()["unchanged"] == 3


def test_a_run_that_lost_its_lock_writes_nothing(postgres_url: str) -> None:
    with connected(postgres_url, small_account()) as acme:
        acme.import_rows(ROWS)
        with begin(acme.store, acme.name, "cut off") as run:
            steps = flow.sync(run)
            next(done for done in steps if done.product == "contact_plan")
            _end_sessions(acme)
            assert acme.sync()["created"] == 3
            after = acme.dump()
            with pytest.raises(SyncError, match="Another run of the connection acme began"):
                next(steps)
        assert acme.dump() == after
        assert acme.sync()["unchanged"] == 3


def test_losing_the_database_mid_step_changes_nothing(postgres_url: str) -> None:
    with connected(postgres_url, small_account()) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        add_person(acme.account, 4)
        before = acme.dump()
        ended: list[str] = []

        def end_once(what: str, done: int, total: int | None) -> None:
            if what == "Mapping persons" and not ended:
                ended.append(what)
                _end_sessions(acme)

        progress.watch(end_once)
        with pytest.raises(DBAPIError):
            acme.sync()
        assert ended
        assert acme.dump() == before
        acme.execute(
            "CREATE FUNCTION end_session() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$"
        )
        acme.execute(
            "CREATE TRIGGER ends BEFORE INSERT ON {list} FOR EACH ROW EXECUTE FUNCTION end_session()"
        )
        with pytest.raises(DBAPIError):
            acme.sync()
        assert acme.dump() == before
        acme.execute("DROP FUNCTION end_session() CASCADE")
        assert acme.sync()["created"] == 1


def test_the_run_after_a_locked_file_succeeds(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_SQLITE_WAIT_SECONDS", 0.05)
    with connected(sqlite_url, small_account()) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        add_person(acme.account, 4)
        before = acme.dump()
        other = sqlite3.connect(str(acme.store.engine.url.database), check_same_thread=False)
        acme.server.faults.add(
            Fault("on_page", "/api/v2/persons", on_page=lambda _: other.execute("BEGIN IMMEDIATE"))
        )
        with pytest.raises(DBAPIError, match="locked"):
            acme.sync()
        assert acme.dump() == before
        other.rollback()
        other.close()
        assert acme.sync()["created"] == 1


def test_a_failed_write_rolls_back_completely(database_url: str) -> None:
    with connected(database_url, small_account()) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        add_person(acme.account, 4)
        acme.account.delete_person(1)
        before, snapshot, watermark = acme.dump(), acme.rows(tables.links), acme.status().watermark
        acme.forbid_touching()
        with pytest.raises((DBAPIError, sqlite3.Error)):
            acme.sync()
        assert acme.dump() == before
        assert (acme.rows(tables.links), acme.status().watermark) == (snapshot, watermark)
        assert acme.rows(tables.tombstones) == []
        if acme.store.engine.dialect.name == "postgresql":
            acme.execute("DROP FUNCTION refuse() CASCADE")
        else:
            for act in ("INSERT", "UPDATE", "DELETE"):
                acme.execute(f"DROP TRIGGER untouched_{act}")
        counts = acme.sync()
        assert (counts["created"], counts["deleted"]) == (1, 1)
