"""Match variables: which Pipedrive variable feeds which Wooxy variable, and the rules of that table.

A matching has a row for each variable that the user has seen, matched or not; a variable without a row is new.
A row records the type that its field had at the Import: values of another type were never agreed to. The rules are in
`match_rules.Rules`; the table, the check before anything is written and the plan of what is fed all use it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from wooxy_pipedrive_etl.custom_variables import CUSTOM_TYPES
from wooxy_pipedrive_etl.mapping.match_rules import (
    FORMATS,
    Difference,
    Rules,
    TableRow,
    Target,
    differences,
    field_code,
    field_types,
    retyped,
    table_rows,
    with_auto_matches,
)
from wooxy_pipedrive_etl.mapping.transform import Feed, FeedPlan
from wooxy_pipedrive_etl.mapping.variables import Variable
from wooxy_pipedrive_etl.matching_row import Row

__all__ = [
    "FORMATS",
    "ColumnChanges",
    "Difference",
    "Matching",
    "MatchingError",
    "accept_types",
    "auto_match",
    "changed_rows",
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


@dataclass(frozen=True)
class Matching:
    """`rows`: one for each variable that a user has seen, by key."""

    ignore_empty_values: bool
    rows: tuple[Row, ...]

    @staticmethod
    def of(
        ignore_empty_values: bool,
        rows: Iterable[tuple[str, str, str | None, str] | tuple[str, str, str | None, str, str | None]],
    ) -> Matching:
        """`rows`: key, label, wooxy, format, and the field's type if it is known."""
        return Matching(ignore_empty_values, tuple(Row(*row) for row in rows))

    @property
    def matched(self) -> int:
        """How many rows feed a variable."""
        return sum(row.wooxy is not None for row in self.rows)


@dataclass(frozen=True)
class MatchingError:
    """Why a row can't be imported: its key and label, and a sentence that says what is wrong."""

    pipedrive: str
    label: str
    problem: str

    @property
    def message(self) -> str:
        return f"“{self.label}” ({self.pipedrive}): {self.problem}"


class ColumnChanges(NamedTuple):
    """What putting a matching into force does to the list's columns, in this order. `renamed`: (old, new) names, to be
    renamed one after the other; `added`: (name, format)."""

    renamed: list[tuple[str, str]]
    added: list[tuple[str, str]]


def empty_matching(ignore_empty_values: bool = True) -> Matching:
    return Matching.of(ignore_empty_values, [])


def version_of(matching: Matching) -> str:
    """16 hex digits that are the same for equivalent matchings. Labels and recorded field types do not count: nobody
    chose them."""
    rows = sorted((row.pipedrive, row.wooxy, row.format) for row in matching.rows)
    said = json.dumps([matching.ignore_empty_values, rows])
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def auto_match(
    variables: Sequence[Variable], matching: Matching, list_variables: Sequence[Target]
) -> Matching:
    """The matching with a row for every variable: those without one are matched automatically, or with none.

    Existing rows stay as they are; the first of two that would feed one variable wins.
    """
    rows = with_auto_matches(Rules(variables, list_variables), matching.rows)
    return Matching.of(matching.ignore_empty_values, rows)


def use_all_suggestions(
    variables: Sequence[Variable], matching: Matching, list_variables: Sequence[Target]
) -> Matching:
    """The matching with every unmatched row set to its suggested new variable; new variables are auto-matched first."""
    rules = Rules(variables, list_variables)
    rows = auto_match(variables, matching, list_variables).rows
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
    variables: Sequence[Variable], matching: Matching, list_variables: Sequence[Target]
) -> list[MatchingError]:
    """Every rule that the matching breaks, in the order of its rows; if empty, it can be imported.

    Rows whose field was deleted are not errors: they feed nothing, and stored values stay. Nor are rows whose field has
    another type now, since the Import accepts it.
    """
    rules = Rules(variables, list_variables)
    rows = accept_types(variables, matching).rows
    problems = rules.problems(rows)
    return [
        MatchingError(row.pipedrive, row.label, problems[row.pipedrive])
        for row in rows
        if row.pipedrive in problems and row.pipedrive in rules.variables
    ]


def accept_types(variables: Sequence[Variable], matching: Matching) -> Matching:
    """The matching as an Import puts it into force: each row with the current type of its field.

    A row whose field was deleted keeps its type, since the field may come back with another one.
    """
    types = field_types(variables)
    return Matching.of(
        matching.ignore_empty_values,
        [
            row._replace(field_type=types.get(field_code(row.pipedrive), row.field_type))
            for row in matching.rows
        ],
    )


def retyped_rows(variables: Sequence[Variable], matching: Matching) -> dict[str, MatchingError]:
    """Wooxy variable -> what happened to its field, for matched rows whose field has another type now."""
    types = field_types(variables)
    return {
        row.wooxy: MatchingError(row.pipedrive, row.label, problem)
        for row in matching.rows
        if row.wooxy is not None and (problem := retyped(row, types)) is not None
    }


def match_table(
    variables: Sequence[Variable],
    matching: Matching,
    list_variables: Sequence[Target],
    *,
    in_force: Matching | None,
    previews: Mapping[str, str] | None = None,
    problems: Mapping[str, str] | None = None,
) -> list[TableRow]:
    """`match_rules.table_rows` of a matching. `in_force`: the one that its Import would replace."""
    return table_rows(
        Rules(variables, list_variables),
        matching.rows,
        in_force=None if in_force is None else in_force.rows,
        previews=previews,
        problems=problems,
    )


def column_changes(
    in_force: Matching | None, matching: Matching, list_variables: Sequence[Target]
) -> ColumnChanges:
    """What changes in the list's columns when a matching replaces the one in force (None: there is none yet)."""
    rows = matching.rows
    rules = Rules((), list_variables)
    renamed = list(rules.renames((in_force or empty_matching()).rows, rows).values())
    names = {variable.name for variable in list_variables}
    for old, new in renamed:
        names.remove(old)
        names.add(new)
    added = {row.wooxy: row.format for row in rows if row.wooxy is not None}
    return ColumnChanges(renamed, [(name, format_) for name, format_ in added.items() if name not in names])


def changed_rows(before: Matching, after: Matching) -> list[Difference]:
    """The rows that feed something else in `after`."""
    return differences(before.rows, after.rows)


def feed_plan(
    variables: Sequence[Variable],
    matching: Matching,
    list_variables: Sequence[Target],
    default_region: str | None = None,
) -> FeedPlan:
    """What a run feeds: the matched rows that are not red. Variables without a row in the matching are not fed."""
    rules = Rules(variables, list_variables)
    rows = matching.rows
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
    variables: Sequence[Variable],
    matching: Matching,
    list_variables: Sequence[Target],
    default_region: str | None = None,
) -> FeedPlan:
    """Every variable, as it would be stored: matched rows in their formats, the others in the suggested ones."""
    rules = Rules(variables, list_variables)
    rows = auto_match(variables, matching, list_variables).rows
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
        label=variable.label,
        field_code=variable.field_code,
        part=variable.part,
        kind=variable.kind,
        is_custom_field=variable.is_custom_field,
        options=variable.options,
        wooxy=wooxy,
        column_type=CUSTOM_TYPES[row_format] if target is None else target.type,
    )
