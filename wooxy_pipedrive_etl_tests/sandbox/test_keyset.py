"""Rules for pages and JSON text that hold for every input."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from wooxy_pipedrive_etl.sandbox.pipedrive.cursors import read_cursor, write_cursor
from wooxy_pipedrive_etl.sandbox.pipedrive.json_text import RawJson, decode, encode
from wooxy_pipedrive_etl.sandbox.pipedrive.keyset import KeysetIndex, RowTimes, SortField, Window

_seconds = st.integers(1, 20)
_rows = st.dictionaries(
    st.integers(1, 60), st.builds(RowTimes, _seconds, st.one_of(st.none(), _seconds)), max_size=25
)
_windows = st.builds(
    Window,
    sort_by=st.sampled_from(["id", "add_time", "update_time"]),
    descending=st.booleans(),
    limit=st.integers(1, 8),
    ids=st.one_of(st.none(), st.frozensets(st.integers(1, 60), max_size=10)),
    updated_since=st.one_of(st.none(), _seconds),
    updated_until=st.one_of(st.none(), _seconds),
    null_matches_since=st.booleans(),
    undated=st.sampled_from(["first", "last", "by_add_time"]),
)


def in_window(row_id: int, times: RowTimes, window: Window) -> bool:
    if window.ids is not None and row_id not in window.ids:
        return False
    if window.updated_since is None and window.updated_until is None:
        return True
    if times.update_time is None:
        return window.null_matches_since
    since, until = window.updated_since or 0, window.updated_until or 10**9
    return since <= times.update_time < until


@given(_rows, _windows, st.lists(st.integers(1, 60)), st.booleans())
def test_a_walk_returns_matching_rows_in_order(
    rows: dict[int, RowTimes], window: Window, removed: list[int], odd_only: bool
) -> None:
    index = KeysetIndex()
    index.load(rows.items())
    for row_id in {each for each in removed if each in rows}:
        index.remove(row_id, rows.pop(row_id))
    added = {row_id + 100: times for row_id, times in rows.items() if row_id % 5 == 0}
    for row_id, times in added.items():
        index.add(row_id, times)
    rows |= added

    def accept(row_id: int) -> bool:
        return row_id % 2 == 1

    walked: list[int] = []
    start = None
    while True:
        page, following = index.page(
            Window(**{**vars(window), "start": start}), rows.__getitem__, accept if odd_only else None
        )
        assert len(page) <= window.limit
        walked += page
        if following is None:
            break
        assert len(page) == window.limit
        start = read_cursor(
            write_cursor(following, window.sort_by, window.descending), window.sort_by, window.descending
        )
        assert start == following

    def place(row_id: int) -> tuple[int, int]:
        values: dict[SortField, int | None] = {
            "id": row_id, "add_time": rows[row_id].add_time, "update_time": rows[row_id].update_time,
        }  # fmt: skip
        if values["update_time"] is None:
            undated: dict[str, int | None] = {
                "first": None, "last": 10**9, "by_add_time": rows[row_id].add_time,
            }  # fmt: skip
            values["update_time"] = undated[window.undated]
        return values[window.sort_by] or 0, row_id

    matching = [each for each, times in rows.items() if in_window(each, times, window)]
    expected = sorted((each for each in matching if not odd_only or accept(each)), key=place)
    assert walked == (expected[::-1] if window.descending else expected)
    assert sorted(rows) == list(index)


_json = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.decimals(allow_nan=False, allow_infinity=False), st.text()
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(_json)
def test_encoded_values_are_decoded_with_all_digits(value: Any) -> None:
    text = encode(value)
    assert decode(text) == value
    assert encode(decode(text)) == text


@given(st.text(st.characters(categories=["Cs", "L"])))
def test_lone_surrogates_survive(text: str) -> None:
    encoded = encode(text)
    encoded.decode("utf-8")
    assert json.loads(encoded) == json.loads(json.dumps(text))


def test_raw_text_is_kept() -> None:
    assert encode({"a": [RawJson("1.50"), Decimal("1E+3"), 0.1]}) == b'{"a":[1.50,1E+3,0.1]}'
