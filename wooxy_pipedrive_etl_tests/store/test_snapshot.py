from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wooxy_pipedrive_etl.store import tables
from wooxy_pipedrive_etl.store.connections import ConnectionRecord
from wooxy_pipedrive_etl.store.snapshot import (
    count_persons,
    forget_gone_persons,
    land_persons,
    mark_gone,
    missing_persons,
    persons_of,
    read_persons,
    sample_persons,
)

from .conftest import new_connection

Person = tuple[int, int, str]


def _persons(rows: Sequence[Person]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["person_id", "version", "raw"]).astype(
        {"person_id": "int64", "version": "int64"}
    )


def _numbered(ids: Sequence[int]) -> pd.DataFrame:
    return _persons([(number, number * 10, f'{{"id":{number}}}') for number in ids])


def _ids(db: sa.Connection, record: ConnectionRecord) -> np.ndarray:
    """The live persons."""
    table = tables.snapshot
    query = sa.select(table.c.person_id).where(table.c.connection_id == record.id, ~table.c.gone)
    return np.sort(np.fromiter(db.scalars(query), dtype=np.int64))


def _all(db: sa.Connection, record: ConnectionRecord) -> list[Person]:
    return [
        (person_id, version, raw.decode())
        for batch in read_persons(db, record.id, _ids(db, record), 5_000)
        for person_id, version, raw in batch[["person_id", "version", "raw"]].itertuples(
            index=False, name=None
        )
    ]


def test_persons_are_stored_and_returned_unchanged(db: sa.Connection, record: ConnectionRecord) -> None:
    rows = [(2, 0, '{"n":0.10,\t"e":"\\u0000\\ud83d \\\\N"}'), (2**40, 2**53 + 1, '{"name":"Łukasz 🎈"}')]
    assert land_persons(db, record.id, _persons(rows)) == 2
    assert _all(db, record) == rows
    [batch] = read_persons(db, record.id, _ids(db, record), 5_000)
    assert {type(each) for each in batch["fingerprint"]} == {str}
    assert batch.dtypes.astype(str).to_dict() == {
        "person_id": "int64",
        "version": "int64",
        "raw": "object",
        "fingerprint": "object",
    }


def test_empty_page_and_empty_snapshot(db: sa.Connection, record: ConnectionRecord) -> None:
    assert land_persons(db, record.id, _persons([])) == 0
    assert _all(db, record) == []
    assert sample_persons(db, record.id, 3).columns.tolist() == [
        "person_id",
        "version",
        "fingerprint",
        "raw",
    ]
    assert missing_persons(db, record.id, np.array([1], dtype=np.int64)) == []


def test_only_differing_rows_are_written(engine: sa.Engine) -> None:
    """Checked on the rows themselves: an untouched row keeps its place on PostgreSQL, and triggers see no update."""
    with engine.begin() as db:
        record = new_connection(db, "acme", "shop.example.com")
        land_persons(db, record.id, _numbered([1, 2, 3]))
        before = _places(db)
    with engine.begin() as db:
        page = _persons([(1, 10, '{"id":1}'), (2, 21, '{"id":2,"name":"B"}'), (4, 40, '{"id":4}')])
        assert land_persons(db, record.id, page) == 2
        assert land_persons(db, record.id, page) == 0
        after = _places(db)
    assert after[1] == before[1]
    assert after[3] == before[3]
    if engine.dialect.name == "postgresql":
        assert after[2] != before[2]
    with engine.connect() as db:
        assert _all(db, record)[:2] == [(1, 10, '{"id":1}'), (2, 21, '{"id":2,"name":"B"}')]


def _places(db: sa.Connection) -> dict[int, object]:
    place = "ctid::text || ' ' || xmin" if db.dialect.name == "postgresql" else "raw"
    rows = db.exec_driver_sql(f"SELECT person_id, {place} FROM sync_snapshot")  # noqa: S608
    return {row[0]: row[1] for row in rows}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 3), st.sampled_from("abc")), max_size=12))
def test_the_newest_of_doubled_persons_wins(engine: sa.Engine, page: list[Person]) -> None:
    expected: dict[int, Person] = {}
    for person in page:
        if person[0] not in expected or person[1] >= expected[person[0]][1]:
            expected[person[0]] = person
    with engine.connect() as db:
        record = new_connection(db, "acme", "shop.example.com")
        assert land_persons(db, record.id, _persons(page)) == len(expected)
        assert _all(db, record) == sorted(expected.values())
        db.rollback()


def test_a_page_replaces_even_newer_stored_persons(db: sa.Connection, record: ConnectionRecord) -> None:
    """A clock that was set back must not freeze a person."""
    land_persons(db, record.id, _persons([(1, 9, "a")]))
    assert land_persons(db, record.id, _persons([(1, 5, "b")])) == 1
    assert _all(db, record) == [(1, 5, "b")]


@pytest.mark.parametrize("batch_size", [1, 3, 7, 100])
def test_batches_are_complete_and_in_order(
    db: sa.Connection, record: ConnectionRecord, batch_size: int
) -> None:
    land_persons(db, record.id, _numbered([9, 4, 1, 2**33, 6, 5, 8]))
    mark_gone(db, record.id, [5])
    ids = _ids(db, record)
    read = read_persons(db, record.id, ids, batch_size)
    batches = [batch["person_id"].tolist() for batch in read]
    assert [person_id for batch in batches for person_id in batch] == [1, 4, 6, 8, 9, 2**33]
    assert all(len(batch) == batch_size for batch in batches[:-1])


def test_known_persons_not_seen_are_missing(db: sa.Connection, record: ConnectionRecord) -> None:
    other = new_connection(db, "bolt", "news.example.com")
    land_persons(db, record.id, _numbered([1, 2, 3, 4]))
    land_persons(db, other.id, _numbered([7]))
    assert missing_persons(db, record.id, np.array([2, 3, 99], dtype=np.int64)) == [1, 4]
    assert missing_persons(db, record.id, np.array([], dtype=np.int64)) == [1, 2, 3, 4]
    mark_gone(db, record.id, [1])
    assert missing_persons(db, record.id, np.array([2, 3], dtype=np.int64)) == [1, 4]


def test_finding_missing_persons_keeps_the_database_options(
    db: sa.Connection, record: ConnectionRecord
) -> None:
    before = dict(db.get_execution_options())
    missing_persons(db, record.id, np.array([], dtype=np.int64))
    assert dict(db.get_execution_options()) == before


def test_deleted_persons_are_hidden_and_may_return(db: sa.Connection, record: ConnectionRecord) -> None:
    other = new_connection(db, "bolt", "news.example.com")
    for one in (record, other):
        land_persons(db, one.id, _numbered([1, 2, 3]))
    mark_gone(db, record.id, [1, 3, 99])
    assert [person_id for person_id, *_ in _all(db, record)] == [2]
    assert count_persons(db, record.id) == 1
    assert count_persons(db, other.id) == 3
    assert land_persons(db, record.id, _numbered([3])) == 1
    assert [person_id for person_id, *_ in _all(db, record)] == [2, 3]


def test_forgotten_persons_leave_only_a_tombstone(db: sa.Connection, record: ConnectionRecord) -> None:
    many = list(range(1, 2_401))
    land_persons(db, record.id, _numbered(many))
    mark_gone(db, record.id, many[1:])
    forget_gone_persons(db, record.id)
    assert db.scalars(sa.select(tables.snapshot.c.person_id)).all() == [1]
    stones = db.execute(sa.select(tables.tombstones).order_by(tables.tombstones.c.person_id)).all()
    assert [stone.person_id for stone in stones] == many[1:]
    assert {stone.connection_id for stone in stones} == {record.id}
    forget_gone_persons(db, record.id)
    land_persons(db, record.id, _numbered([2]))
    mark_gone(db, record.id, [2])
    forget_gone_persons(db, record.id)
    assert db.scalar(sa.select(sa.func.count()).select_from(tables.tombstones)) == len(many) - 1


def test_samples_contain_varying_live_persons_of_the_connection(
    db: sa.Connection, record: ConnectionRecord
) -> None:
    other = new_connection(db, "bolt", "news.example.com")
    land_persons(db, record.id, _numbered(range(1, 101)))
    land_persons(db, other.id, _numbered(range(101, 201)))
    mark_gone(db, record.id, list(range(51, 101)))
    samples = [sample_persons(db, record.id, 5)["person_id"].tolist() for _ in range(10)]
    assert all(len(set(sample)) == 5 for sample in samples)
    assert {person_id for sample in samples for person_id in sample} <= set(range(1, 51))
    assert len({tuple(sample) for sample in samples}) > 1
    assert len(sample_persons(db, record.id, 1_000)) == 50


def test_any_number_of_persons_by_id(db: sa.Connection, record: ConnectionRecord) -> None:
    land_persons(db, record.id, _numbered([1, 2, 40_000]))
    found = persons_of(db, record.id, range(2, 40_001))
    expected = _numbered([2, 40_000])
    found["raw"] = [raw.decode() for raw in found["raw"]]
    assert found[expected.columns].to_dict("records") == expected.to_dict("records")
    assert persons_of(db, record.id, []).empty
