"""Random accounts and lists through the real implementation, compared with the naive version of the rules."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings

from wooxy_pipedrive_etl.store import tables

from .desk import LATER, Desk, person
from .naive import KINDS, World, outcome, worlds


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(world=worlds())
def test_sqlite(sqlite_engine: sa.Engine, world: World) -> None:
    _check(_desk(sqlite_engine), world)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(world=worlds())
def test_postgres(postgres_engine: sa.Engine, world: World) -> None:
    _check(_desk(postgres_engine), world)


_DESKS: dict[sa.Engine, Desk] = {}


def _desk(engine: sa.Engine) -> Desk:
    if engine not in _DESKS:
        _DESKS[engine] = Desk(engine)
    _DESKS[engine].clear()
    return _DESKS[engine]


def _check(desk: Desk, world: World) -> None:
    _prepare(desk, world)
    persons = [person(number, at=version, **values) for number, (version, values) in world.persons.items()]
    rules: dict[str, Any] = {"ignore_empty": world.ignore_empty, "on_delete": world.on_delete}
    summary = desk.sync(*persons, **rules)
    expected = outcome(world)

    assert desk.last_issues == expected.issues
    links = desk.links()
    for number, contact in expected.owners.items():
        assert links[number] == contact if contact is not None else links[number] > len(world.contacts)
    rows = {row["contact_id"]: row for row in desk.rows()}
    known = {number: _texts(row) for number, row in rows.items() if number <= len(world.contacts)}
    assert known == {number: _texts(values) for number, values in expected.contacts.items()}
    new = {number: _texts(row) for number, row in rows.items() if number > len(world.contacts)}
    assert new == {
        links[number]: _texts(world.persons[number][1])
        for number, contact in expected.owners.items()
        if contact is None
    }
    assert sorted(new) == [links[number] for number in sorted(links) if links[number] in new]
    untouched = [n for n in known if rows[n]["updatedAt"] is None]
    assert len(rows) - len(untouched) == summary.created + summary.updated + _deactivated(rows)

    again = desk.sync(*persons, now=LATER, **rules)
    assert (again.created, again.updated, again.deleted, again.released) == (0, 0, 0, 0)
    assert desk.last_issues == expected.issues
    assert {row["contact_id"]: row for row in desk.rows()} == rows
    assert desk.links() == links


def _prepare(desk: Desk, world: World) -> None:
    for values in world.contacts.values():
        desk.put(**values, active=True)
    rows = [
        {
            "connection_id": desk.connection_id,
            "person_id": number,
            "contact_id": contact,
            "adopted": adopted,
            "phone_filled": True,
            "deactivated": False,
        }
        for number, (contact, adopted) in world.links.items()
    ]
    if rows:
        with desk.engine.begin() as db:
            db.execute(tables.links.insert(), rows)


def _texts(values: dict[str, Any]) -> dict[str, str | None]:
    return {kind: values[kind] or None for kind in KINDS}


def _deactivated(rows: dict[int, dict[str, Any]]) -> int:
    return sum(row["active"] is False for row in rows.values())
