"""Changing the settings of an existing connection, and pausing it."""

from __future__ import annotations

from typing import Any

import pytest

from wooxy_pipedrive_etl.automation.due import Due
from wooxy_pipedrive_etl.connections import settings
from wooxy_pipedrive_etl.errors import InvalidSetting
from wooxy_pipedrive_etl.store import inbox
from wooxy_pipedrive_etl.store.locks import ConnectionBusy
from wooxy_pipedrive_etl.sync.run import begin
from wooxy_pipedrive_etl_tests import sensing
from wooxy_pipedrive_etl_tests.scenario import Connected, Target, add_person, connected, small_account

ROWS: dict[str, Target] = {"emails": "email", "phones": "phoneNumber", "name": "name"}


def _change(acme: Connected, **values: Any) -> None:
    record = acme.record()
    now = {name: getattr(record, name) for name in ("default_region", "consent", "on_delete")}
    settings.change_settings(acme.store, acme.name, **now | values)


def _follow(acme: Connected) -> dict[str, int]:
    """What the sensor would start."""
    due = sensing.due(acme)
    assert isinstance(due, Due)
    assert due.kind != "match"
    return acme.sync(due.kind)


def test_the_list_follows_another_region(database_url: str) -> None:
    with connected(database_url, small_account(1)) as acme:
        add_person(acme.account, 2, phones=[{"value": "040 123 4567", "primary": True, "label": "work"}])
        acme.import_rows(ROWS)
        acme.sync()
        before = acme.column("contact_id")
        assert acme.column("phoneNumber")["person2@example.com"] is None
        _change(acme, default_region="fi")
        assert acme.record().default_region == "FI"
        assert _follow(acme)["updated"] == 1
        assert acme.column("phoneNumber")["person2@example.com"] == "+358401234567"
        assert acme.column("contact_id") == before
        assert sensing.due(acme) is None


def test_only_on_delete_applies_to_existing_contacts(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account(3), on_delete="keep") as acme:
        acme.import_rows(ROWS)
        acme.sync()
        acme.account.delete_person(2)
        acme.sync()
        assert len(acme.contacts()) == 3
        _change(acme, consent="require")
        assert (acme.record().consent, sensing.due(acme)) == ("require", None)
        _change(acme, on_delete="deactivate")
        assert _follow(acme)["deleted"] == 1
        assert acme.contact(name="Person 2")["active"] is False
        assert sensing.due(acme) is None


def test_invalid_settings_change_nothing(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account(1)) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        for wrong in ({"default_region": "XX"}, {"consent": "perhaps"}, {"on_delete": "burn"}):
            with pytest.raises(InvalidSetting):
                _change(acme, **{"default_region": "FI"} | wrong)
        # The run would end as if the list were up to date.
        with (
            begin(acme.store, acme.name, "run"),
            pytest.raises(ConnectionBusy, match="Another run of the connection acme is at work"),
        ):
            _change(acme, default_region="FI")
        assert acme.record().default_region is None
        assert not acme.record().sync_state.unapplied


def test_nothing_starts_automatically_while_paused(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account(2)) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        settings.pause(acme.store, acme.name)
        acme.account.edit_person(1, name="Somebody Else")
        acme.account.add_field("Size", "varchar", code="size")
        inbox.add_event(acme.store.inbox, acme.record().id, 1, deleted=False)
        acme.server.clear_requests()
        assert (
            sensing.due(acme),
            sensing.schema_due(acme),
            sensing.poll(acme),
            sensing.poll_fields(acme),
        ) == (None,) * 4
        assert acme.requests() == []
        settings.resume(acme.store, acme.name)
        due = sensing.due(acme)
        assert isinstance(due, Due)
        assert due.reason == "Webhooks named 1 persons."
        # The command line runs it all the same.
        settings.pause(acme.store, acme.name)
        assert acme.sync("changes")["updated"] == 1
