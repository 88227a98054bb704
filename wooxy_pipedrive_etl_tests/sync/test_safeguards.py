"""What keeps a run, or removing a connection, from doing unnoticed harm."""

from __future__ import annotations

import secrets
from dataclasses import replace

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet

from wooxy_pipedrive_etl.connections import accounts
from wooxy_pipedrive_etl.contact_list.plan import contacts_owned_twice
from wooxy_pipedrive_etl.contact_list.scratch import plan_tables
from wooxy_pipedrive_etl.settings import KEY_VARIABLE
from wooxy_pipedrive_etl.store import Store
from wooxy_pipedrive_etl.store.locks import ConnectionBusy, sole_writer
from wooxy_pipedrive_etl.store.secrets import KeyUnusable
from wooxy_pipedrive_etl.sync import contacts, flow
from wooxy_pipedrive_etl.sync.run import begin

from ..scenario import connected, refused_deletions, small_account

ROWS = {"name": "name", "emails": "email", "phones": "phoneNumber"}


def test_another_key_stops_a_re_map_without_changes(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A re-map needs no credentials, but with another key no hash in the opt-out memory would be found."""
    with connected(sqlite_url, small_account()) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        before = acme.dump()
        monkeypatch.setenv(KEY_VARIABLE, Fernet.generate_key().decode())
        acme.store = Store.open(sqlite_url)
        with pytest.raises(KeyUnusable):
            acme.remap()
        assert acme.dump() == before
        acme.store.close()


def test_forgetting_removes_the_stage_of_refused_plans(database_url: str) -> None:
    with refused_deletions(database_url) as acme:
        accounts.disconnect(acme.store, acme.name, forget=True)
        names = sa.inspect(acme.store.engine).get_table_names()
        assert [name for name in names if name.startswith(("sync_stage_", "sync_plan_"))] == []


def test_a_connection_cannot_be_forgotten_during_a_run(database_url: str) -> None:
    with connected(database_url, small_account()) as acme:
        with sole_writer(acme.store.engine, acme.record()), pytest.raises(ConnectionBusy):
            accounts.disconnect(acme.store, acme.name, forget=True)
        assert acme.status().state == "draft"


def test_an_extremely_long_user_id_is_accepted(database_url: str) -> None:
    account = small_account()
    endless = "".join(secrets.token_hex(16) for _ in range(1_000))
    account.edit_person(2, custom_fields={"note": endless})
    with connected(database_url, account) as acme:
        acme.import_rows({**ROWS, "note": "userId"})
        counts = acme.sync()
        assert (counts["created"], counts["rejected"]) == (3, 0)
        assert acme.contact(email="person2@example.com")["userId"] == endless
        assert acme.sync()["unchanged"] == 3


def test_a_plan_writing_a_contact_twice_is_refused(database_url: str) -> None:
    """No known input leads to such a plan, so the test makes one by hand."""
    with connected(database_url, small_account()) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        with begin(acme.store, acme.name, "doubled") as run:
            steps = flow.sync(run)
            plan = next(done.report for done in steps if done.product == "contact_plan")
            assert contacts.refusal(run, plan) is None
            acme.execute(f"UPDATE sync_plan_{run.record.id} SET contact_id = 1")  # noqa: S608
            with acme.store.engine.connect() as db:
                doubled = contacts_owned_twice(db, plan_tables(db, run.record.id).plan)
            assert doubled == 1
            summary = replace(plan.summary, doubly_owned=doubled)
            refusal = contacts.refusal(run, replace(plan, summary=summary))
            assert refusal is not None
            assert refusal.guard is None
            assert str(refusal).startswith(
                "Two persons would write the same contact, 1 times, so nothing was written"
            )
