"""The rules of the Match variables table, on plain rows: what may feed what, what is matched by itself, what is red.

No dataframe comes in here, so that who asks how a matching stands need not wait until pandas is loaded; `matching.py`
has the same for dataframes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from wooxy_pipedrive_etl.mapping.naming import (
    MAX_LENGTH,
    RESERVED_NAMES,
    is_valid_name,
    lower_camel_case,
    suggest_name,
)
from wooxy_pipedrive_etl.mapping.variables import SYSTEM_KINDS

FORMATS = ("String", "DateTime")
COLUMN_TYPES = {"String": "text", "DateTime": "datetime"}

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


class Row(NamedTuple):
    """A row of a matching: the variable's key and label, what it feeds (or None), in which format; and its field's type
    at the Import, where that is known."""

    pipedrive: str
    label: str
    wooxy: str | None
    format: str
    field_type: str | None = None


class Rules:
    """The rules of one table: the Pipedrive variables by key, and the list's variables by name."""

    def __init__(
        self, variables: Iterable[Mapping[str, Any]], list_variables: Iterable[Mapping[str, Any]]
    ) -> None:
        """`variables`: as of `variables.variable_rows`; `list_variables`: name, type, format, built_in, targetable."""
        self.variables: dict[str, Mapping[str, Any]] = {row["key"]: row for row in variables}
        self.targets: dict[str, Mapping[str, Any]] = {row["name"]: row for row in list_variables}
        self._spellings = {name.lower(): name for name in self.targets}
        self._types = field_types(self.variables.values())

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

    def suggestions(self, rows: Sequence[Row]) -> dict[str, str]:
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

    def problems(self, rows: Sequence[Row]) -> dict[str, str]:
        """Key -> why its row is red. Rows of none break no rule."""
        problems: dict[str, str] = {}
        feeders: dict[str, list[Row]] = {}
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

    def _row_problem(self, row: Row) -> str | None:
        assert row.wooxy is not None
        was_retyped = retyped(row, self._types)
        if was_retyped is not None:
            return was_retyped
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

    def _target_problem(self, key: str, target: Mapping[str, Any]) -> str | None:
        name = target["name"]
        if name == "emailSubscribe":
            return (
                None if key == "marketing_status" else "“emailSubscribe” is fed from marketing_status only."
            )
        return None if target["targetable"] else f"“{name}” is kept by Wooxy itself and cannot be matched."


def _format_problem(target: Mapping[str, Any], row_format: str) -> str | None:
    """Variables with a type of their own read either format; texts and date-times have the one they have."""
    if target["type"] not in COLUMN_TYPES.values() or target["format"] == row_format:
        return None
    if target["built_in"]:
        return f"“{target['name']}” takes the format {target['format']} only."
    return f"“{target['name']}” is in the list already, with the format {target['format']}."


def with_auto_matches(rules: Rules, known_rows: Sequence[Row]) -> list[Row]:
    """The rows, and one for every variable that had none: matched by itself, or with none.

    Rows that were there stay as they are; the first of two that would feed one variable wins.
    """
    rows = list(known_rows)
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
    return rows + [
        Row(key, rules.label(key), found.get(key), rules.format_for(key, found.get(key))) for key in new
    ]


def table_rows(
    rules: Rules,
    known_rows: Sequence[Row],
    *,
    confirmed: bool,
    previews: Mapping[str, str] | None = None,
    problems: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """The Match variables table, as `matching.match_table` describes it."""
    known = {row.pipedrive for row in known_rows}
    rows = {row.pipedrive: row for row in with_auto_matches(rules, known_rows)}
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
    return table


def _status(row: Row, waits: bool, problem: str | None, rules: Rules) -> tuple[str, str | None]:
    if problem is not None:
        return "red", problem
    if row.wooxy is None:
        return "gray", None
    if waits:
        return "gray", f"New in Pipedrive: it waits for Import to feed “{row.wooxy}”."
    if row.wooxy not in rules.targets:
        return "green", f"“{row.wooxy}” is added to the list on Import."
    return "green", None


def field_types(variables: Iterable[Mapping[str, Any]]) -> dict[str, str | None]:
    """Field code -> its type; None where the record's shape says how the field is read, whatever its type is called."""
    return {
        row["field_code"]: None
        if not row["is_custom_field"] and row["field_code"] in SYSTEM_KINDS
        else row["field_type"] or None
        for row in variables
    }


def field_code(key: str) -> str:
    return key.partition("/")[0]


def retyped(row: Row, types: Mapping[str, str | None]) -> str | None:
    type_now = types.get(field_code(row.pipedrive))
    if row.field_type is None or type_now is None or row.field_type == type_now:
        return None
    return (
        f"The field changed its type from {row.field_type} to {type_now} since the Import; what was stored stays: "
        "import again to accept the new type."
    )
