from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa

from wooxy_pipedrive_etl.matching_row import Row
from wooxy_pipedrive_etl.store import tables
from wooxy_pipedrive_etl.store.connections import ConnectionRecord
from wooxy_pipedrive_etl.store.matchings import (
    StoredMatching,
    confirmed_matching,
    latest_matching,
    save_matching,
)

from .conftest import new_connection


def _save(
    db: sa.Connection, record: ConnectionRecord, wooxy: str | None, *, confirmed: bool
) -> StoredMatching:
    rows = [Row("name", "Name \ud83d", wooxy, "String", "varchar")]
    return save_matching(db, record.id, ignore_empty_values=True, rows=rows, confirmed=confirmed)


def _revision(matching: StoredMatching | None) -> tuple[int, str | None] | None:
    return None if matching is None else (matching.revision, matching.rows[0].wooxy)


def test_connection_without_a_matching(db: sa.Connection, record: ConnectionRecord) -> None:
    assert latest_matching(db, record.id) is None
    assert confirmed_matching(db, record.id) is None


def test_a_draft_does_not_replace_the_confirmed_matching(db: sa.Connection, record: ConnectionRecord) -> None:
    _save(db, record, "name", confirmed=False)
    assert _revision(latest_matching(db, record.id)) == (1, "name")
    assert confirmed_matching(db, record.id) is None
    _save(db, record, "firstName", confirmed=True)
    _save(db, record, "lastName", confirmed=False)
    assert _revision(latest_matching(db, record.id)) == (2, "lastName")
    assert _revision(confirmed_matching(db, record.id)) == (1, "firstName")


def test_newer_draft_replaces_the_draft(db: sa.Connection, record: ConnectionRecord) -> None:
    _save(db, record, "name", confirmed=True)
    _save(db, record, "firstName", confirmed=False)
    assert _revision(_save(db, record, "lastName", confirmed=False)) == (2, "lastName")
    assert _revision(_save(db, record, None, confirmed=True)) == (2, None)
    assert _revision(_save(db, record, "name", confirmed=True)) == (3, "name")
    assert _revision(confirmed_matching(db, record.id)) == (3, "name")


def test_connections_have_their_own_matchings(db: sa.Connection, record: ConnectionRecord) -> None:
    other = new_connection(db, "bolt", "news.example.com")
    _save(db, record, "name", confirmed=True)
    assert latest_matching(db, other.id) is None
    assert _save(db, other, "name", confirmed=False).revision == 1
    assert _revision(confirmed_matching(db, record.id)) == (1, "name")


def test_rows_come_back_as_they_were_saved(db: sa.Connection, record: ConnectionRecord) -> None:
    rows = [
        Row("emails", "Email\n'\"\\", "email", "String", None),
        Row("9f1c/currency", "Бюджет/Currency 🎈", None, "String", "monetary"),
        Row("birthday", "", "contactBirthday", "DateTime", "date"),
    ]
    saved = save_matching(db, record.id, ignore_empty_values=False, rows=rows, confirmed=True)
    read = confirmed_matching(db, record.id)
    assert read == saved
    assert (read.rows, read.ignore_empty_values) == (tuple(rows), False)
    assert read.confirmed_at is not None


def test_matching_without_rows(db: sa.Connection, record: ConnectionRecord) -> None:
    save_matching(db, record.id, ignore_empty_values=True, rows=[], confirmed=True)
    read = confirmed_matching(db, record.id)
    assert read is not None
    assert read.rows == ()


def test_rows_stored_before_they_had_a_type(db: sa.Connection, record: ConnectionRecord) -> None:
    rows: list[dict[str, Any]] = [
        {"pipedrive": "name", "label": "Name", "wooxy": "name", "format": "String"},
        {"pipedrive": "note", "label": "Note", "wooxy": None, "format": "String"},
    ]
    _save(db, record, "name", confirmed=True)
    db.execute(tables.matchings.update().values(variables=json.dumps(rows)))
    read = confirmed_matching(db, record.id)
    assert read is not None
    assert read.rows == (Row("name", "Name", "name", "String"), Row("note", "Note", None, "String"))
