from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from wooxy_pipedrive_etl.store import tables
from wooxy_pipedrive_etl.store.connections import ConnectionRecord
from wooxy_pipedrive_etl.store.matchings import (
    StoredMatching,
    confirmed_matching,
    latest_matching,
    save_matching,
)

from .conftest import new_connection

COLUMNS = ["pipedrive", "label", "wooxy", "format", "field_type"]


def _save(
    connection: sa.Connection, record: ConnectionRecord, wooxy: str | None, *, confirmed: bool
) -> StoredMatching:
    variables = pd.DataFrame(
        [("name", "Name \ud83d", wooxy, "String", "varchar")], columns=COLUMNS, dtype=object
    )
    return save_matching(
        connection, record.id, ignore_empty_values=True, variables=variables, confirmed=confirmed
    )


def _revision(matching: StoredMatching | None) -> tuple[int, str | None] | None:
    return None if matching is None else (matching.revision, matching.variables["wooxy"].tolist()[0])


def test_connection_without_a_matching(connection: sa.Connection, record: ConnectionRecord) -> None:
    assert latest_matching(connection, record.id) is None
    assert confirmed_matching(connection, record.id) is None


def test_draft_is_seen_and_the_confirmed_one_is_in_force(
    connection: sa.Connection, record: ConnectionRecord
) -> None:
    _save(connection, record, "name", confirmed=False)
    assert _revision(latest_matching(connection, record.id)) == (1, "name")
    assert confirmed_matching(connection, record.id) is None
    _save(connection, record, "firstName", confirmed=True)
    _save(connection, record, "lastName", confirmed=False)
    assert _revision(latest_matching(connection, record.id)) == (2, "lastName")
    assert _revision(confirmed_matching(connection, record.id)) == (1, "firstName")


def test_newer_draft_replaces_the_draft(connection: sa.Connection, record: ConnectionRecord) -> None:
    _save(connection, record, "name", confirmed=True)
    _save(connection, record, "firstName", confirmed=False)
    assert _revision(_save(connection, record, "lastName", confirmed=False)) == (2, "lastName")
    assert _revision(_save(connection, record, None, confirmed=True)) == (2, None)
    assert _revision(_save(connection, record, "name", confirmed=True)) == (3, "name")
    assert _revision(confirmed_matching(connection, record.id)) == (3, "name")


def test_connections_have_matchings_of_their_own(connection: sa.Connection, record: ConnectionRecord) -> None:
    other = new_connection(connection, "bolt", "news.example.com")
    _save(connection, record, "name", confirmed=True)
    assert latest_matching(connection, other.id) is None
    assert _save(connection, other, "name", confirmed=False).revision == 1
    assert _revision(confirmed_matching(connection, record.id)) == (1, "name")


@pytest.mark.parametrize("dtype", [str, object])
def test_variables_come_back_as_they_were_saved(
    connection: sa.Connection, record: ConnectionRecord, dtype: type[str] | type[object]
) -> None:
    variables = pd.DataFrame(
        [
            ("emails", "Email\n'\"\\", "email", "String", None),
            ("9f1c/currency", "Бюджет/Currency 🎈", None, "String", "monetary"),
            ("birthday", "", "contactBirthday", "DateTime", "date"),
        ],
        columns=COLUMNS,
        index=[4, 2, 9],
    ).astype(dtype)
    saved = save_matching(
        connection, record.id, ignore_empty_values=False, variables=variables, confirmed=True
    )
    read = confirmed_matching(connection, record.id)
    assert read is not None
    for matching in (saved, read):
        assert matching.variables.columns.tolist() == COLUMNS
        assert matching.variables.to_numpy().tolist() == [
            ["emails", "Email\n'\"\\", "email", "String", None],
            ["9f1c/currency", "Бюджет/Currency 🎈", None, "String", "monetary"],
            ["birthday", "", "contactBirthday", "DateTime", "date"],
        ]
        assert set(matching.variables.dtypes) == {pd.Series(dtype=object).dtype}
        assert matching.ignore_empty_values is False
    assert read.confirmed_at == saved.confirmed_at
    assert read.confirmed_at is not None


def test_matching_without_rows(connection: sa.Connection, record: ConnectionRecord) -> None:
    save_matching(
        connection,
        record.id,
        ignore_empty_values=True,
        variables=pd.DataFrame(columns=COLUMNS),
        confirmed=True,
    )
    read = confirmed_matching(connection, record.id)
    assert read is not None
    assert read.variables.columns.tolist() == COLUMNS
    assert read.variables.empty


def test_rows_stored_before_they_had_a_type(connection: sa.Connection, record: ConnectionRecord) -> None:
    rows: list[dict[str, Any]] = [
        {"pipedrive": "name", "label": "Name", "wooxy": "name", "format": "String"},
        {"pipedrive": "note", "label": "Note", "wooxy": None, "format": "String"},
    ]
    _save(connection, record, "name", confirmed=True)
    connection.execute(tables.matchings.update().values(variables=json.dumps(rows)))
    read = confirmed_matching(connection, record.id)
    assert read is not None
    assert read.variables.to_dict("records") == [row | {"field_type": None} for row in rows]
    # Whoever has no types leaves them out.
    saved = save_matching(
        connection,
        record.id,
        ignore_empty_values=True,
        variables=read.variables.drop(columns="field_type"),
        confirmed=True,
    )
    assert saved.variables.to_dict("records") == [row | {"field_type": None} for row in rows]
