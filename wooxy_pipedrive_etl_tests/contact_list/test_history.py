"""The history of contacts: which event is recorded when, and that it contains only names of variables."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from wooxy_pipedrive_etl.store import tables
from wooxy_pipedrive_etl.store.contact_history import history_of

from .desk import FED, FIRST, LATER, RUN, Desk, person


def events(desk: Desk, contact_id: int = 1) -> list[tuple[Any, ...]]:
    """(action, person, changed variables) of a contact, oldest first."""
    with desk.engine.begin() as db:
        found = history_of(db, desk.connection_id, contact_id)
    return [(event.action, event.person_id, ",".join(event.variables)) for event in reversed(found)]


def count(desk: Desk) -> int:
    table = tables.contact_history
    with desk.engine.begin() as db:
        query = sa.select(sa.func.count()).where(table.c.connection_id == desk.connection_id)
        return db.execute(query).scalar_one()


def test_history_names_the_changed_variables(desk: Desk) -> None:
    desk.sync(person(1, email="a@x.com", name="A"), person(2, email="b@x.com"))
    desk.sync(person(1, email="a@x.com", name="B", userId="u"), person(2, email="b@x.com"), now=LATER)
    assert events(desk) == [("created", 1, ""), ("updated", 1, "userId,name")]
    assert events(desk, 2) == [("created", 2, "")]
    with desk.engine.begin() as db:
        newest, first = history_of(db, desk.connection_id, 1)
    assert (first.at, newest.at, newest.run_id) == (FIRST, LATER, RUN)


def test_changed_flags_are_named(desk: Desk) -> None:
    desk.sync(person(1, email="a@x.com"))
    desk.sync(person(1, email="a@x.com", phoneNumber="+491"))
    assert events(desk)[1:] == [("updated", 1, "phoneNumber,smsSubscribe,viberSubscribe")]
    desk.edit(1, smsSubscribe=False)
    desk.sync(person(1, phoneNumber="+491", emailSubscribe=False), fed=(*FED, "emailSubscribe"))
    assert events(desk)[2:] == [("updated", 1, "emailSubscribe")]


def test_unchanged_contacts_leave_no_history(desk: Desk) -> None:
    persons = [person(1, email="a@x.com", phoneNumber="+491"), person(2, name="nobody")]
    desk.sync(*persons)
    desk.put(email="other@x.com")
    before = count(desk)
    desk.sync(*persons, now=LATER)
    # An ignored empty value, and a value corrected by someone between plan and apply.
    desk.stage(person(1, email="a@x.com", name="A"))
    desk.plan()
    desk.edit(1, name="A")
    desk.apply()
    assert (before, count(desk)) == (1, 1)


def test_an_emptied_variable_is_named(desk: Desk) -> None:
    desk.sync(person(1, email="a@x.com", name="A"))
    desk.sync(person(1, email="a@x.com"), ignore_empty=False)
    assert events(desk)[1:] == [("updated", 1, "name")]


def test_adopted_and_released(desk: Desk) -> None:
    desk.put(email="A@x.com")
    desk.sync(person(1, email="a@x.com", name="A"))
    assert events(desk) == [("adopted", 1, ""), ("updated", 1, "email,name")]
    desk.sync()
    assert events(desk)[2:] == [("released", 1, "")]
    desk.sync(person(2, email="a@x.com", name="A"))
    assert events(desk)[3:] == [("adopted", 2, "")]


def test_handed_over(desk: Desk) -> None:
    desk.sync(person(1, email="a@x.com", name="A"))
    desk.sync(person(2, email="a@x.com", name="A"))
    assert events(desk) == [("created", 1, ""), ("handed_over", 2, "")]


def test_only_the_deletion_of_a_contact_remains(desk: Desk) -> None:
    desk.sync(person(1, email="a@x.com"), person(2, email="b@x.com"))
    desk.sync(person(1, email="a@x.com", name="A"), person(2, email="b@x.com"))
    desk.sync(person(2, email="b@x.com"))
    assert events(desk) == [("deleted", 1, "")]
    assert events(desk, 2) == [("created", 2, "")]


def test_deactivated_and_reactivated(desk: Desk) -> None:
    desk.sync(person(1, email="a@x.com"))
    desk.sync(on_delete="deactivate")
    desk.sync(on_delete="deactivate")
    assert events(desk)[1:] == [("deactivated", 1, "")]
    desk.sync(person(1, email="a@x.com"), on_delete="deactivate")
    assert events(desk)[2:] == [("updated", 1, "active")]
    # Someone else acts first, before the plan or after it.
    desk.edit(1, active=False)
    desk.sync(on_delete="deactivate")
    desk.edit(1, active=True)
    desk.stage()
    desk.plan(on_delete="deactivate")
    desk.edit(1, active=False)
    desk.apply(on_delete="deactivate")
    assert len(events(desk)) == 3
