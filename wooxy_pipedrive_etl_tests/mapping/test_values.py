"""Every field type, from raw v2 JSON to what is stored, for both formats (`value_cases.py`)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from wooxy_pipedrive_etl.mapping.kinds import KINDS
from wooxy_pipedrive_etl.mapping.matching import Matching, feed_plan
from wooxy_pipedrive_etl.mapping.transform import read_batch, transform
from wooxy_pipedrive_etl.mapping.variables import pipedrive_variables
from wooxy_pipedrive_etl_tests.mapping.helpers import list_variables, persons, records
from wooxy_pipedrive_etl_tests.mapping.value_cases import CASES, COLOURS, NAMES, Stored, ValueCase, field


def _person(case: ValueCase) -> str:
    if case.field.is_custom_field:
        return f'{{"id":1,"custom_fields":{{"{case.record_key}":{case.raw}}}}}'
    return f'{{"id":1,"{case.record_key}":{case.raw},"custom_fields":null}}'


def _stored(case: ValueCase, row_format: str) -> Stored:
    variables = pipedrive_variables([case.field])
    matching = Matching.of(True, [(case.key, "A label", "target", row_format)])
    plan = feed_plan(variables, matching, list_variables())
    contacts, issues = transform(read_batch(persons(_person(case)), plan), NAMES)
    assert [row["variable"] for row in records(issues)] in ([], [case.key])
    assert all(row["kind"] == "dropped_value" and row["person_id"] == 1 for row in records(issues))
    reasons = list(issues["reason"])
    return Stored(contacts["target"].tolist()[0], reasons[0] if reasons else None)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_stored_as_string(case: ValueCase) -> None:
    assert _stored(case, "String") == case.string


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_stored_as_datetime(case: ValueCase) -> None:
    assert _stored(case, "DateTime") == case.datetime


def test_a_missing_key_is_empty() -> None:
    cases = list({case.key: case for case in CASES}.values())
    variables = pipedrive_variables([case.field for case in cases])
    matching = Matching.of(True, [(case.key, "", f"target{i}", "String") for i, case in enumerate(cases)])
    plan = feed_plan(variables, matching, list_variables())
    contacts, issues = transform(read_batch(persons('{"id":1}', '{"id":2,"custom_fields":{}}'), plan), NAMES)
    for i, case in enumerate(cases):
        assert contacts[f"target{i}"].tolist() == [None, None], case.name
    assert issues.empty


def _documented() -> list[tuple[tuple[str, ...], str, str]]:
    """Field types, value and stored result of each row of the table in docs/matching.md; the last has no types."""
    text = (Path(__file__).parents[2] / "docs" / "matching.md").read_text(encoding="utf-8")
    table = text[text.index("| Pipedrive's field type |") :].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    return [(tuple(re.findall("`(.*?)`", types)), raw.strip("`"), stored) for types, raw, stored in rows]


@pytest.mark.parametrize(
    ("field_type", "raw", "stored"),
    [(each, raw, stored) for types, raw, stored in _documented() for each in types or ("json",)],
)
def test_documented_values(field_type: str, raw: str, stored: str) -> None:
    options = COLOURS if field_type in ("enum", "set", "labels") else None
    variables = pipedrive_variables([field("c" * 40, field_type, name="Field", options=options)])
    matching = Matching.of(
        True, [(each.key, each.label, f"target{i}", "String") for i, each in enumerate(variables)]
    )
    person = f'{{"id":1,"custom_fields":{{"{"c" * 40}":{raw}}}}}'
    plan = feed_plan(variables, matching, list_variables())
    contacts, _ = transform(read_batch(persons(person), plan), NAMES)
    found = {feed.label: contacts[feed.wooxy].tolist()[0] for feed in plan.feeds}
    assert "; ".join(f"{label}: {value}" for label, value in found.items() if value is not None) == stored


def test_every_field_type_is_documented() -> None:
    kinds = [kind.types for kind in KINDS.values() if kind.types]
    assert [types for types, _, _ in _documented()] == [*kinds, ()]
