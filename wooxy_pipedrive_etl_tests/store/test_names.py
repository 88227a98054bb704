from __future__ import annotations

import pytest
import sqlalchemy as sa

from wooxy_pipedrive_etl.store.catalogue import read_names, save_names
from wooxy_pipedrive_etl.store.connections import ConnectionRecord

from .conftest import new_connection


def test_names_are_stored_by_kind_and_connection(db: sa.Connection, record: ConnectionRecord) -> None:
    other = new_connection(db, "bolt", "news.example.com")
    assert read_names(db, record.id) == {"org": {}, "user": {}, "person": {}}
    save_names(db, record.id, "org", {1: "Acme Oy", 2**40: "Löyly\t\\N ♨️"})
    save_names(db, record.id, "user", {1: "Aino"})
    save_names(db, other.id, "person", {1: "Väinö"})
    assert read_names(db, record.id) == {
        "org": {1: "Acme Oy", 2**40: "Löyly\t\\N ♨️"},
        "user": {1: "Aino"},
        "person": {},
    }


def test_newer_name_replaces_and_unread_ones_stay(db: sa.Connection, record: ConnectionRecord) -> None:
    save_names(db, record.id, "org", {1: "Acme Oy", 2: "Bolt Ab"})
    save_names(db, record.id, "org", {2: "Bolt Oyj", 3: "Core Ky"})
    save_names(db, record.id, "org", {})
    assert read_names(db, record.id)["org"] == {1: "Acme Oy", 2: "Bolt Oyj", 3: "Core Ky"}


def test_many_names_change_at_once(db: sa.Connection, record: ConnectionRecord) -> None:
    save_names(db, record.id, "org", dict.fromkeys(range(2_500), "old"))
    save_names(db, record.id, "org", dict.fromkeys(range(2_500), "new"))
    assert set(read_names(db, record.id)["org"].values()) == {"new"}


@pytest.mark.parametrize("name", ["A\x00B", "A\ud83dB"])
def test_unstorable_text_is_replaced(db: sa.Connection, record: ConnectionRecord, name: str) -> None:
    save_names(db, record.id, "org", {1: name})
    assert read_names(db, record.id)["org"] == {1: "A�B"}
