"""A person's contact stays the same row whatever happens to it; only deletion ends it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ..scenario import Connected, connected, email, small_account
from .conftest import NewDatabase

ROWS = {"name": "name", "emails": "email", "phones": "phoneNumber", "note": "note"}


def test_a_contact_keeps_its_id_through_all_changes(
    new_database: NewDatabase,
) -> None:
    with new_database() as url, connected(url, small_account(3)) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        contact_id = _contact_id(acme, "person2@example.com")
        acme.account.edit_person(
            2, name="Another", emails=[email("new@example.com")], phones=["+35840999999"]
        )
        acme.sync()
        assert _contact_id(acme, "new@example.com") == contact_id
        acme.import_rows(ROWS | {"note": "remark", "phones": None})
        acme.remap()
        assert _contact_id(acme, "new@example.com") == contact_id
        # Another person had that address all along and is next in line.
        long_ago = datetime(2020, 1, 1, tzinfo=UTC)
        acme.account.create_person(name="Heir", emails=[email("new@example.com")], add_time=long_ago)
        assert acme.sync()["duplicates"] == 1
        acme.account.delete_person(2)
        counts = acme.sync()
        assert (counts["created"], counts["updated"], counts["deleted"]) == (0, 1, 0)
        assert acme.contact(contact_id=contact_id)["name"] == "Heir"


def test_a_restored_person_gets_its_deactivated_contact_back(new_database: NewDatabase) -> None:
    with new_database() as url, connected(url, small_account(2), on_delete="deactivate") as acme:
        acme.import_rows(ROWS)
        acme.sync()
        contact_id = _contact_id(acme, "person1@example.com")
        for _ in range(2):
            acme.account.delete_person(1)
            assert acme.sync()["deleted"] == 1
            assert acme.contact(contact_id=contact_id)["active"] is False
            acme.account.restore_person(1)
            assert acme.sync()["updated"] == 1
            assert acme.contact(contact_id=contact_id)["active"] is True
        # The sync switches on only what it switched off itself.
        acme.execute(f"UPDATE {{list}} SET active = false WHERE contact_id = {contact_id}")  # noqa: S608
        acme.account.edit_person(1, name="Touched")
        assert acme.sync()["updated"] == 1
        assert acme.contact(contact_id=contact_id)["active"] is False


@pytest.mark.parametrize("on_delete", ["delete", "deactivate", "keep"])
def test_an_adopted_contact_outlives_its_person(new_database: NewDatabase, on_delete: str) -> None:
    with new_database() as url, connected(url, small_account(1), on_delete=on_delete) as acme:
        acme.execute("INSERT INTO {list} (email, name) VALUES ('Person1@Example.com', 'Before')")
        acme.import_rows(ROWS)
        assert acme.sync()["updated"] == 1
        acme.account.delete_person(1)
        acme.sync()
        (contact,) = acme.contacts()
        assert contact["name"] == "Person 1"
        assert contact["active"] is False


def _contact_id(acme: Connected, address: str) -> int:
    return int(acme.contact(email=address)["contact_id"])
