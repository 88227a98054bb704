"""The record from which the statements of a run are made."""

from __future__ import annotations

from wooxy_pipedrive_etl.contact_list import ListSettings
from wooxy_pipedrive_etl.contact_list.work import Tables, tables_of

from .desk import FED, Desk, person


def _tables(desk: Desk, *, ignore_empty: bool = True) -> Tables:
    with desk.engine.begin() as db:
        return tables_of(db, desk.list.view(db), desk.connection_id, ListSettings(ignore_empty=ignore_empty))


def test_comparison_expressions_are_built_once(desk: Desk) -> None:
    desk.stage(person(1, email="a@x.com"))
    first = _tables(desk)
    assert _tables(desk).changes is first.changes
    assert list(first.changes) == list(FED)


def test_changed_settings_or_columns_change_the_expressions(own_desk: Desk) -> None:
    own_desk.stage(person(1, email="a@x.com"))
    first = _tables(own_desk)
    assert _tables(own_desk, ignore_empty=False).changes is not first.changes
    own_desk.add_variables("city")
    assert _tables(own_desk).listed is not first.listed
    own_desk.stage(person(1, email="a@x.com"), fed=("email", "city"))
    assert list(_tables(own_desk).changes) == ["email", "city"]
