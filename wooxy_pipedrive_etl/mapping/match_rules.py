"""The rules of the Match variables table: what may feed what, what is matched automatically, what is red."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from wooxy_pipedrive_etl.custom_variables import CUSTOM_TYPES, name_problem
from wooxy_pipedrive_etl.mapping.kinds import system_kind
from wooxy_pipedrive_etl.mapping.naming import lower_camel_case, suggest_name
from wooxy_pipedrive_etl.mapping.variables import Variable
from wooxy_pipedrive_etl.matching_row import Row

FORMATS = tuple(CUSTOM_TYPES)

# Matched automatically by key, whatever their labels; every other variable is matched by its label.
_AUTO_MATCHES = {
    "name": "name",
    "first_name": "firstName",
    "last_name": "lastName",
    "emails": "email",
    "phones": "phoneNumber",
    "birthday": "contactBirthday",
}
# Variables of the list that only one Pipedrive variable can feed.
FED_FROM = {"emailSubscribe": "marketing_status"}


class Target(Protocol):
    """A variable of the list. `type`: what its column stores; `targetable`: whether a matching may feed it."""

    @property
    def name(self) -> str: ...

    @property
    def type(self) -> str: ...

    @property
    def format(self) -> str: ...

    @property
    def built_in(self) -> bool: ...

    @property
    def targetable(self) -> bool: ...

    @property
    def created_by_sync(self) -> bool: ...


class TableRow(NamedTuple):
    """A row of the Match variables table. `status`: green, gray or red; `reason`: a sentence or None; `pipedrive`: the
    variable's key; `suggestion`: a name for a variable of the list, or None; `new`: it is not in the matching yet."""

    status: str
    reason: str | None
    pipedrive: str
    label: str
    preview: str | None
    wooxy: str | None
    format: str
    suggestion: str | None
    suggested_format: str
    new: bool


class Difference(NamedTuple):
    """A row that differs between two matchings: what it feeds before and after (None: nothing), with the formats."""

    pipedrive: str
    label: str
    before: tuple[str, str] | None
    after: tuple[str, str] | None


class Rules:
    """The rules for one table: the Pipedrive variables by key, and the list's variables by name."""

    def __init__(self, variables: Iterable[Variable], list_variables: Iterable[Target]) -> None:
        self.variables = {variable.key: variable for variable in variables}
        self.targets = {target.name: target for target in list_variables}
        self._spellings = {name.lower(): name for name in self.targets}
        self._types = field_types(self.variables.values())

    def label(self, key: str) -> str:
        return self.variables[key].label

    def format_for(self, key: str, wooxy: str | None) -> str:
        """The format of the variable that is fed, or the one that suits the values."""
        if wooxy is not None and wooxy in self.targets:
            return self.targets[wooxy].format
        return self.variables[key].kind.suggested_format

    def target_of_label(self, key: str) -> str | None:
        return self._spellings.get(lower_camel_case(self.label(key)).lower())

    def accepts(self, key: str, target: str) -> bool:
        """Whether this key can feed this variable of the list at all."""
        return target in self.targets and self._target_problem(key, target) is None

    def suggestions(self, rows: Sequence[Row]) -> dict[str, str]:
        """For each variable of the catalogue that feeds none, or can't, a name that is valid and free in this table."""
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
        """Key -> why its row is red. An unmatched row breaks no rule."""
        problems: dict[str, str] = {}
        feeders: dict[str, list[Row]] = {}
        for row in rows:
            if row.wooxy is None:
                continue
            problem = self._row_problem(row)
            if problem is not None:
                problems[row.pipedrive] = problem
            # A row that can't have the variable anyway does not compete with the one that can.
            if row.pipedrive in self.variables and self._target_problem(row.pipedrive, row.wooxy) is None:
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
            return "The field is no longer in Pipedrive; stored values stay."
        if row.format not in FORMATS:
            return "The format is neither String nor DateTime."
        if row.wooxy in self.targets:
            return self._target_problem(row.pipedrive, row.wooxy) or _format_problem(
                self.targets[row.wooxy], row.format
            )
        spelling = self._spellings.get(row.wooxy.lower())
        if spelling is not None:
            return f"“{row.wooxy}” differs from the list's variable “{spelling}” in capitals only."
        return name_problem(row.wooxy)

    def renames(self, in_force: Sequence[Row], rows: Sequence[Row]) -> dict[str, tuple[str, str]]:
        """Key -> the old and the new name of the column that the row takes along when `rows` replace those `in_force`,
        in an order that works: one rename may free the name for another.

        A row that changes from a custom variable of ours to one that does not exist yet takes its column along (Wooxy).
        The formats must be equal, for a column has only one.
        """
        names = set(self.targets)
        ours = {name for name, target in self.targets.items() if target.created_by_sync}
        old = {row.pipedrive: row for row in in_force}
        waiting: dict[str, tuple[str, str]] = {}
        for row in rows:
            was = old.get(row.pipedrive)
            if was is None or was.wooxy is None or row.wooxy is None:
                continue
            if was.wooxy != row.wooxy and was.format == row.format:
                waiting[row.pipedrive] = (was.wooxy, row.wooxy)
        renamed: dict[str, tuple[str, str]] = {}
        while moves := [key for key, (a, b) in waiting.items() if a in ours and b not in names]:
            before, after = renamed[moves[0]] = waiting.pop(moves[0])
            for known in (names, ours):
                known.remove(before)
                known.add(after)
        return renamed

    def _target_problem(self, key: str, name: str) -> str | None:
        """Why this key can't feed this variable of the list; None also if the list does not have the variable."""
        if name not in self.targets:
            return None
        if name in FED_FROM:
            return None if key == FED_FROM[name] else f"“{name}” is fed from {FED_FROM[name]} only."
        if self.targets[name].targetable:
            return None
        return f"“{name}” is kept by Wooxy itself and cannot be matched."


def _format_problem(target: Target, row_format: str) -> str | None:
    """Variables with a type of their own accept either format; text and date-time variables only their own."""
    if target.type not in CUSTOM_TYPES.values() or target.format == row_format:
        return None
    if target.built_in:
        return f"“{target.name}” takes the format {target.format} only."
    return f"“{target.name}” is in the list already, with the format {target.format}."


def with_auto_matches(rules: Rules, known_rows: Sequence[Row]) -> list[Row]:
    """The rows, and one for every variable without a row: matched automatically, or with none.

    Existing rows stay as they are; the first of two that would feed one variable wins.
    """
    rows = list(known_rows)
    known = {row.pipedrive for row in rows}
    fed = {row.wooxy.lower() for row in rows if row.wooxy}
    new = [key for key in rules.variables if key not in known]
    found: dict[str, str] = {}
    # System fields first: a custom field called "Email" must not take the place of the person's e-mail.
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
    in_force: Sequence[Row] | None,
    previews: Mapping[str, str] | None = None,
    problems: Mapping[str, str] | None = None,
) -> list[TableRow]:
    """The Match variables table: a row for each Pipedrive variable, then the matched ones whose field is gone.
    `in_force`: the rows that importing these would replace, if any.

    Once a matching is in force, a new variable that was matched automatically is gray and waits for Import. `previews`
    and `problems` (reasons from elsewhere, such as a column that could not be created) are by key.
    """
    known = {row.pipedrive for row in known_rows}
    renames = rules.renames(in_force or (), known_rows)
    rows = {row.pipedrive: row for row in with_auto_matches(rules, known_rows)}
    red = rules.problems(list(rows.values())) | dict(problems or {})
    suggestions = rules.suggestions(list(rows.values()))
    gone = [key for key, row in rows.items() if key not in rules.variables and row.wooxy is not None]
    table = []
    for key in [*rules.variables, *gone]:
        row = rows[key]
        new = key not in known
        status, reason = _status(row, new and in_force is not None, red.get(key), rules, renames.get(key))
        suggestion = suggestions.get(key) if row.wooxy is None or status == "red" else None
        table.append(
            TableRow(
                status=status,
                reason=reason,
                pipedrive=key,
                label=rules.label(key) if key in rules.variables else row.label,
                preview=(previews or {}).get(key),
                wooxy=row.wooxy,
                format=row.format,
                suggestion=suggestion,
                suggested_format=rules.format_for(key, None) if key in rules.variables else row.format,
                new=new,
            )
        )
    return table


def _status(
    row: Row, waits: bool, problem: str | None, rules: Rules, renamed: tuple[str, str] | None
) -> tuple[str, str | None]:
    if problem is not None:
        return "red", problem
    if row.wooxy is None:
        return "gray", None
    if waits:
        return "gray", f"New in Pipedrive: it waits for Import to feed “{row.wooxy}”."
    if renamed is not None:
        return "green", rename_sentence(*renamed)
    if row.wooxy not in rules.targets:
        return "green", f"“{row.wooxy}” is added to the list on Import."
    return "green", None


def rename_sentence(old: str, new: str) -> str:
    """What a rename does, and what it breaks."""
    return f"Renames “{old}” to “{new}”; templates and segments that use “{old}” must be changed."


def differences(before: Sequence[Row], after: Sequence[Row]) -> list[Difference]:
    """The rows that feed something else, or in another format, in the order of `after`. A missing row feeds nothing."""
    was = {row.pipedrive: row for row in before}
    keys = {row.pipedrive for row in after}
    gone = [row._replace(wooxy=None) for row in before if row.pipedrive not in keys]
    found = []
    for row in [*after, *gone]:
        old, new = _fed(was.get(row.pipedrive)), _fed(row)
        if old != new:
            found.append(Difference(row.pipedrive, row.label, old, new))
    return found


def _fed(row: Row | None) -> tuple[str, str] | None:
    return None if row is None or row.wooxy is None else (row.wooxy, row.format)


def field_types(variables: Iterable[Variable]) -> dict[str, str | None]:
    """Field code -> its type; None if the record's shape decides how the field is read, whatever its type is called."""
    return {
        each.field_code: None
        if system_kind(each.field_code, each.is_custom_field) is not None
        else each.field_type or None
        for each in variables
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
