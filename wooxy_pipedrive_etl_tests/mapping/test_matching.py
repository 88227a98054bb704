"""The Match variables table: dots and reasons, auto-match, suggestions, and what feeds the list."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wooxy_pipedrive_etl.custom_variables import RESERVED_NAMES, name_problem
from wooxy_pipedrive_etl.mapping.match_rules import TableRow
from wooxy_pipedrive_etl.mapping.matching import (
    Matching,
    accept_types,
    auto_match,
    check_matching,
    empty_matching,
    feed_plan,
    match_table,
    retyped_rows,
    use_all_suggestions,
)
from wooxy_pipedrive_etl.mapping.naming import lower_camel_case, suggest_name
from wooxy_pipedrive_etl.mapping.variables import Variable, pipedrive_variables
from wooxy_pipedrive_etl_tests.mapping.helpers import BUILT_INS, STEADY, list_variables
from wooxy_pipedrive_etl_tests.mapping.value_cases import field

BUDGET, START, GENDER, MAIL = "b" * 40, "c" * 40, "d" * 40, "e" * 40
SYSTEM = [
    field("name", "varchar", name="Nimi", custom=False),
    field("first_name", "varchar", name="Etunimi", custom=False),
    field("last_name", "varchar", name="Sukunimi", custom=False),
    field("phone", "phone", name="Puhelin", custom=False),
    field("birthday", "date", name="Syntymäpäivä", custom=False),
    field("marketing_status", "varchar_options", name="Marketing status", custom=False),
]
CUSTOM = [
    field(MAIL, "varchar", name="Email"),
    field(BUDGET, "monetary", name="Budget"),
    field(START, "date", name="Start"),
    field(GENDER, "enum", name="Contact gender", options=[{"id": 1, "label": "Female"}]),
]
VARIABLES = pipedrive_variables(
    [*SYSTEM, *CUSTOM, field("email", "varchar", name="Sähköposti", custom=False)]
)
KEYS = [each.key for each in VARIABLES]
LIST = list_variables(("notes", "String"), ("contractStart", "DateTime"))


def _matching(*rows: tuple[str, str | None] | tuple[str, str | None, str]) -> Matching:
    labels = {each.key: each.label for each in VARIABLES}
    return Matching.of(
        True, [(row[0], labels.get(row[0], "Old label"), row[1], (*row, "String")[2]) for row in rows]
    )


def _by_key(table: list[TableRow]) -> dict[str, TableRow]:
    return {row.pipedrive: row for row in table}


def _targets(matching: Matching) -> dict[str, Any]:
    return {row.pipedrive: row.wooxy for row in matching.rows if row.wooxy}


def _table(matching: Matching, confirmed: bool = True, **more: Any) -> dict[str, dict[str, Any]]:
    table = match_table(VARIABLES, matching, LIST, in_force=matching if confirmed else None, **more)
    return {row.pipedrive: row._asdict() for row in table}


def test_auto_match_prefers_keys_over_labels() -> None:
    matching = auto_match(VARIABLES, empty_matching(), LIST)
    assert _targets(matching) == {
        "name": "name",
        "first_name": "firstName",
        "last_name": "lastName",
        "phones": "phoneNumber",
        "birthday": "contactBirthday",
        "emails": "email",
        GENDER: "contactGender",
    }
    assert [row.pipedrive for row in matching.rows] == KEYS
    formats = {row.pipedrive: row.format for row in matching.rows}
    assert (formats["birthday"], formats[START], formats[BUDGET]) == ("DateTime", "DateTime", "String")


def test_auto_match_finds_custom_variables_ignoring_case() -> None:
    variables = pipedrive_variables([field("a" * 40, "date", name="CONTRACT start")])
    matching = auto_match(variables, empty_matching(), list_variables(("contractStart", "String")))
    assert _targets(matching) == {"a" * 40: "contractStart"}
    assert [row.format for row in matching.rows] == ["String"]


def test_auto_match_avoids_doubles_and_keeps_existing_rows() -> None:
    variables = pipedrive_variables(
        [field("a" * 40, "varchar", name="Notes"), field("f" * 40, "varchar", name="notes")]
    )
    assert _targets(auto_match(variables, empty_matching(), LIST)) == {"a" * 40: "notes"}
    before = _matching((MAIL, "email"), ("phones", None))
    after = _targets(auto_match(VARIABLES, before, LIST))
    assert after[MAIL] == "email"
    assert "emails" not in after
    assert "phones" not in after


@pytest.mark.parametrize(
    "label", ["active", "Sms subscribe", "Created at", "Email subscribe", "ctid", "Version"]
)
def test_auto_match_skips_reserved_names(label: str) -> None:
    variables = pipedrive_variables([field("a" * 40, "varchar", name=label)])
    matching = auto_match(variables, empty_matching(), LIST)
    assert _targets(matching) == {}
    assert check_matching(variables, use_all_suggestions(variables, matching, LIST), LIST) == []


def test_matched_rows_are_green_and_others_gray() -> None:
    table = _table(empty_matching(), confirmed=False)
    assert (table["emails"]["status"], table["emails"]["wooxy"], table["emails"]["reason"]) == (
        "green",
        "email",
        None,
    )
    assert table["emails"]["suggestion"] is None
    gray = table[f"{BUDGET}/currency"]
    assert (gray["status"], gray["wooxy"], gray["reason"]) == ("gray", None, None)
    assert (gray["suggestion"], gray["suggested_format"]) == ("budgetCurrency", "String")
    assert (table[START]["suggestion"], table[START]["suggested_format"]) == ("start", "DateTime")
    assert table[MAIL]["suggestion"] == "email2"
    assert list(table) == KEYS


def test_new_fields_wait_for_import_and_feed_nothing() -> None:
    matching = _matching(("name", "name"))
    table = _table(matching)
    assert (table["name"]["status"], table["name"]["new"]) == ("green", False)
    assert (table["emails"]["status"], table["emails"]["wooxy"], table["emails"]["new"]) == (
        "gray",
        "email",
        True,
    )
    assert "Import" in table["emails"]["reason"]
    assert (table[START]["status"], table[START]["wooxy"], table[START]["new"]) == ("gray", None, True)
    assert [feed.key for feed in feed_plan(VARIABLES, matching, LIST).feeds] == ["name"]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ((BUDGET, "Budget"), "not a valid name"),
        ((BUDGET, "1budget"), "not a valid name"),
        ((BUDGET, "bud_get"), "not a valid name"),
        ((BUDGET, "budget\n"), "not a valid name"),
        ((BUDGET, "größe"), "not a valid name"),
        ((BUDGET, ""), "not a valid name"),
        ((BUDGET, "b" * 61), "not a valid name"),
        ((BUDGET, "xmin"), "reserved"),
        ((BUDGET, "tableoid"), "reserved"),
        ((BUDGET, "firstname"), "capitals only"),
        ((BUDGET, "contractstart", "DateTime"), "capitals only"),
        ((BUDGET, "notes", "DateTime"), "format String"),
        ((BUDGET, "contractStart"), "format DateTime"),
        ((BUDGET, "avatarLink", "DateTime"), "String only"),
        ((BUDGET, "active"), "kept by Wooxy"),
        ((BUDGET, "createdAt", "DateTime"), "kept by Wooxy"),
        ((BUDGET, "smsSubscribe"), "kept by Wooxy"),
        ((BUDGET, "emailSubscribe"), "marketing_status"),
        ((BUDGET, "budget", "Number"), "neither String nor DateTime"),
    ],
)
def test_red_rows_are_refused_and_feed_nothing(row: tuple[str, str, str], words: str) -> None:
    matching = _matching(row, ("name", "name"))
    table = _table(matching)
    assert table[BUDGET]["status"] == "red"
    assert words in table[BUDGET]["reason"]
    assert [error.pipedrive for error in check_matching(VARIABLES, matching, LIST)] == [BUDGET]
    assert "“Budget”" in check_matching(VARIABLES, matching, LIST)[0].message
    assert [feed.wooxy for feed in feed_plan(VARIABLES, matching, LIST).feeds] == ["name"]


@pytest.mark.parametrize(
    "row",
    [
        (BUDGET, "budget"),
        (BUDGET, "b" * 60),
        (BUDGET, "budget", "DateTime"),
        (BUDGET, "id"),
        (BUDGET, "select"),
        (BUDGET, "notes"),
        (START, "contractStart", "DateTime"),
        (BUDGET, "contactScore"),
        (BUDGET, "contactScore", "DateTime"),
        ("birthday", "contactBirthday"),
        ("birthday", "contactBirthday", "DateTime"),
        ("marketing_status", "emailSubscribe"),
        (BUDGET, None),
    ],
)
def test_valid_rows_break_no_rule(row: tuple[str, str, str]) -> None:
    matching = _matching(row)
    assert check_matching(VARIABLES, matching, LIST) == []
    assert _table(matching)[row[0]]["status"] == ("gray" if row[1] is None else "green")
    assert [feed.key for feed in feed_plan(VARIABLES, matching, LIST).feeds] == [row[0]] * (
        row[1] is not None
    )


@pytest.mark.parametrize("second", ["email", "someNewName", "somenewname"])
def test_rows_sharing_a_variable_are_both_red(second: str) -> None:
    first = "email" if second == "email" else "someNewName"
    matching = _matching((MAIL, first), (BUDGET, second), ("name", "name"))
    table = _table(matching)
    for key in (MAIL, BUDGET):
        assert table[key]["status"] == "red"
        assert "“Email”" in table[key]["reason"]
        assert "“Budget”" in table[key]["reason"]
    assert [error.pipedrive for error in check_matching(VARIABLES, matching, LIST)] == [MAIL, BUDGET]
    assert [feed.key for feed in feed_plan(VARIABLES, matching, LIST).feeds] == ["name"]


def test_a_deleted_field_is_red_and_blocks_nothing() -> None:
    matching = _matching(("gone", "notes"), ("gone too", None), (BUDGET, "notes"))
    table = _table(matching)
    assert (table["gone"]["status"], table["gone"]["label"]) == ("red", "Old label")
    assert "no longer in Pipedrive" in table["gone"]["reason"]
    assert "gone too" not in table
    assert table[BUDGET]["status"] == "green"
    assert check_matching(VARIABLES, matching, LIST) == []


def test_given_problems_and_previews_are_shown() -> None:
    table = _table(_matching((BUDGET, "budget")), problems={BUDGET: "No column."}, previews={BUDGET: "12"})
    assert (table[BUDGET]["status"], table[BUDGET]["reason"], table[BUDGET]["preview"]) == (
        "red",
        "No column.",
        "12",
    )


def test_using_all_suggestions_breaks_no_rule() -> None:
    matching = use_all_suggestions(VARIABLES, _matching((BUDGET, None), (START, "begin")), LIST)
    targets = _targets(matching)
    assert set(targets) == set(KEYS)
    assert (targets["emails"], targets[BUDGET], targets[START]) == ("email", "budget", "begin")
    assert check_matching(VARIABLES, matching, LIST) == []
    assert set(_targets(use_all_suggestions(VARIABLES, matching, LIST)).items()) == set(targets.items())


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("Budget/Currency", "budgetCurrency"),
        ("First name", "firstName"),
        ("E-mail", "eMail"),
        ("VAT number", "vatNumber"),
        ("Contact LTV", "contactLtv"),
        ("iPhone model", "iPhoneModel"),
        ("customerID", "customerID"),
        ("client's budget", "clientsBudget"),
        ("Größe in m²", "grosseInM2"),
        ("Дата рождения", "dataRozhdeniya"),
        ("电话", "dianHua"),
        ("📞", "telephoneReceiver"),
        ("---", ""),
        ("", ""),
    ],
)
def test_lower_camel_case(label: str, name: str) -> None:
    assert lower_camel_case(label) == name


@pytest.mark.parametrize(
    ("label", "taken", "name"),
    [
        ("Budget", (), "budget"),
        ("Budget", ("budget",), "budget2"),
        ("Budget", ("budget", "budget2"), "budget3"),
        ("x" * 80, (), "x" * 60),
        ("x" * 80, ("x" * 60,), "x" * 59 + "2"),
        ("2nd phone", (), "field2ndPhone"),
        ("!!!", (), "field"),
        ("!!!", ("field",), "field2"),
        ("ctid", (), "ctid2"),
        ("XMIN", (), "xmin2"),
        ("ID", (), "id"),
    ],
)
def test_suggest_name(label: str, taken: tuple[str, ...], name: str) -> None:
    assert suggest_name(label, taken) == name


LABELS = st.text(max_size=80) | st.sampled_from(
    [name for name, *_ in BUILT_INS] + sorted(RESERVED_NAMES) + ["ID"]
)


@STEADY
@given(
    st.lists(st.tuples(LABELS, st.sampled_from(["varchar", "monetary", "timerange", "date"])), max_size=12),
    st.lists(st.from_regex(r"[a-z][A-Za-z0-9]{0,5}", fullmatch=True), max_size=5, unique_by=str.lower),
)
def test_suggestions_are_valid_unique_and_always_the_same(
    labels: list[tuple[str, str]], names: list[str]
) -> None:
    built_in = {name.lower() for name, *_ in BUILT_INS}
    in_list = list_variables(*((name, "String") for name in names if name.lower() not in built_in))
    rows = [field(f"{i:040x}", field_type, name=label) for i, (label, field_type) in enumerate(labels)]
    variables = pipedrive_variables(rows)
    table = match_table(variables, empty_matching(), in_list, in_force=None)
    suggested = [row.suggestion for row in table if row.suggestion is not None]
    taken = [name.lower() for name in [*suggested, *(each.name for each in in_list)]]
    assert [name_problem(name) for name in suggested] == [None] * len(suggested)
    assert len(set(taken)) == len(taken)
    assert table == match_table(variables, empty_matching(), in_list, in_force=None)
    everything = use_all_suggestions(variables, empty_matching(), in_list)
    assert check_matching(variables, everything, in_list) == []
    assert len(_targets(everything)) == len(variables)


def _retyped(code: str, field_type: str) -> list[Variable]:
    """The variables after a field has changed its type."""
    fields = [*SYSTEM, *CUSTOM]
    return pipedrive_variables(
        [each._replace(field_type=field_type) if each.field_code == code else each for each in fields]
    )


def test_a_retyped_field_is_red_and_feeds_nothing() -> None:
    matching = accept_types(VARIABLES, _matching((START, "contractStart", "DateTime"), ("name", "name")))
    assert [feed.wooxy for feed in feed_plan(VARIABLES, matching, LIST).feeds] == ["contractStart", "name"]
    now = _retyped(START, "varchar")
    assert [feed.wooxy for feed in feed_plan(now, matching, LIST).feeds] == ["name"]
    table = _by_key(match_table(now, matching, LIST, in_force=matching))
    assert table[START].status == "red"
    assert table[START].reason == (
        "The field changed its type from date to varchar since the Import; what was stored stays: import again to "
        "accept the new type."
    )
    assert list(retyped_rows(now, matching)) == ["contractStart"]
    # It does not block an Import; the Import accepts it.
    assert check_matching(now, matching, LIST) == []
    accepted = accept_types(now, matching)
    assert [feed.wooxy for feed in feed_plan(now, accepted, LIST).feeds] == ["contractStart", "name"]
    # The old type is back, without another Import.
    assert [feed.wooxy for feed in feed_plan(VARIABLES, matching, LIST).feeds] == ["contractStart", "name"]


def test_rows_without_a_remembered_type_are_not_judged() -> None:
    matching = _matching((START, "contractStart", "DateTime"))
    assert len(feed_plan(_retyped(START, "varchar"), matching, LIST).feeds) == 1


def test_unmatched_rows_are_never_red() -> None:
    matching = accept_types(VARIABLES, _matching((START, None), (BUDGET, None)))
    table = _by_key(match_table(_retyped(START, "varchar"), matching, LIST, in_force=matching))
    assert table[START].status == "gray"
    # Nor when set to their suggestion, which no Import has accepted yet.
    suggested = use_all_suggestions(_retyped(START, "varchar"), matching, LIST)
    table = _by_key(match_table(_retyped(START, "varchar"), suggested, LIST, in_force=None))
    assert table[START].status == "green"


def test_system_fields_read_by_shape_ignore_type_changes() -> None:
    """The catalogue's types of these are not documented; their values do not depend on them."""
    matching = accept_types(
        VARIABLES, _matching(("phones", "phoneNumber"), ("birthday", "contactBirthday", "DateTime"))
    )
    assert [feed.wooxy for feed in feed_plan(_retyped("phone", "varchar"), matching, LIST).feeds] == [
        "phoneNumber",
        "contactBirthday",
    ]
    assert [feed.wooxy for feed in feed_plan(_retyped("birthday", "text"), matching, LIST).feeds] == [
        "phoneNumber"
    ]


def test_a_deleted_field_keeps_its_type() -> None:
    matching = accept_types(
        VARIABLES, _matching((START, "contractStart", "DateTime"), (f"{BUDGET}/currency", "notes"))
    )
    without = pipedrive_variables(SYSTEM)
    away = accept_types(without, matching)
    assert [row.field_type for row in away.rows] == ["date", "monetary"]
    table = _by_key(match_table(_retyped(BUDGET, "double"), away, LIST, in_force=matching))
    # The part is not deleted; its field has another type, which lacks it.
    assert "from monetary to double" in str(table[f"{BUDGET}/currency"].reason)
    assert table[START].reason is None


def test_auto_match_and_suggestions_keep_remembered_types() -> None:
    matching = accept_types(VARIABLES, _matching((START, "contractStart", "DateTime")))
    for made in (auto_match, use_all_suggestions):
        types = {row.pipedrive: row.field_type for row in made(VARIABLES, matching, LIST).rows}
        assert types == dict.fromkeys(types) | {START: "date"}
