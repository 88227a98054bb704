"""Match variables: which Pipedrive variable feeds which Wooxy variable, and the rules of that table.

A matching has a row for each variable that the user has seen; rows of none are rows too, for a variable without
a row is new. A row remembers the type that its field had at the Import: values of another type are not what was
agreed upon. The rules live in `match_rules.Rules`, and the table, the check before anything is written and the plan of
what is fed all ask it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd

from wooxy_pipedrive_etl.mapping.match_rules import (
    COLUMN_TYPES,
    FORMATS,
    Row,
    Rules,
    field_code,
    field_types,
    retyped,
    table_rows,
    with_auto_matches,
)
from wooxy_pipedrive_etl.mapping.transform import Feed, FeedPlan

__all__ = [
    "FORMATS",
    "ColumnChanges",
    "Matching",
    "MatchingError",
    "accept_types",
    "auto_match",
    "check_matching",
    "column_changes",
    "empty_matching",
    "feed_plan",
    "match_table",
    "preview_plan",
    "retyped_rows",
    "use_all_suggestions",
    "version_of",
]

_COLUMNS = ("pipedrive", "label", "wooxy", "format", "field_type")


@dataclass(frozen=True)
class Matching:
    """`variables` has the columns pipedrive (key), label, wooxy (name or None), format and field_type (the field's type
    at the Import, or None: not known, or not imported yet); all object, a row a key."""

    ignore_empty_values: bool
    variables: pd.DataFrame

    @staticmethod
    def of(
        ignore_empty_values: bool,
        rows: Sequence[tuple[str, str, str | None, str] | tuple[str, str, str | None, str, str | None]],
    ) -> Matching:
        """`rows`: key, label, wooxy, format, and the field's type where it is known."""
        whole = [Row(*row) for row in rows]
        frame = {name: pd.Series([row[i] for row in whole], dtype=object) for i, name in enumerate(_COLUMNS)}
        return Matching(ignore_empty_values, pd.DataFrame(frame))


@dataclass(frozen=True)
class MatchingError:
    """Why a row cannot be imported: its key and label, and a sentence about what is wrong with it."""

    pipedrive: str
    label: str
    problem: str

    @property
    def message(self) -> str:
        return f"“{self.label}” ({self.pipedrive}): {self.problem}"


class ColumnChanges(NamedTuple):
    """What putting a matching in force does to the list's columns, in this order. `renamed`: (old, new) names, to be
    done one after the other; `added`: (name, format)."""

    renamed: list[tuple[str, str]]
    added: list[tuple[str, str]]


def empty_matching(ignore_empty_values: bool = True) -> Matching:
    return Matching.of(ignore_empty_values, [])


def version_of(matching: Matching) -> str:
    """16 hex digits that are the same for matchings that say the same. A label, or the type that a field had, is
    nothing that a person chose."""
    rows = sorted((row.pipedrive, row.wooxy, row.format) for row in _rows(matching))
    said = json.dumps([matching.ignore_empty_values, rows])
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def auto_match(variables: pd.DataFrame, matching: Matching, list_variables: pd.DataFrame) -> Matching:
    """The matching with a row for every variable: those that had none are matched by themselves, or with none.

    Rows that were there stay as they are; the first of two that would feed one variable wins.
    """
    rows = with_auto_matches(_rules(variables, list_variables), _rows(matching))
    return Matching.of(matching.ignore_empty_values, rows)


def use_all_suggestions(
    variables: pd.DataFrame, matching: Matching, list_variables: pd.DataFrame
) -> Matching:
    """The matching with every row of none set to its suggested new variable; new variables are auto-matched first."""
    rules = _rules(variables, list_variables)
    rows = _rows(auto_match(variables, matching, list_variables))
    suggestions = rules.suggestions(rows)
    return Matching.of(
        matching.ignore_empty_values,
        [
            row._replace(
                wooxy=suggestions[row.pipedrive],
                format=rules.format_for(row.pipedrive, None),
                field_type=None,
            )
            if row.wooxy is None and row.pipedrive in suggestions
            else row
            for row in rows
        ],
    )


def check_matching(
    variables: pd.DataFrame, matching: Matching, list_variables: pd.DataFrame
) -> list[MatchingError]:
    """Every rule that the matching breaks, in the order of its rows; empty: it can be imported.

    Rows whose field is gone are no errors: they feed nothing, and what is stored stays. Nor are those whose field has
    another type now, for the Import accepts it.
    """
    rules = _rules(variables, list_variables)
    rows = _rows(accept_types(variables, matching))
    problems = rules.problems(rows)
    return [
        MatchingError(row.pipedrive, row.label, problems[row.pipedrive])
        for row in rows
        if row.pipedrive in problems and row.pipedrive in rules.variables
    ]


def accept_types(variables: pd.DataFrame, matching: Matching) -> Matching:
    """The matching as an Import puts it in force: each row with the type that its field has now.

    A row whose field is gone keeps the type that it had, for the field may come back with another one.
    """
    types = field_types(_records(variables))
    return Matching.of(
        matching.ignore_empty_values,
        [
            row._replace(field_type=types.get(field_code(row.pipedrive), row.field_type))
            for row in _rows(matching)
        ],
    )


def retyped_rows(variables: pd.DataFrame, matching: Matching) -> dict[str, MatchingError]:
    """Wooxy variable -> what became of the field that fed it, for matched rows whose field has another type now."""
    types = field_types(_records(variables))
    return {
        row.wooxy: MatchingError(row.pipedrive, row.label, problem)
        for row in _rows(matching)
        if row.wooxy is not None and (problem := retyped(row, types)) is not None
    }


def match_table(
    variables: pd.DataFrame,
    matching: Matching,
    list_variables: pd.DataFrame,
    *,
    confirmed: bool,
    previews: Mapping[str, str] | None = None,
    problems: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """The Match variables table: a row for each Pipedrive variable, then the matched ones that are gone.

    Columns (object, but `new`): status ('green', 'gray', 'red'), reason (a sentence or None), pipedrive (key), label,
    preview (text or None), wooxy (name or None), format, suggestion (name or None), suggested_format, new (bool:
    not in the matching yet). In a confirmed matching, a new variable that was matched by itself is gray, and waits.
    `previews` and `problems` (reasons known elsewhere, such as a column that could not be created) are by key.
    """
    table = table_rows(
        _rules(variables, list_variables),
        _rows(matching),
        confirmed=confirmed,
        previews=previews,
        problems=problems,
    )
    columns = (
        "status",
        "reason",
        "pipedrive",
        "label",
        "preview",
        "wooxy",
        "format",
        "suggestion",
        "suggested_format",
    )
    frame: dict[str, Any] = {name: pd.Series([row[name] for row in table], dtype=object) for name in columns}
    frame["new"] = pd.Series([row["new"] for row in table], dtype=bool)
    return pd.DataFrame(frame)


def column_changes(
    in_force: Matching | None, matching: Matching, list_variables: pd.DataFrame
) -> ColumnChanges:
    """What changes in the list's columns when a matching takes the place of the one in force (None: there is none yet).

    A row that goes from a custom variable of ours to one that does not exist yet takes its column along (Wooxy): round
    after round, since one renaming may make room for another. The formats must agree, for a column has one.
    """
    names = set(list_variables["name"])
    ours = set(list_variables.loc[list_variables["created_by_sync"], "name"])
    old = {row.pipedrive: row for row in _rows(in_force or empty_matching())}
    waiting: list[tuple[str, str]] = []
    for row in _rows(matching):
        was = old.get(row.pipedrive)
        if was is None or was.wooxy is None or row.wooxy is None:
            continue
        if was.wooxy != row.wooxy and was.format == row.format:
            waiting.append((was.wooxy, row.wooxy))
    renamed: list[tuple[str, str]] = []
    while moves := [(a, b) for a, b in waiting if a in ours and b not in names]:
        move = moves[0]
        for known in (names, ours):
            known.remove(move[0])
            known.add(move[1])
        renamed.append(move)
        waiting.remove(move)
    added = {row.wooxy: row.format for row in _rows(matching) if row.wooxy is not None}
    return ColumnChanges(renamed, [(name, format_) for name, format_ in added.items() if name not in names])


def feed_plan(
    variables: pd.DataFrame,
    matching: Matching,
    list_variables: pd.DataFrame,
    default_region: str | None = None,
) -> FeedPlan:
    """What a run feeds: the matched rows that are not red. Variables without a row in the matching are not fed."""
    rules = _rules(variables, list_variables)
    rows = _rows(matching)
    problems = rules.problems(rows)
    return FeedPlan(
        tuple(
            _feed(rules, row.pipedrive, row.wooxy, row.format)
            for row in rows
            if row.wooxy is not None and row.pipedrive not in problems
        ),
        default_region,
    )


def preview_plan(
    variables: pd.DataFrame,
    matching: Matching,
    list_variables: pd.DataFrame,
    default_region: str | None = None,
) -> FeedPlan:
    """Every variable, as it would be stored: matched rows in their formats, the others in the suggested ones."""
    rules = _rules(variables, list_variables)
    rows = _rows(auto_match(variables, matching, list_variables))
    problems = rules.problems(rows)
    feeds = []
    for row in rows:
        if row.pipedrive not in rules.variables:
            continue
        if row.wooxy is None or row.pipedrive in problems:
            feeds.append(_feed(rules, row.pipedrive, "", rules.format_for(row.pipedrive, None)))
        else:
            feeds.append(_feed(rules, row.pipedrive, row.wooxy, row.format))
    return FeedPlan(tuple(feeds), default_region)


def _feed(rules: Rules, key: str, wooxy: str, row_format: str) -> Feed:
    variable = rules.variables[key]
    target = rules.targets.get(wooxy)
    return Feed(
        key=key,
        label=variable["label"],
        field_code=variable["field_code"],
        part=variable["part"],
        kind=variable["kind"],
        is_custom_field=bool(variable["is_custom_field"]),
        options=variable["options"],
        wooxy=wooxy,
        column_type=COLUMN_TYPES[row_format] if target is None else target["type"],
    )


def _rules(variables: pd.DataFrame, list_variables: pd.DataFrame) -> Rules:
    return Rules(_records(variables), _records(list_variables))


def _rows(matching: Matching) -> list[Row]:
    columns = (matching.variables[name] for name in _COLUMNS)
    return [Row(*row) for row in zip(*columns, strict=True)]


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    names = list(frame.columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*(frame[n] for n in names), strict=True)]
