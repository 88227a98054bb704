"""Previews: real values, as they would be stored."""

from __future__ import annotations

from random import Random

import pytest

from wooxy_pipedrive_etl.mapping.matching import Matching, preview_plan
from wooxy_pipedrive_etl.mapping.preview import MAX_LENGTH, SHOWN_VALUES, previews
from wooxy_pipedrive_etl.mapping.variables import pipedrive_variables
from wooxy_pipedrive_etl_tests.mapping.helpers import list_variables, persons
from wooxy_pipedrive_etl_tests.mapping.value_cases import field

VARIABLES = pipedrive_variables(
    [
        field("name", "varchar", name="Name", custom=False),
        field("email", "varchar", name="Email", custom=False),
        field("birthday", "date", name="Birthday", custom=False),
        field("notes", "text", name="Notes", custom=False),
        field("update_time", "date", name="Updated", custom=False),
        field("is_vip", "boolean", name="VIP", custom=False),
        field("owner_id", "user", name="Owner", custom=False),
    ]
)
PERSONS = persons(
    '{"name":"Åsa 1","emails":[{"value":"Bad"}],"birthday":"1990-05-17","update_time":"2026-01-01T10:00:00Z"}',
    '{"name":"Bo","emails":[{"value":"Bo@Example.FI"}],"birthday":"","notes":"","is_vip":false,"owner_id":1}',
    '{"name":null,"emails":[]}',
)
MATCHING = Matching.of(
    True, [("notes", "Notes", None, "String"), ("update_time", "Updated", "Not valid", "String")]
)
PLAN = preview_plan(VARIABLES, MATCHING, list_variables())
NAMES = {"user": {1: "Liisa  Korhonen\n" + "x" * 100}}


def _texts(seed: int, **options: bool) -> dict[str, str]:
    """The first text of each variable that has one."""
    found = previews(PERSONS, PLAN, NAMES, Random(seed), **options)
    return {key: preview.texts[0] for key, preview in found.items() if preview.texts}


def test_values_are_shown_as_they_would_be_stored() -> None:
    found = _texts(1)
    assert found["emails"] == "bo@example.fi"
    assert found["birthday"] == "1990-05-17"
    assert found["update_time"] == "2026-01-01 10:00:00"
    assert found["is_vip"] == "false"
    assert found["owner_id"].startswith("Liisa Korhonen x")
    assert len(found["owner_id"]) == MAX_LENGTH
    assert not set(found) & {"notes", "emails/work"}


def test_each_variable_counts_persons_with_a_value() -> None:
    found = previews(PERSONS, PLAN, NAMES, Random(1))
    assert {key: found[key].filled for key in ("name", "emails", "is_vip", "notes")} == {
        "name": 2,
        "emails": 1,
        "is_vip": 1,
        "notes": 0,
    }
    assert found["notes"].texts == ()
    assert set(found["name"].texts) == {"Åsa 1", "Bo"}


def test_previews_show_a_few_distinct_values() -> None:
    many = persons(*(f'{{"name":"Person {number % 8}"}}' for number in range(200)))
    for seed in range(5):
        texts = previews(many, PLAN, NAMES, Random(seed))["name"].texts
        assert 1 < len(texts) == len(set(texts)) <= SHOWN_VALUES


def test_examples_are_random_but_fixed_by_seed() -> None:
    assert {_texts(seed)["name"] for seed in range(20)} == {"Åsa 1", "Bo"}
    assert _texts(7) == _texts(7)


@pytest.mark.parametrize("seed", range(5))
def test_masked_previews_show_only_the_shape(seed: int) -> None:
    found = _texts(seed, masked=True)
    assert found["name"] in ("xxx 0", "xx")
    assert found["emails"] == "xx@xxxxxxx.xx"
    assert found["birthday"] == "0000-00-00"
