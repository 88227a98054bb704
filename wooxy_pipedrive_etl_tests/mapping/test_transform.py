"""Batches: the shape of contacts and issues, malformed persons among valid ones, and nothing that raises."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wooxy_pipedrive_etl.mapping.matching import Matching, feed_plan, use_all_suggestions
from wooxy_pipedrive_etl.mapping.transform import FeedPlan, read_batch, references, transform
from wooxy_pipedrive_etl.mapping.variables import pipedrive_variables
from wooxy_pipedrive_etl_tests.mapping.helpers import STEADY, list_variables, persons, records
from wooxy_pipedrive_etl_tests.mapping.value_cases import COLOURS, CUSTOM_CODES, NAMES, field

SYSTEM = [
    field("name", "varchar", name="Name", custom=False),
    field("email", "varchar", name="Email", custom=False),
    field("phone", "phone", name="Phone", custom=False),
    field("birthday", "date", name="Birthday", custom=False),
    field("label_ids", "set", name="Labels", custom=False, options=COLOURS),
    field("owner_id", "user", name="Owner", custom=False),
    field("org_id", "org", name="Organization", custom=False),
    field("im", "varchar", name="IM", custom=False),
    field("postal_address", "address", name="Postal address", custom=False),
    field("deal_value", "monetary", name="Deal value", custom=False),
    field("update_time", "date", name="Updated", custom=False),
    field("marketing_status", "varchar_options", name="Marketing status", custom=False),
]
CUSTOM = [
    field(
        code,
        field_type,
        name=f"Custom {field_type}",
        options=COLOURS if field_type in ("enum", "set") else None,
    )
    for field_type, code in CUSTOM_CODES.items()
]
VARIABLES = pipedrive_variables(SYSTEM + CUSTOM)


def _plan(*rows: tuple[str, str] | tuple[str, str, str], region: str | None = None) -> FeedPlan:
    matching = Matching.of(True, [(row[0], "", row[1], row[2] if len(row) > 2 else "String") for row in rows])
    return feed_plan(VARIABLES, matching, list_variables(), region)


def _run(plan: FeedPlan, *raws: str) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    contacts, issues = transform(read_batch(persons(*raws), plan), NAMES)
    return contacts, records(issues)


def test_contacts_and_issues_have_their_columns_and_types() -> None:
    plan = _plan(("name", "name"), ("emails", "email"), ("birthday", "contactBirthday", "DateTime"))
    raw = '{"name":"Ä","emails":[{"value":"A@b.fi"}],"birthday":"2026-02-30","marketing_status":"Subscribed"}'
    contacts, issues = transform(read_batch(persons(raw, "{}"), plan), NAMES)
    assert list(contacts.columns) == [
        "person_id",
        "person_version",
        "marketing_status",
        "name",
        "email",
        "contactBirthday",
    ]
    assert [str(dtype) for dtype in contacts.dtypes] == ["int64", "int64", *["object"] * 4]
    assert records(contacts)[0] == {
        "person_id": 1,
        "person_version": 1_700_000_000_000_000,
        "marketing_status": "subscribed",
        "name": "Ä",
        "email": "a@b.fi",
        "contactBirthday": None,
    }
    assert records(contacts)[1]["email"] is None
    assert list(issues.columns) == ["person_id", "kind", "reason", "variable", "message"]
    assert [str(dtype) for dtype in issues.dtypes] == ["Int64", *["object"] * 4]
    assert records(issues) == [
        {
            "person_id": 1,
            "kind": "dropped_value",
            "reason": "invalid_datetime",
            "variable": "birthday",
            "message": "“Birthday” is not an ISO date; the value was left out.",
        }
    ]


def test_an_empty_batch_and_an_empty_plan() -> None:
    contacts, issues = _run(_plan(("name", "name")))
    assert (len(contacts), issues) == (0, [])
    contacts, issues = _run(_plan(), '{"name":"A"}')
    assert list(contacts.columns) == ["person_id", "person_version", "marketing_status"]


def test_only_matched_variables_have_columns() -> None:
    contacts, _ = _run(_plan(("name", "someone")), '{"name":"A","emails":[{"value":"a@b.fi"}]}')
    assert list(contacts.columns)[3:] == ["someone"]


def test_messages_contain_no_values() -> None:
    plan = _plan(
        ("emails", "email"), ("phones", "phoneNumber"), ("owner_id", "owner"), ("label_ids", "labels")
    )
    _, issues = _run(
        plan,
        '{"emails":[{"value":"secret at"}],"phones":[{"value":"0401234567"}],"owner_id":4711,"label_ids":[815]}',
    )
    assert [issue["reason"] for issue in issues] == [
        "invalid_email",
        "invalid_phone",
        "invalid_value",
        "unknown_option",
    ]
    for issue in issues:
        assert not any(word in issue["message"] for word in ("secret", "0401234567", "4711", "815"))


def test_the_first_valid_phone_depends_on_region() -> None:
    raw = '{"phones":[{"value":"040 111 2233","primary":true},{"value":"+358 50 444 5566"}]}'
    assert _run(_plan(("phones", "phoneNumber")), raw)[0]["phoneNumber"].tolist() == ["+358504445566"]
    assert _run(_plan(("phones", "phoneNumber"), region="FI"), raw)[0]["phoneNumber"].tolist() == [
        "+358401112233"
    ]


@pytest.mark.parametrize(
    ("status", "flag"),
    [
        ('"subscribed"', True),
        ('"unsubscribed"', False),
        ('{"id":"subscribed","label":"Abonniert"}', True),
        ('"no_consent"', None),
        ('"archived"', None),
        ('""', None),
        ("null", None),
        ("1", None),
    ],
)
def test_email_subscribe_follows_the_marketing_status(status: str, flag: bool | None) -> None:
    contacts, issues = _run(_plan(("marketing_status", "emailSubscribe")), f'{{"marketing_status":{status}}}')
    assert contacts["emailSubscribe"].tolist() == [flag]
    assert issues == []


def test_a_system_amount_is_read_with_its_currency() -> None:
    plan = _plan(("deal_value", "amount"), ("deal_value/currency", "currency"))
    contacts, _ = _run(plan, '{"deal_value":12.50,"currency":"EUR"}', '{"deal_value":null,"currency":"EUR"}')
    assert contacts[["amount", "currency"]].values.tolist() == [["12.50", "EUR"], [None, None]]


def test_both_spellings_of_messengers_are_read() -> None:
    plan = _plan(("im", "messenger"))
    contacts, _ = _run(plan, '{"im":[{"value":"a"}]}', '{"ims":[{"value":"b"}]}', '{"im":null}')
    assert contacts["messenger"].tolist() == ["a", "b", None]


@pytest.mark.parametrize(
    "raw", ["", "nonsense", "[]", "null", "7", '"text"', '{"name":', "[" * 100_000, "\ud800"]
)
def test_an_unreadable_person_is_listed_without_stopping_others(raw: str) -> None:
    contacts, issues = _run(_plan(("name", "name")), '{"name":"A"}', raw, '{"name":"C"}')
    assert contacts["name"].tolist() == ["A", None, "C"]
    assert [(issue["person_id"], issue["reason"], issue["variable"]) for issue in issues] == [
        (2, "odd_shape", None)
    ]


@pytest.mark.parametrize("custom", ["[]", "null", "{}"])
def test_empty_custom_fields_are_accepted(custom: str) -> None:
    plan = _plan(("name", "name"), (CUSTOM_CODES["varchar"], "text"))
    contacts, issues = _run(plan, f'{{"name":"A","custom_fields":{custom}}}')
    assert (contacts["name"].tolist(), contacts["text"].tolist(), issues) == (["A"], [None], [])


@pytest.mark.parametrize("custom", ["[1]", '"x"', "5"])
def test_malformed_custom_fields_do_not_affect_other_fields(custom: str) -> None:
    plan = _plan(("name", "name"), (CUSTOM_CODES["varchar"], "text"))
    contacts, issues = _run(plan, f'{{"name":"A","custom_fields":{custom}}}')
    assert contacts["name"].tolist() == ["A"]
    assert [(issue["reason"], issue["variable"]) for issue in issues] == [("odd_shape", None)]


def test_digits_survive_beside_lone_surrogates() -> None:
    """A lone surrogate makes the fast decoder fail; the slow one must keep the digits too."""
    plan = _plan((CUSTOM_CODES["double"], "number"), ("name", "name"))
    contacts, _ = _run(
        plan, f'{{"name":"\\ud800","custom_fields":{{"{CUSTOM_CODES["double"]}":0.30000000000000004}}}}'
    )
    assert contacts["number"].tolist() == ["0.30000000000000004"]


def test_only_names_of_matched_fields_are_fetched() -> None:
    plan = _plan(("owner_id", "owner"), (CUSTOM_CODES["people"], "friend"))
    batch = read_batch(
        persons(
            f'{{"owner_id":9001,"org_id":55,"custom_fields":{{"{CUSTOM_CODES["people"]}":77}}}}',
            f'{{"owner_id":{{"id":9002}},"custom_fields":{{"{CUSTOM_CODES["people"]}":null}}}}',
            '{"owner_id":"odd","custom_fields":null}',
        ),
        plan,
    )
    found = references(batch)
    assert {tuple(row) for row in found.itertuples(index=False)} == {
        (1, "user", 9001),
        (2, "user", 9002),
        (1, "person", 77),
    }
    assert found.dtypes.astype(str).to_dict() == {
        "person_id": "int64",
        "kind": "object",
        "entity_id": "int64",
    }


def test_an_impossible_id_is_listed_as_invalid() -> None:
    plan = _plan(("owner_id", "owner"))
    batch = read_batch(persons('{"owner_id":9223372036854775808}', '{"owner_id":9223372036854775807}'), plan)
    assert references(batch)["entity_id"].tolist() == [2**63 - 1]
    _, issues = transform(batch, NAMES)
    assert [(row["person_id"], row["reason"]) for row in records(issues)] == [
        (1, "invalid_value"),
        (2, "invalid_value"),
    ]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["31", "0000-00-00"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["value", "until", "id", "label", "primary", "currency"]) | st.text(), inner
        )
    ),
    max_leaves=6,
)
EVERYTHING = feed_plan(
    VARIABLES, use_all_suggestions(VARIABLES, Matching.of(True, []), list_variables()), list_variables(), "FI"
)
CODES = [each.field_code for each in SYSTEM] + ["emails", "phones"]


@STEADY
@given(
    st.dictionaries(st.sampled_from(CODES), JSON, max_size=6),
    st.dictionaries(st.sampled_from(list(CUSTOM_CODES.values())), JSON, max_size=6) | JSON,
    st.booleans(),
)
def test_no_json_makes_a_batch_fail(root: dict[str, Any], custom: Any, escaped: bool) -> None:
    raw = json.dumps(root | {"custom_fields": custom}, ensure_ascii=escaped)
    batch = read_batch(persons(raw, '{"name":"B"}'), EVERYTHING)
    references(batch)
    contacts, _ = transform(batch, NAMES)
    assert contacts["name"].tolist()[1] == "B"
    for name in contacts.columns[2:]:
        for value in contacts[name]:
            assert value is None or isinstance(value, str | int | bool)
            if isinstance(value, str):
                assert value
                assert "\0" not in value
                value.encode()


BOTH_FORMATS = [
    feed_plan(
        VARIABLES,
        Matching.of(True, [(each.key, "", f"variable{i}", row_format) for i, each in enumerate(VARIABLES)]),
        list_variables(),
    )
    for row_format in ("String", "DateTime")
]


@STEADY
@given(JSON)
def test_both_formats_of_every_type_take_any_json(value: Any) -> None:
    custom = dict.fromkeys(CUSTOM_CODES.values(), value)
    raw = json.dumps(dict.fromkeys(CODES, value) | {"custom_fields": custom})
    for plan in BOTH_FORMATS:
        contacts, _ = transform(read_batch(persons(raw), plan), NAMES)
        assert len(contacts.columns) == 3 + len(VARIABLES)
