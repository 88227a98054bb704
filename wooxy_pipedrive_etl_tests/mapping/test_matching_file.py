"""Matching files: what is written can be read, and every error in a bad file is reported at once, by row."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from wooxy_pipedrive_etl.custom_variables import CUSTOM_TYPES, MAX_LENGTH, name_problem
from wooxy_pipedrive_etl.mapping.errors import MatchingFileError
from wooxy_pipedrive_etl.mapping.matching import Matching, auto_match, empty_matching, use_all_suggestions
from wooxy_pipedrive_etl.mapping.matching_file import (
    MAX_CHARACTERS,
    matching_schema,
    read_matching_file,
    write_matching_file,
)
from wooxy_pipedrive_etl.mapping.variables import pipedrive_variables
from wooxy_pipedrive_etl_tests.mapping.helpers import STEADY, list_variables
from wooxy_pipedrive_etl_tests.mapping.value_cases import field

BUDGET, START = "1" * 40, "c" * 40
VARIABLES = pipedrive_variables(
    [
        field("name", "varchar", name="Name", custom=False),
        field("owner_id", "user", name="Owner", custom=False),
        field(BUDGET, "monetary", name="Budget"),
        field(START, "date", name="no"),
    ]
)
LIST = list_variables(("notes", "String"))


def _errors(text: str) -> list[str]:
    with pytest.raises(MatchingFileError) as caught:
        read_matching_file(text, VARIABLES, LIST)
    assert str(caught.value) == "\n".join(caught.value.errors)
    return caught.value.errors


def _file(*rows: str, head: str = "ignore_empty_values: true") -> str:
    return "\n".join([head, "variables:", *(f"  - {{{row}}}" for row in rows)])


def _same(one: Matching, other: Matching) -> None:
    assert one.ignore_empty_values == other.ignore_empty_values
    assert {row.pipedrive: row for row in one.rows} == {row.pipedrive: row for row in other.rows}


def test_the_file_of_a_matching() -> None:
    matching = Matching.of(
        False,
        [
            ("name", "Old name", "name", "String"),
            (BUDGET, "Budget", "no", "String"),
            ("gone", "G", "g", "String"),
        ],
    )
    assert write_matching_file(VARIABLES, matching, LIST) == (
        "ignore_empty_values: false\n"
        "variables:\n"
        "- pipedrive: name\n  label: Name\n  wooxy: name\n  format: String\n"
        "- pipedrive: owner_id\n  label: Owner\n  wooxy: null\n  format: String\n"
        f"- pipedrive: '{BUDGET}'\n  label: Budget\n  wooxy: 'no'\n  format: String\n"
        f"- pipedrive: {BUDGET}/currency\n  label: Budget/Currency\n  wooxy: null\n  format: String\n"
        f"- pipedrive: {START}\n  label: 'no'\n  wooxy: null\n  format: DateTime\n"
    )


def test_unlisted_rows_are_unmatched_and_labels_ignored() -> None:
    matching = read_matching_file(
        _file(
            "pipedrive: name, label: Anything, wooxy: notes, format: String",
            "pipedrive: owner_id, wooxy: null",
        ),
        VARIABLES,
        LIST,
    )
    assert matching.ignore_empty_values is True
    rows = matching.rows
    assert rows[0] == ("name", "Name", "notes", "String", None)
    assert {row[0] for row in rows} == {each.key for each in VARIABLES}
    assert [row[2] for row in rows[1:]] == [None] * 4


def test_written_files_match_the_published_schema() -> None:
    Draft202012Validator.check_schema(matching_schema())
    matching = use_all_suggestions(VARIABLES, empty_matching(), LIST)
    content = yaml.safe_load(write_matching_file(VARIABLES, matching, LIST))
    Draft202012Validator(matching_schema()).validate(content)


def test_the_published_schema_enforces_custom_variable_rules() -> None:
    row = matching_schema()["properties"]["variables"]["items"]["properties"]
    assert row["format"]["enum"] == list(CUSTOM_TYPES)
    name = Draft202012Validator(row["wooxy"])
    longest = "a" * MAX_LENGTH
    for each in ("a", "aB9", longest, f"{longest}a", "", "A", "9a", "a b", "a_b", "größe"):
        assert name.is_valid(each) == (name_problem(each) is None), each


@STEADY
@given(
    st.lists(st.tuples(st.text(), st.sampled_from(["varchar", "date", "timerange", "address"])), max_size=5),
    st.booleans(),
    st.booleans(),
)
def test_round_trip(labels: list[tuple[str, str]], ignore_empty: bool, everything: bool) -> None:
    rows = [field(f"{i:040x}", field_type, name=label) for i, (label, field_type) in enumerate(labels)]
    variables = pipedrive_variables(rows)
    complete = use_all_suggestions if everything else auto_match
    matching = complete(variables, empty_matching(ignore_empty), LIST)
    text = write_matching_file(variables, matching, LIST)
    _same(read_matching_file(text, variables, LIST), matching)
    assert write_matching_file(variables, read_matching_file(text, variables, LIST), LIST) == text


NAME = "pipedrive: name, wooxy: name, format: String"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("# only a comment", "is empty"),
        ("a: [1", "not valid YAML, line 1"),
        ("a: b: c", "not valid YAML, line 1"),
        ("\tx", "not valid YAML, line 1"),
        ("a: 1\n--- \nb: 2", "not valid YAML, line 2"),
        ("nul: \0", "character 6"),
        ("half: \ud800", "character 7"),
        ("just text", "must be names with values"),
        ("- a", "must be names with values"),
        ("7", "must be names with values"),
        ("null", "must be names with values"),
        ("x: &a [1]\ny: *a", "aliases"),
        (
            "ignore_empty_values: true\nignore_empty_values: false\nvariables: []",
            "Line 2: “ignore_empty_values”",
        ),
        (_file("pipedrive: name, wooxy: null, wooxy: name"), "“wooxy” is there twice"),
        ("variables: []", "“ignore_empty_values” is missing"),
        ("ignore_empty_values: true", "“variables” is missing"),
        ("ignore_empty_values: 1\nvariables: []", "“ignore_empty_values” must be true or false"),
        ("ignore_empty_values: true\nvariables: {}", "“variables” must be a list"),
        ("ignore_empty_values: true\nvariables:", "“variables” must be a list"),
        ("ignore_empty_values: true\nvariables: []\nextra: 1", "“extra” is not a name that belongs here"),
        ("ignore_empty_values: true\nvariables: [name]", "Row 1: it must be names with values"),
        ("ignore_empty_values: true\nvariables: [null]", "Row 1: it must be names with values"),
        (_file("wooxy: name, format: String"), "Row 1: “pipedrive” is missing"),
        (_file("pipedrive: name"), "Row 1 (name): “wooxy” is missing"),
        (_file("pipedrive: name, wooxy: name"), "Row 1 (name): “format” is missing"),
        (_file(NAME + ", colour: red"), "Row 1 (name): “colour” is not a name that belongs here"),
        (_file("<<: {a: 1}, " + NAME), "“<<” is not a name that belongs here"),
        (_file("pipedrive: 12, wooxy: null"), "Row 1: “pipedrive” must be text (put it in quotes)"),
        (_file("pipedrive: '', wooxy: null"), "Row 1: “pipedrive” must not be empty"),
        (_file("pipedrive: [name], wooxy: null"), "Row 1: “pipedrive” must be text"),
        (
            _file("pipedrive: name, wooxy: no, format: String"),
            "Row 1 (name): “wooxy” must be text (put it in quotes)",
        ),
        (_file("pipedrive: name, wooxy: 2026-01-01, format: String"), "“wooxy” must be text"),
        (
            _file("pipedrive: name, wooxy: !!python/object:os.system x, format: String"),
            "“wooxy” must be text",
        ),
        (_file("pipedrive: name, wooxy: {a: b}, format: String"), "“wooxy” must be text"),
        (
            _file("pipedrive: name, wooxy: Bad Name, format: String"),
            "Row 1 (name): “wooxy” is not a valid name",
        ),
        (_file("pipedrive: name, wooxy: '', format: String"), "Row 1 (name): “wooxy” is not a valid name"),
        (_file(f"pipedrive: name, wooxy: {'x' * 61}, format: String"), "“wooxy” is not a valid name"),
        (_file('pipedrive: name, wooxy: "abc\\n", format: String'), "not a valid name"),
        (_file("pipedrive: name, wooxy: ctid, format: String"), "Row 1 (name): “ctid” is a reserved name"),
        (_file("pipedrive: name, wooxy: NAME, format: String"), "“wooxy” is not a valid name"),
        (
            _file("pipedrive: name, wooxy: firstname, format: String"),
            "differs from the list's variable “firstName”",
        ),
        (
            _file("pipedrive: name, wooxy: notes, format: DateTime"),
            "Row 1 (name): “notes” is in the list already",
        ),
        (_file("pipedrive: name, wooxy: active, format: String"), "Row 1 (name): “active” is kept by Wooxy"),
        (_file("pipedrive: name, wooxy: emailSubscribe, format: String"), "marketing_status only"),
        (
            _file("pipedrive: name, wooxy: name, format: Text"),
            "Row 1 (name): “format” must be String or DateTime",
        ),
        (_file("pipedrive: name, wooxy: name, format: [String]"), "“format” must be String or DateTime"),
        (_file("pipedrive: name, label: 7, wooxy: name, format: String"), "“label” must be text"),
        (_file("pipedrive: nobody, wooxy: null"), "Row 1 (nobody): Pipedrive has no such variable."),
        (_file(NAME, "pipedrive: name, wooxy: null"), "Row 2 (name): row 1 is about the same variable."),
    ],
)
def test_one_error(text: str, words: str) -> None:
    errors = _errors(text)
    assert len(errors) == 1
    assert words in errors[0]


def test_a_double_names_both_rows() -> None:
    errors = _errors(_file(NAME, "pipedrive: owner_id, wooxy: name, format: String"))
    assert [error.split(":")[0] for error in errors] == ["Row 1 (name)", "Row 2 (owner_id)"]
    for error in errors:
        assert "“Name” (name) and “Owner” (owner_id)" in error


def test_all_errors_are_reported_in_file_order() -> None:
    errors = _errors(
        _file(
            "pipedrive: nobody, wooxy: null",
            "pipedrive: name, wooxy: xmin, format: String",
            "wooxy: null",
            "pipedrive: owner_id, wooxy: Bad, format: Text",
            f"pipedrive: '{BUDGET}', wooxy: active, format: String",
            head="extra: 1",
        )
    )
    starts = [
        "“ignore_empty_values”",
        "“extra”",
        "Row 1 (nobody)",
        "Row 2 (name)",
        "Row 3",
        "Row 4",
        "Row 4",
        "Row 5",
    ]
    assert len(errors) == len(starts)
    assert all(any(error.startswith(start) for error in errors) for start in starts)
    assert [error[:5] for error in errors[2:]] == ["Row 1", "Row 2", "Row 3", "Row 4", "Row 4", "Row 5"]


BOMB = "a: &a [x]\n" + "\n".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]" for i in range(12)
)


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        "[" * 50_000,
        "- " * 50_000,
        "{a: " * 50_000,
        "x" * (MAX_CHARACTERS + 1),
        "? " * 10_000,
        "!" * 1000,
    ],
    ids=["aliases", "lists", "dashes", "maps", "size", "keys", "tags"],
)
def test_yaml_bombs_are_refused(text: str) -> None:
    """Otherwise parsing would use up all memory."""
    assert len(_errors(text)) == 1


@STEADY
@given(
    st.text(alphabet="abn:-{}[]&*!|>'\"#%@`?, \n\t0é\ud800\0")
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text() | st.dates(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["ignore_empty_values", "variables", "pipedrive", "wooxy", "format", "label"]
                ),
                inner,
            )
        ),
    ).map(lambda content: yaml.safe_dump(content))
)
def test_any_input_yields_a_matching_or_errors(text: str) -> None:
    errors: list[str] = []
    try:
        read_matching_file(text, VARIABLES, LIST)
    except MatchingFileError as error:
        errors = error.errors
    assert all(sentence.endswith(".") for sentence in errors)
