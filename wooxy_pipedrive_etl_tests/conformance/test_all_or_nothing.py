"""A reader of the list sees all of a sync or nothing of it, whenever it reads and wherever the sync fails."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest

from ..databases import Databases
from ..scenario import Connected, add_person, connected, email, small_account
from .conftest import NewDatabase
from .sync_process import reporting, writing

Rows = list[tuple[Any, ...]]


class Broken(Exception):
    """Raised by the test from within a statement."""


@pytest.fixture
def acme(new_database: NewDatabase) -> Iterator[Connected]:
    """A synced account, then changed so that the next sync creates, updates and deletes."""
    with new_database() as url, connected(url, small_account(12)) as acme:
        acme.import_rows({"name": "name", "emails": "email", "phones": "phoneNumber", "note": "note"})
        acme.sync()
        for person_id in range(1, 10):
            acme.account.edit_person(person_id, custom_fields={"note": "second"})
        for person_id in (10, 11):
            acme.account.delete_person(person_id)
        # Takes over the contact of the deleted person.
        add_person(acme.account, 20, emails=[email("person10@example.com")])
        add_person(acme.account, 21)
        yield acme


@pytest.fixture
def another_session(acme: Connected, databases: Databases) -> Iterator[Callable[[], Rows]]:
    """Reads the whole list in a separate session."""
    url = acme.store.engine.url
    query = f"SELECT * FROM {acme.list_table()} ORDER BY contact_id"  # noqa: S608
    if databases.name == "PostgreSQL":
        text = url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(text, autocommit=True) as session:
            yield lambda: session.execute(query.encode()).fetchall()
    else:
        with closing(sqlite3.connect(str(url.database), isolation_level=None)) as session:
            yield lambda: session.execute(query).fetchall()


def test_a_reader_never_sees_half_a_sync(acme: Connected, another_session: Callable[[], Rows]) -> None:
    """It reads before each statement and each commit of the sync, in the middle of its transactions."""
    seen: list[Rows] = []
    moments: list[str] = []

    def look(moment: str) -> None:
        moments.append(moment)
        seen.append(another_session())

    before = another_session()
    with reporting(_url(acme), look):
        counts = acme.sync()
    after = another_session()
    assert (counts["created"], counts["updated"], counts["deleted"]) == (1, 10, 1)
    assert [rows for rows in seen if rows not in (before, after)] == []
    # Old until the commit of the writing step, and new from then on.
    until = writing(moments).stop
    assert len(writing(moments)) > 20
    assert seen == [before] * until + [after] * (len(seen) - until)
    assert before != after


@pytest.mark.parametrize("place", [2, 10, 20, "COMMIT"])
def test_a_sync_failing_mid_write_changes_nothing(
    acme: Connected, another_session: Callable[[], Rows], place: int | str
) -> None:
    """The sync fails before a statement of the writing step, or before its commit; the next sync repairs it."""
    moments: list[str] = []

    def break_off(moment: str) -> None:
        moments.append(moment)
        if place in (len(writing(moments)), moment) and len(writing(moments)) > 1:
            raise Broken

    before = another_session()
    with reporting(_url(acme), break_off), pytest.raises(Broken):
        acme.sync()
    assert another_session() == before
    assert acme.sync()["updated"] == 10
    numbers = (*range(1, 11), 12, 21)
    assert {contact["email"] for contact in acme.contacts()} == {
        f"person{number}@example.com" for number in numbers
    }


def _url(acme: Connected) -> str:
    return acme.store.engine.url.render_as_string(hide_password=False)
