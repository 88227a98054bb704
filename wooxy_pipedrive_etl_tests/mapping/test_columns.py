"""A column converts exactly like its single values, however plain or odd they are and whatever surrounds them."""

from __future__ import annotations

import json
from datetime import UTC
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wooxy_pipedrive_etl.mapping import columns
from wooxy_pipedrive_etl.mapping.columns import Noted, Points, Rule, shared_rule
from wooxy_pipedrive_etl.mapping.formats import FORMATS, to_datetime, to_datetimes
from wooxy_pipedrive_etl.mapping.kinds import KINDS
from wooxy_pipedrive_etl.mapping.transform import FeedPlan, read_batch, transform
from wooxy_pipedrive_etl.mapping.values import Point, read_date, read_number, read_text, reader
from wooxy_pipedrive_etl_tests.mapping.helpers import STEADY, persons, records
from wooxy_pipedrive_etl_tests.mapping.test_transform import BOTH_FORMATS, CODES, EVERYTHING
from wooxy_pipedrive_etl_tests.mapping.value_cases import CASES, COLOURS, CUSTOM_CODES, NAMES

# Kinds, and the parts with a different reader.
READERS = {
    f"{kind}/{part}" if part else kind: reader(KINDS[kind], part, COLOURS, NAMES, "FI")
    for kind, part in [
        *(("text", None), ("number", None), ("boolean", None), ("date", None), ("json", None)),
        *(("time", None), ("monetary", None), ("address", "route"), ("enum", None), ("set", None)),
        *(("user", None), ("org", None), ("person", None), ("emails", None), ("emails", "work")),
        *(("phones", None), ("phones", "home"), ("im", None)),
    ]
}
TEXTS = [
    "A",
    "Ä ö",
    " b ",
    "",
    " \n",
    "x\0",
    "half \ud800",
    "0000-00-00",
    "see 0000-00-00",
    "1",
    "12.50",
    "true",
]
DATES = ["2026-01-31", "2024-02-29", "2026-02-30", "0000-00-00", "-0001-11-30", " 2026-01-31"]
MOMENTS = [
    *("2026-01-31T10:20:30Z", "0001-01-01T00:00:00Z", "2026-01-31 10:20:30", "2026-01-31T24:00:00Z"),
    *("2026-01-31T10:20:30+02:00", "2026-02-30T10:20:30Z", "0000-00-00T00:00:00Z", "2026-W05-6T10:20:30Z"),
]
IDENTIFIERS = ["a@b.fi", " A@B.FI", "nonsense", "+358401112233", "+358 40 111 2233", "040 111 2233"]
NUMBERS = [
    *map(Decimal, ("1", "1.0", "1.00", "12.50", "1E+3", "1.25E-7", "-0.0", "0E+3", "1E+400", "1E-999999999")),
    *map(Decimal, ("31.0", "9001.0", "0.0")),
    *(0, 1, 31, 9001, -7, 10**400, True, False),
]
# Each column is mostly of one kind.
SORTS: list[list[Any]] = [
    TEXTS,
    DATES,
    MOMENTS,
    IDENTIFIERS,
    NUMBERS,
    [0, 1, 31, 32, 55, 9001],
    ["31", "true"],
]
POINTS = st.builds(
    Point,
    st.sampled_from([*IDENTIFIERS, *TEXTS, None, 7, 10**400, {"a": 1}, ["x"]]),
    st.sampled_from(["work", " Home ", "", None, 3, ["work"]]),
    st.sampled_from([True, False, None]),
)
SCALARS = st.none() | st.sampled_from([value for sort in SORTS for value in sort])
LISTS = st.lists(SCALARS | POINTS | st.sampled_from([31, 32, 99]), max_size=3)
ODD = (
    SCALARS
    | LISTS
    | st.lists(LISTS, max_size=2)
    | st.sampled_from([{}, {"id": 31, "label": "Gold"}, {"id": 9001}])
)


@st.composite
def raw_columns(draw: st.DrawFn) -> list[Any]:
    plain = st.none() | draw(
        st.sampled_from(
            [
                *map(st.sampled_from, SORTS),
                st.lists(st.sampled_from([31, 32, 33]), max_size=3),
                st.lists(POINTS, max_size=2),
            ]
        )
    )
    return draw(st.lists(draw(st.sampled_from([plain, plain | ODD])), max_size=6))


def _exact(values: Any) -> list[tuple[type, Any]]:
    """Here True is not equal to 1."""
    return [(type(value), value) for value in values]


def _one_by_one(rule: Rule, raws: list[Any]) -> tuple[list[tuple[type, Any]], dict[int, Any]]:
    outcomes = [rule.of(raw) for raw in raws]
    values = [each.value if isinstance(each, Noted) else each for each in outcomes]
    return _exact(values), {i: each.dropped for i, each in enumerate(outcomes) if isinstance(each, Noted)}


@settings(STEADY, max_examples=200)
@given(st.sampled_from(sorted(READERS)), st.sampled_from(sorted(FORMATS)), raw_columns(), raw_columns())
def test_a_column_converts_like_its_single_values(
    name: str, column_type: str, first: list[Any], second: list[Any]
) -> None:
    rule = Rule(READERS[name], column_type, "FI")
    # The third time, it has seen all values.
    for raws in (first, second, first):
        values, dropped = rule.of_column(raws)
        assert (_exact(values), dropped) == _one_by_one(rule, raws)


PLAIN: list[list[Any]] = [
    ["2026-01-31T10:20:30Z", None, "1999-12-01T00:00:00Z"],
    ["2026-01-31", "1990-05-17", None],
    ["a@b.fi", None, "c@d.fi"],
    ["+358401112233", "nonsense"],
    ["A", "b", ""],
    [0, 1, 31, None],
    [None, None],
]


@pytest.mark.parametrize("column_type", sorted(FORMATS))
def test_a_plain_column_converts_like_its_single_values(column_type: str) -> None:
    """Every value with a fast path, with every column type."""
    for name, read in READERS.items():
        for raws in PLAIN:
            rule = Rule(read, column_type, "FI")
            values, dropped = rule.of_column(raws)
            assert (name, _exact(values), dropped) == (name, *_one_by_one(rule, raws))


@pytest.mark.parametrize("name", sorted(READERS))
@pytest.mark.parametrize(
    "raws", [[1, True, Decimal("1.0"), Decimal("1.00")], [31, Decimal("31.0")], [[31], [True, 1]]]
)
def test_equal_values_of_other_types_stay_distinct(name: str, raws: list[Any]) -> None:
    for column in (raws, raws[::-1]):
        rule = Rule(READERS[name], "text", None)
        for each in ([column[0]], column):
            values, dropped = rule.of_column(each)
            assert (_exact(values), dropped) == _one_by_one(rule, each)


@settings(STEADY, max_examples=200)
@given(
    st.lists(st.none() | POINTS | st.lists(POINTS | SCALARS | LISTS, max_size=3) | SCALARS, max_size=6),
    st.sampled_from([("emails", None), ("emails", "work"), ("phones", "home"), ("im", None)]),
    st.sampled_from(["text", "email", "phone"]),
)
def test_split_points_convert_like_whole_ones(
    raws: list[Any], variable: tuple[str, str | None], column_type: str
) -> None:
    kind, part = variable
    rule = Rule(reader(KINDS[kind], part, None, NAMES, "FI"), column_type, "FI")
    points = Points()
    points.add(raws[:2])
    points.add(raws[2:])
    expected = _one_by_one(rule, raws)
    texts = points.texts(part, rule.read)
    if texts is not None:
        values, dropped = Rule(read_text, column_type, "FI").of_column(texts)
        assert (_exact(values), dropped) == expected
    assert _one_by_one(rule, points.raws()) == expected


def test_a_point_that_is_not_text_is_malformed() -> None:
    points = Points()
    points.add([[Point(10**400, "work")]])
    for part in (None, "work"):
        assert points.texts(part, reader(KINDS["emails"], part, None, NAMES, None)) is None


def test_most_points_can_be_split() -> None:
    points = Points()
    points.add([[Point("a@b.fi", "work")], None, [], [Point("x", "home"), Point("c@d.fi", "Work", True)]])
    assert points.texts("work", READERS["emails/work"]) == ["a@b.fi", None, None, "c@d.fi"]
    assert points.texts(None, READERS["emails"]) == ["a@b.fi", None, None, "c@d.fi"]


@settings(STEADY, max_examples=100)
@given(
    st.lists(
        st.datetimes(timezones=st.just(UTC)).map("{:%Y-%m-%dT%H:%M:%SZ}".format) | st.sampled_from(MOMENTS)
    )
)
def test_times_are_read_alike_together_and_alone(texts: list[str]) -> None:
    together = to_datetimes(texts)
    if together is not None:
        assert together == [to_datetime(text) for text in texts]


def test_pipedrives_times_are_read_together() -> None:
    texts = ["2026-01-31T10:20:30Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"]
    assert to_datetimes(texts) == ["2026-01-31 10:20:30", "0001-01-01 00:00:00", "9999-12-31 23:59:59"]


RAWS = [case.raw for case in CASES]


@settings(STEADY, max_examples=25)
@given(st.lists(st.lists(st.sampled_from(RAWS), min_size=12, max_size=12), min_size=2, max_size=5), st.data())
def test_a_person_maps_the_same_in_any_batch(values: list[list[str]], data: st.DataObject) -> None:
    """Shapes of all kinds in fields of all kinds."""
    codes = data.draw(st.permutations([*CODES, *CUSTOM_CODES.values(), "ims", "currency"]))
    custom = set(CUSTOM_CODES.values())
    raws = []
    for person in values:
        pairs = list(zip(codes, person, strict=False))
        inner = ",".join(f'"{code}":{raw}' for code, raw in pairs if code in custom)
        outer = "".join(f'"{code}":{raw},' for code, raw in pairs if code not in custom)
        raws.append(f'{{{outer}"custom_fields":{{{inner}}}}}')
    for plan in (EVERYTHING, *BOTH_FORMATS):
        together = _mapped(plan, *raws)
        alone = [_mapped(plan, raw, first_id=i) for i, raw in enumerate(raws, start=1)]
        assert together[0] == [row for rows, _ in alone for row in rows]
        assert together[1] == {issue for _, issues in alone for issue in issues}


def _mapped(plan: FeedPlan, *raws: str, first_id: int = 1) -> tuple[list[Any], set[Any]]:
    contacts, issues = transform(read_batch(persons(*raws, first_id=first_id), plan), NAMES)
    return [_exact(row) for row in contacts.itertuples(index=False)], set(issues.itertuples(index=False))


def test_persons_keep_their_order_in_long_batches() -> None:
    """Longer than what is decoded at once, with odd persons at the ends."""
    raws = [json.dumps({"name": f"Person {i}", "birthday": "2026-01-31"}) for i in range(600)]
    odd = {0: "nonsense", 249: '{"name":"249","custom_fields":7}', 250: '{"name":"\\ud800"}', 599: "[]"}
    for i, raw in odd.items():
        raws[i] = raw
    contacts, issues = transform(read_batch(persons(*raws, first_id=0), EVERYTHING), NAMES)
    names = [f"Person {i}" for i in range(600)]
    assert contacts["name"].tolist() == [*(None, *names[1:249], "249", None, *names[251:599], None)]
    assert [(row["person_id"], row["reason"]) for row in records(issues)] == [
        *((0, "odd_shape"), (249, "odd_shape"), (599, "odd_shape"), (250, "invalid_value")),
    ]


@pytest.mark.parametrize(
    "raw", ["7.25", '{"value":7.25,"route":"Road"}', '[{"value":"a"}]', '{"value":{"a":1.50}}']
)
def test_a_malformed_object_does_not_affect_others(raw: str) -> None:
    """If msgspec refuses one, the others in the batch keep all their digits and parts."""
    address, number, money = (CUSTOM_CODES[each] for each in ("address", "double", "monetary"))
    sound = (
        f'{{"custom_fields":{{"{address}":{{"value":"Here","route":"There"}},"{number}":0.10,'
        f'"{money}":{{"value":1.50,"currency":"EUR"}}}}}}'
    )
    odd = f'{{"custom_fields":{{"{address}":{raw},"{number}":0.20,"{money}":7.10}}}}'
    together, _ = _mapped(BOTH_FORMATS[0], sound, odd, sound)
    (alone,), _ = _mapped(BOTH_FORMATS[0], sound)
    assert together[0][2:] == together[2][2:] == alone[2:]
    stored = [value for _, value in together[1][2:]]
    assert "0.20" in stored
    assert "7.10" in stored


def test_a_rules_cache_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "_REMEMBERED", 10)
    rule = Rule(read_number, "text", None)
    for start in range(0, 200, 5):
        values, _ = rule.of_column(list(range(start, start + 5)))
        assert values == [str(number) for number in range(start, start + 5)]
        assert len(rule._known) <= 15


def test_long_values_are_not_cached() -> None:
    rule = Rule(read_text, "text", None)
    rule.of_column(["a" * 1000, 7])
    assert not rule._known


def test_columns_read_alike_share_a_cache() -> None:
    assert shared_rule(read_date, "datetime", None) is shared_rule(read_date, "datetime", None)
    assert shared_rule(read_date, "datetime", None) is not shared_rule(read_date, "text", None)


def test_names_come_from_each_call() -> None:
    batch = read_batch(persons('{"owner_id":9001}'), EVERYTHING)
    for name in ("Liisa", "Anna"):
        contacts, _ = transform(batch, {"user": {9001: name}})
        assert contacts["owner"].tolist() == [name]
