from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from wooxy_pipedrive_etl.store.bulk import among, copy_into, rows_with_bytes, storable
from wooxy_pipedrive_etl.store.database import open_database

STORABLE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
# Text that COPY's text format and CSV trip over, far more often than chance would produce it.
AWKWARD = st.text(st.sampled_from("\\N\n\r\t.\"',;{}%:?\b\v\f\x7f\u2028🎈é́"))
ROWS = st.lists(
    st.tuples(
        st.none() | STORABLE | AWKWARD,
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.none() | st.booleans(),
    ),
    max_size=8,
)


@pytest.fixture
def db(database_url: str) -> Iterator[sa.Connection]:
    """A transaction with an empty table whose names need quoting."""
    engine = open_database(database_url)
    with engine.connect() as db:
        db.exec_driver_sql(
            'CREATE TEMP TABLE "Odd ""Table" (row_number BIGINT, "a text" TEXT, "Order" BIGINT, flag BOOLEAN)'
        )
        yield db
        db.rollback()
    engine.dispose()


@pytest.mark.parametrize("types", [None, ["int8", "text", "int8", "bool"]], ids=["as text", "by type"])
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ROWS)
@example([("\\N", None, None), (None, 0, False), ("\\.", 1, True), ("", -1, None)])
@example([("a\tb\nc\rd\\te\\", 1, True), ("\r\n", None, None), ("\\x41\\101", 2, None)])
@example([("'\"🎈\x01\u0085", 1, True)])
def test_storable_rows_come_back_unchanged(
    db: sa.Connection, types: list[str] | None, rows: list[tuple[object, ...]]
) -> None:
    numbered = [(number, *row) for number, row in enumerate(rows)]
    frame = pd.DataFrame(numbered, columns=["row_number", "a text", "Order", "flag"], dtype=object)
    db.exec_driver_sql('DELETE FROM "Odd ""Table"')
    copy_into(db, 'Odd "Table', frame, types=types)
    read: Any = sa.select(
        sa.column("row_number"), sa.column("a text"), sa.column("Order"), sa.column("flag", sa.Boolean)
    ).select_from(sa.table('Odd "Table'))
    found = db.execute(read.order_by(sa.column("row_number"))).all()
    assert [tuple(row) for row in found] == numbered


def test_rows_are_added_to_existing_ones(db: sa.Connection) -> None:
    page = pd.DataFrame({"a text": ["x"]})
    copy_into(db, 'Odd "Table', page)
    copy_into(db, 'Odd "Table', page)
    copy_into(db, 'Odd "Table', page.iloc[:0])
    assert db.exec_driver_sql('SELECT count(*) FROM "Odd ""Table"').scalar() == 2


def test_more_rows_than_the_server_takes_at_once(db: sa.Connection) -> None:
    texts = [f"{number} " + "ä\t" * 1_000 for number in range(1_000)]
    copy_into(db, 'Odd "Table', pd.DataFrame({"row_number": range(1_000), "a text": texts}, dtype=object))
    found = db.exec_driver_sql('SELECT "a text" FROM "Odd ""Table" ORDER BY row_number').scalars().all()
    assert found == texts


@pytest.mark.parametrize("types", [None, ["text", "int8"]], ids=["as text", "by type"])
def test_a_refused_row_adds_nothing_and_is_hidden(db: sa.Connection, types: list[str] | None) -> None:
    db.exec_driver_sql('CREATE UNIQUE INDEX only_once ON "Odd ""Table" (row_number)')
    rows = pd.DataFrame({"a text": ["Aino", "Väinö"], "row_number": [7, 7]})
    with db.begin_nested() as savepoint:
        with pytest.raises(sa.exc.IntegrityError) as refused:
            copy_into(db, 'Odd "Table', rows, types=types)
        savepoint.rollback()
    assert "Aino" not in str(refused.value)
    assert "Väinö" not in str(refused.value)
    assert db.exec_driver_sql('SELECT count(*) FROM "Odd ""Table"').scalar() == 0


@pytest.mark.parametrize(
    "ids", [[], [3], [1, 2, 2**40, -5], np.array([2, 3, 9], dtype=np.int64), range(5_000)]
)
def test_among(db: sa.Connection, ids: Sequence[int]) -> None:
    there = [-5, 1, 3, 2**40, 4_999, 5_000]
    copy_into(db, 'Odd "Table', pd.DataFrame({"row_number": there}))
    number = sa.column("row_number", sa.BigInteger)
    found = db.scalars(
        sa.select(number).select_from(sa.table('Odd "Table')).where(among(db, number, ids))
    ).all()
    assert sorted(found) == [each for each in there if each in list(ids)]


@given(st.lists(STORABLE | AWKWARD, max_size=8))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(["\\x41", "ä🎈", ""])
def test_rows_with_bytes_return_text_and_its_bytes(db: sa.Connection, texts: list[str]) -> None:
    db.exec_driver_sql('DELETE FROM "Odd ""Table"')
    rows = pd.DataFrame({"row_number": range(len(texts)), "a text": texts}, dtype=object)
    copy_into(db, 'Odd "Table', rows)
    number, text = sa.column("row_number", sa.BigInteger), sa.column("a text", sa.Text)
    query: Any = sa.select(number, text).select_from(sa.table('Odd "Table')).order_by(number)
    found = rows_with_bytes(db, query, text)
    assert [tuple(row) for row in found] == [(i, each, each.encode()) for i, each in enumerate(texts)]
    # The same connection returns text as text again.
    assert db.scalars(sa.select(text).select_from(sa.table('Odd "Table')).order_by(number)).all() == texts


def test_errors_of_rows_with_bytes_show_no_values(db: sa.Connection) -> None:
    number, text = sa.column("row_number", sa.BigInteger), sa.column("a text", sa.Text)
    query: sa.Select[Any] = sa.select(number).select_from(sa.table("nowhere")).where(text == "Aino")
    with pytest.raises(sa.exc.DBAPIError) as refused:
        rows_with_bytes(db, query, text)
    assert "nowhere" in str(refused.value)
    assert "Aino" not in str(refused.value)


def test_table_of_a_schema(postgres_url: str) -> None:
    engine = open_database(postgres_url)
    with engine.begin() as db:
        db.exec_driver_sql('CREATE SCHEMA "shop"')
        db.exec_driver_sql('CREATE TABLE "shop"."list" (a TEXT)')
        copy_into(db, "list", pd.DataFrame({"a": ["x"]}), schema="shop")
        assert db.exec_driver_sql('SELECT a FROM "shop"."list"').scalars().all() == ["x"]
    engine.dispose()


def test_text_subclass_is_escaped_too(db: sa.Connection) -> None:
    class Label(str):
        __slots__ = ()

    copy_into(db, 'Odd "Table', pd.DataFrame({"a text": [Label("a\tb\\N")]}, dtype=object))
    assert db.exec_driver_sql('SELECT "a text" FROM "Odd ""Table"').scalars().all() == ["a\tb\\N"]


@given(st.text())
def test_storable_text_replaces_only_nul_and_surrogates(text: str) -> None:
    kept = storable(text)
    assert "\0" not in kept.encode().decode()
    assert len(kept) == len(text)
    assert all(
        after in (before, "\ufffd") and (after == before or before == "\0" or "\ud800" <= before <= "\udfff")
        for before, after in zip(text, kept, strict=True)
    )
