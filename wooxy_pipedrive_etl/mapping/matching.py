"""Match variables: which Pipedrive variable feeds which Wooxy variable, and the rules of that table.

A matching has a row for each variable that the user has seen; rows of none are rows too, for a variable without
a row is new. A row remembers the type that its field had at the Import: values of another type are not what was
agreed upon. The rules live in `_Rules`, and the table, the check before anything is written and the plan of what is
fed all ask it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd

from wooxy_pipedrive_etl.mapping.naming import (
    MAX_LENGTH,
    RESERVED_NAMES,
    is_valid_name,
    lower_camel_case,
    suggest_name,
)
from wooxy_pipedrive_etl.mapping.transform import Feed, FeedPlan
from wooxy_pipedrive_etl.mapping.variables import SYSTEM_KINDS

FORMATS = ("String", "DateTime")

# Matched by themselves, whatever their labels are; every other variable by its label.
_AUTO_MATCHES = {
    "name": "name",
    "first_name": "firstName",
    "last_name": "lastName",
    "emails": "email",
    "phones": "phoneNumber",
    "birthday": "contactBirthday",
}
_DATE_KINDS = ("date", "daterange")
_TYPES = {"String": "text", "DateTime": "datetime"}

_COLUMNS = ("pipedrive", "label", "wooxy", "format", "field_type")


class _Row(NamedTuple):
    pipedrive: str
    label: str
    wooxy: str | None
    format: str
    field_type: str | None = None


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
        whole = [_Row(*row) for row in rows]
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
    rules = _Rules(variables, list_variables)
    rows = _rows(matching)
    known = {row.pipedrive for row in rows}
    fed = {row.wooxy.lower() for row in rows if row.wooxy}
    new = [key for key in rules.variables if key not in known]
    found: dict[str, str] = {}
    # The system fields first: a custom field called "Email" must not take the place of the person's e-mail.
    for target_of in (lambda key: _AUTO_MATCHES.get(key), rules.target_of_label):
        for key in new:
            target = target_of(key)
            if key in found or target is None or target.lower() in fed or not rules.accepts(key, target):
                continue
            found[key] = target
            fed.add(target.lower())
    rows += [
        _Row(key, rules.label(key), found.get(key), rules.format_for(key, found.get(key))) for key in new
    ]
    return Matching.of(matching.ignore_empty_values, rows)


def use_all_suggestions(
    variables: pd.DataFrame, matching: Matching, list_variables: pd.DataFrame
) -> Matching:
    """The matching with every row of none set to its suggested new variable; new variables are auto-matched first."""
    rules = _Rules(variables, list_variables)
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
    rules = _Rules(variables, list_variables)
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
    types = _types(_records(variables))
    return Matching.of(
        matching.ignore_empty_values,
        [
            row._replace(field_type=types.get(_field_code(row.pipedrive), row.field_type))
            for row in _rows(matching)
        ],
    )


def retyped_rows(variables: pd.DataFrame, matching: Matching) -> dict[str, MatchingError]:
    """Wooxy variable -> what became of the field that fed it, for matched rows whose field has another type now."""
    types = _types(_records(variables))
    return {
        row.wooxy: MatchingError(row.pipedrive, row.label, problem)
        for row in _rows(matching)
        if row.wooxy is not None and (problem := _retyped(row, types)) is not None
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
    rules = _Rules(variables, list_variables)
    known = {row.pipedrive for row in _rows(matching)}
    rows = {row.pipedrive: row for row in _rows(auto_match(variables, matching, list_variables))}
    red = rules.problems(list(rows.values())) | dict(problems or {})
    suggestions = rules.suggestions(list(rows.values()))
    gone = [key for key, row in rows.items() if key not in rules.variables and row.wooxy is not None]
    table = []
    for key in [*rules.variables, *gone]:
        row = rows[key]
        new = key not in known
        status, reason = _status(row, new and confirmed, red.get(key), rules)
        suggestion = suggestions.get(key) if row.wooxy is None or status == "red" else None
        table.append(
            {
                "status": status,
                "reason": reason,
                "pipedrive": key,
                "label": rules.label(key) if key in rules.variables else row.label,
                "preview": (previews or {}).get(key),
                "wooxy": row.wooxy,
                "format": row.format,
                "suggestion": suggestion,
                "suggested_format": rules.format_for(key, None) if key in rules.variables else row.format,
                "new": new,
            }
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
    rules = _Rules(variables, list_variables)
    rows = _rows(matching)
    problems = rules.problems(rows)
    return FeedPlan(
        tuple(
            rules.feed(row.pipedrive, row.wooxy, row.format)
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
    rules = _Rules(variables, list_variables)
    rows = _rows(auto_match(variables, matching, list_variables))
    problems = rules.problems(rows)
    feeds = []
    for row in rows:
        if row.pipedrive not in rules.variables:
            continue
        if row.wooxy is None or row.pipedrive in problems:
            feeds.append(rules.feed(row.pipedrive, "", rules.format_for(row.pipedrive, None)))
        else:
            feeds.append(rules.feed(row.pipedrive, row.wooxy, row.format))
    return FeedPlan(tuple(feeds), default_region)


def _status(row: _Row, waits: bool, problem: str | None, rules: _Rules) -> tuple[str, str | None]:
    if problem is not None:
        return "red", problem
    if row.wooxy is None:
        return "gray", None
    if waits:
        return "gray", f"New in Pipedrive: it waits for Import to feed “{row.wooxy}”."
    if row.wooxy not in rules.targets:
        return "green", f"“{row.wooxy}” is added to the list on Import."
    return "green", None


def _rows(matching: Matching) -> list[_Row]:
    columns = (matching.variables[name] for name in _COLUMNS)
    return [_Row(*row) for row in zip(*columns, strict=True)]


def _types(variables: list[dict[str, Any]]) -> dict[str, str | None]:
    """Field code -> its type; None where the record's shape says how the field is read, whatever its type is called."""
    return {
        row["field_code"]: None
        if not row["is_custom_field"] and row["field_code"] in SYSTEM_KINDS
        else row["field_type"] or None
        for row in variables
    }


def _field_code(key: str) -> str:
    return key.partition("/")[0]


def _retyped(row: _Row, types: Mapping[str, str | None]) -> str | None:
    type_now = types.get(_field_code(row.pipedrive))
    if row.field_type is None or type_now is None or row.field_type == type_now:
        return None
    return (
        f"The field changed its type from {row.field_type} to {type_now} since the Import; what was stored stays: "
        "import again to accept the new type."
    )


class _Rules:
    """The rules of one table: the Pipedrive variables by key, and the list's variables by name."""

    def __init__(self, variables: pd.DataFrame, list_variables: pd.DataFrame) -> None:
        self.variables: dict[str, dict[str, Any]] = {row["key"]: row for row in _records(variables)}
        self.targets: dict[str, dict[str, Any]] = {row["name"]: row for row in _records(list_variables)}
        self._spellings = {name.lower(): name for name in self.targets}
        self._types = _types(list(self.variables.values()))

    def label(self, key: str) -> str:
        return str(self.variables[key]["label"])

    def format_for(self, key: str, wooxy: str | None) -> str:
        """The format of the variable that is fed, or the one that suits the values."""
        if wooxy in self.targets:
            return str(self.targets[wooxy]["format"])
        return "DateTime" if self.variables[key]["kind"] in _DATE_KINDS else "String"

    def target_of_label(self, key: str) -> str | None:
        return self._spellings.get(lower_camel_case(self.label(key)).lower())

    def accepts(self, key: str, target: str) -> bool:
        """Whether a variable of the list can be fed from this key at all."""
        return target in self.targets and self._target_problem(key, self.targets[target]) is None

    def suggestions(self, rows: list[_Row]) -> dict[str, str]:
        """A name for each variable of the catalogue that feeds none, or cannot: valid, and free in this table."""
        taken = set(self._spellings) | {row.wooxy.lower() for row in rows if row.wooxy}
        problems = self.problems(rows)
        found: dict[str, str] = {}
        by_key = {row.pipedrive: row for row in rows}
        for key in self.variables:
            if by_key[key].wooxy is None or key in problems:
                found[key] = suggest_name(self.label(key), taken)
                taken.add(found[key].lower())
        return found

    def feed(self, key: str, wooxy: str, row_format: str) -> Feed:
        variable = self.variables[key]
        target = self.targets.get(wooxy)
        return Feed(
            key=key,
            label=variable["label"],
            field_code=variable["field_code"],
            part=variable["part"],
            kind=variable["kind"],
            is_custom_field=bool(variable["is_custom_field"]),
            options=variable["options"],
            wooxy=wooxy,
            column_type=_TYPES[row_format] if target is None else target["type"],
        )

    def problems(self, rows: list[_Row]) -> dict[str, str]:
        """Key -> why its row is red. Rows of none break no rule."""
        problems: dict[str, str] = {}
        feeders: dict[str, list[_Row]] = {}
        for row in rows:
            if row.wooxy is None:
                continue
            problem = self._row_problem(row)
            if problem is not None:
                problems[row.pipedrive] = problem
            if row.pipedrive in self.variables:
                feeders.setdefault(row.wooxy.lower(), []).append(row)
        for rivals in feeders.values():
            if len(rivals) > 1:
                named = " and ".join(f"“{row.label}” ({row.pipedrive})" for row in rivals)
                for row in rivals:
                    problems.setdefault(row.pipedrive, f"“{row.wooxy}” is fed by more than one row: {named}.")
        return problems

    def _row_problem(self, row: _Row) -> str | None:
        assert row.wooxy is not None
        retyped = _retyped(row, self._types)
        if retyped is not None:
            return retyped
        if row.pipedrive not in self.variables:
            return "The field is gone from Pipedrive; what was stored stays."
        if row.format not in FORMATS:
            return "The format is neither String nor DateTime."
        if row.wooxy in self.targets:
            target = self.targets[row.wooxy]
            return self._target_problem(row.pipedrive, target) or _format_problem(target, row.format)
        spelling = self._spellings.get(row.wooxy.lower())
        if spelling is not None:
            return f"“{row.wooxy}” differs from the list's variable “{spelling}” in capitals only."
        if not is_valid_name(row.wooxy):
            return (
                f"“{row.wooxy}” is not a valid name: it must start with a small letter a-z, have letters a-z and "
                f"digits only, and at most {MAX_LENGTH} of them."
            )
        if row.wooxy.lower() in RESERVED_NAMES:
            return f"“{row.wooxy}” is a reserved name."
        return None

    def _target_problem(self, key: str, target: dict[str, Any]) -> str | None:
        name = target["name"]
        if name == "emailSubscribe":
            return (
                None if key == "marketing_status" else "“emailSubscribe” is fed from marketing_status only."
            )
        return None if target["targetable"] else f"“{name}” is kept by Wooxy itself and cannot be matched."


def _format_problem(target: dict[str, Any], row_format: str) -> str | None:
    """Variables with a type of their own read either format; texts and date-times have the one they have."""
    if target["type"] not in _TYPES.values() or target["format"] == row_format:
        return None
    if target["built_in"]:
        return f"“{target['name']}” takes the format {target['format']} only."
    return f"“{target['name']}” is in the list already, with the format {target['format']}."


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    names = list(frame.columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*(frame[n] for n in names), strict=True)]
