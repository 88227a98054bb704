"""What the Match variables page shows of a matching, and what a user does there: try, save a draft or discard it,
import, and refresh the fields.

The page is a form, which may contain only some of the rows; the others are as in the latest matching. Each change says
which version it was made from, so that two users never overwrite each other's changes unseen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import sqlalchemy as sa

from wooxy_pipedrive_etl.connections import token_budget
from wooxy_pipedrive_etl.connections.catalogue import store_catalogue
from wooxy_pipedrive_etl.connections.credentials import (
    WAITED_FOR,
    WAITED_FOR_SECONDS,
    pipedrive_client,
)
from wooxy_pipedrive_etl.errors import InvalidMatching, MatchingChanged, SyncError
from wooxy_pipedrive_etl.mapping.match_rules import FED_FROM
from wooxy_pipedrive_etl.mapping.matching import (
    FORMATS,
    ColumnChanges,
    Difference,
    Matching,
    auto_match,
    check_matching,
    column_changes,
    match_table,
    preview_plan,
    version_of,
)
from wooxy_pipedrive_etl.mapping.preview import NO_PREVIEW, Preview
from wooxy_pipedrive_etl.matching_row import Row
from wooxy_pipedrive_etl.store import Store, connections
from wooxy_pipedrive_etl.store.catalogue import SchemaChange
from wooxy_pipedrive_etl.store.connections import ConnectionRecord
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.store.runs import RunReport, last_dry_run, newest_run_id

from .previews import Sample, SampleCache
from .view import (
    AllowedRenames,
    ImportReport,
    MatchView,
    confirm_matching,
    dry_run_version,
    editing,
    latest_view,
    save,
)

# Don't import; a variable that the list has; one that Import adds.
Choice = Literal["none", "existing", "new"]
CHOICES: tuple[Choice, ...] = ("none", "existing", "new")


@dataclass(frozen=True)
class TypedRow:
    """A row as the user left it. `wooxy` may be any text; `format` is String or DateTime, and counts for a new
    variable. For a name that contradicts the choice beside it, see `_meant`."""

    choice: Choice
    wooxy: str
    format: str


@dataclass(frozen=True)
class PageRow:
    """A row of the Match variables table. `status`, `reason`, `suggestion` and `suggested_format`: as in
    `mapping.matching.match_table`, except that `status` is 'amber' for a matched row that no value fits. `refused`:
    red, and Import would not accept it; it accepts rows whose field was deleted or has another type. `new`: no Import
    has included it. `typed`: as typed, not saved. `choice`: as it was meant. `wooxy`: the text as typed.
    `fixed_format`: the variable of the list decides the format. `own_targets`: variables of the list that only this row
    can feed."""

    key: str
    label: str
    status: str
    reason: str | None
    refused: bool
    new: bool
    typed: bool
    choice: Choice
    wooxy: str
    format: str
    fixed_format: bool
    suggestion: str | None
    suggested_format: str
    preview: Preview
    own_targets: list[str]


@dataclass(frozen=True)
class MatchPage:
    """`version`: of the latest matching. `confirmed`: it is in force, not a draft. `drafted`: it is a draft. If
    neither, nobody has saved one yet. `changes`: what Import would change in the matching in force or, if there is
    none, in the automatic matches. `sampled`: how many persons the previews are from. `targets`: names of the list's
    variables that any row can be matched with, with their formats. `columns`: what Import would do to the list's
    columns, if no row is refused. `dry_run`: the report of the last run, if it was a dry run of
    this version and nothing was imported or set since."""

    record: ConnectionRecord
    version: str
    confirmed: bool
    drafted: bool
    in_force: bool
    ignore_empty_values: bool
    changes: list[Difference]
    changes_ignore_empty: bool
    rows: list[PageRow]
    sampled: int
    targets: dict[str, str]
    columns: ColumnChanges
    dry_run: RunReport | None


def read_page(
    store: Store,
    name: str,
    samples: SampleCache,
    typed: Mapping[str, TypedRow] | None = None,
    ignore_empty_values: bool | None = None,
) -> MatchPage:
    """The current page, with the typed rows, if any, in place of the stored ones; saves nothing.

    Ignores typed rows of variables that no longer exist. Raises UnknownConnection.
    """
    with reading(store.engine) as db:
        view = latest_view(db, connections.get_connection(db, name))
        tried = _tried(view, typed or {}, ignore_empty_values)
        plan = preview_plan(view.variables, tried.matching, view.list_variables, view.record.default_region)
        sample = samples.sample(db, view.record, plan)
        dry_run = _dry_run(db, view)
    matching = tried.matching
    in_force = view.in_force
    return MatchPage(
        record=view.record,
        version=version_of(view.matching),
        confirmed=view.confirmed,
        drafted=view.drafted,
        in_force=in_force is not None,
        ignore_empty_values=matching.ignore_empty_values,
        changes=view.differences(matching),
        changes_ignore_empty=in_force is not None
        and in_force.ignore_empty_values != matching.ignore_empty_values,
        rows=_page_rows(view, tried, sample),
        sampled=len(sample.person_ids),
        targets={
            each.name: each.format
            for each in view.list_variables
            if each.targetable and each.name not in FED_FROM
        },
        columns=column_changes(in_force, matching, view.list_variables),
        dry_run=dry_run,
    )


def check_rows(store: Store, name: str, typed: Mapping[str, TypedRow]) -> list[PageRow]:
    """All rows as they would be with the typed ones, without previews, so no row is amber."""
    with reading(store.engine) as db:
        view = latest_view(db, connections.get_connection(db, name))
    return _page_rows(view, _tried(view, typed, None), Sample([], {}))


def _dry_run(db: sa.Connection, view: MatchView) -> RunReport | None:
    """The report of the newest run, if it was a dry run and would still have the same result."""
    report = last_dry_run(db, view.record.id)
    if report is None or report.run_id != newest_run_id(db, view.record.id):
        return None
    version = dry_run_version(db, view.record, view.matching)
    return report if report.matching_version == version else None


def save_draft(
    store: Store,
    name: str,
    typed: Mapping[str, TypedRow],
    ignore_empty_values: bool,
    expected_version: str,
) -> str:
    """Saves what was typed as the latest matching, a draft until it is imported; returns its version. Names need not be
    valid (they are shown red), but it must be clear what is meant.

    Raises MatchingChanged, and InvalidMatching with a sentence for each row that is not clear; then nothing is saved.
    """
    with editing(store, name) as (db, view):
        # Only an Import records that a user left a new variable unmatched.
        shown = auto_match(*view.rules).rows
        known = {row.pipedrive for row in view.matching.rows}
        unmatched = {row.pipedrive for row in shown if row.wooxy is None} - known
        changed = {
            key: row
            for key, row in typed.items()
            if key not in unmatched or row.choice != "none" or row.wooxy.strip()
        }
        matching = _asked_for(view, changed, ignore_empty_values, expected_version)
        version = version_of(matching)
        if version != expected_version:
            save(db, view.record, matching, confirmed=False)
        return version


def import_rows(
    store: Store,
    name: str,
    typed: Mapping[str, TypedRow],
    ignore_empty_values: bool,
    expected_version: str,
    *,
    allowed_renames: AllowedRenames = (),
) -> ImportReport:
    """Import: puts what was typed into force. Raises what `confirm_matching` raises, and MatchingChanged; then nothing
    is changed."""
    with editing(store, name) as (db, view):
        matching = _asked_for(view, typed, ignore_empty_values, expected_version)
        return confirm_matching(db, view, matching, allowed_renames)


def another_preview(store: Store, name: str, samples: SampleCache, key: str) -> Preview:
    """What the sampled persons have for one variable. Raises SyncError if there is no variable with that key."""
    with reading(store.engine) as db:
        view = latest_view(db, connections.get_connection(db, name))
        plan = preview_plan(*view.rules, view.record.default_region)
        found = samples.sample(db, view.record, plan).previews.get(key)
    if found is None:
        raise SyncError("Pipedrive no longer has this variable; reload the page.")
    return found


def fetch_fields(store: Store, name: str) -> list[SchemaChange]:
    """Reads the fields from Pipedrive again, and returns which are new, renamed or deleted since they were last read.

    Raises SyncError and ApiError; then the stored fields stay.
    """
    with reading(store.engine) as db:
        record = connections.get_connection(db, name)
    if record.state == "disconnected":
        raise SyncError(
            f"The connection {name} is disconnected, so its fields can't be fetched; connect it again."
        )
    with pipedrive_client(store, record, retries=WAITED_FOR, timeout=WAITED_FOR_SECONDS) as client:
        try:
            return store_catalogue(store, record, client).changes
        finally:
            with store.engine.begin() as db:
                token_budget.note(db, record.company_id, client.usage)


# What was typed ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Tried:
    """The matching that results from the typed rows and the latest one; the typed rows as they were meant; and, by key,
    why some of them can't be meant."""

    matching: Matching
    typed: dict[str, TypedRow]
    problems: dict[str, str]


def _asked_for(
    view: MatchView, typed: Mapping[str, TypedRow], ignore_empty_values: bool, expected_version: str
) -> Matching:
    if version_of(view.matching) != expected_version:
        raise MatchingChanged(
            "Someone else changed this matching after you loaded the page, so yours was not saved; look at "
            "the other version, then save yours in its place, or load the page again and change that."
        )
    for row in typed.values():
        if row.choice not in CHOICES or row.format not in FORMATS:
            raise InvalidMatching(
                ["The form has a choice or a format that does not exist; load the page again."]
            )
    unknown = typed.keys() - _known(view)
    if unknown:
        raise InvalidMatching(
            [f"Pipedrive no longer has the variable {key}; nothing was saved." for key in sorted(unknown)]
        )
    tried = _tried(view, typed, ignore_empty_values)
    if tried.problems:
        labels = {row.pipedrive: row.label for row in tried.matching.rows}
        raise InvalidMatching(
            [f"“{labels[key]}” ({key}): {problem}" for key, problem in tried.problems.items()]
        )
    return tried.matching


def _known(view: MatchView) -> set[str]:
    return {each.key for each in view.variables} | {row.pipedrive for row in view.matching.rows}


def _tried(view: MatchView, typed: Mapping[str, TypedRow], ignore_empty_values: bool | None) -> _Tried:
    # Until the first Import, automatic matches count as they are shown; after it, a new variable waits until a user has
    # seen it.
    auto_matched = auto_match(*view.rules)
    base = view.matching if view.in_force is not None else auto_matched
    rows = {row.pipedrive: row for row in base.rows}
    labels = {each.key: each.label for each in view.variables}
    formats = _formats(view)
    matched = {row.pipedrive for row in auto_matched.rows if row.wooxy is not None}
    meant, problems = {}, {}
    for key, typed_row in typed.items():
        if key not in labels and key not in rows:
            continue
        row = meant[key] = _meant(typed_row, key in matched, formats)
        wooxy = row.wooxy.strip() or None if row.choice != "none" else None
        before = rows.get(key)
        label = labels[key] if key in labels else rows[key].label
        # The format of an unmatched row means nothing.
        format_ = before.format if before and wooxy is None else formats.get(wooxy or "", row.format)
        if before is None or (before.wooxy, before.format) != (wooxy, format_):
            rows[key] = Row(key, label, wooxy, format_)
            if key not in labels and wooxy is not None:
                problems[key] = "The field was deleted in Pipedrive, so it can't be matched."
        if wooxy is None and key in labels and row.choice in _NAMELESS:
            problems[key] = _NAMELESS[row.choice]
    ignore = view.matching.ignore_empty_values if ignore_empty_values is None else ignore_empty_values
    return _Tried(Matching(ignore, tuple(rows.values())), meant, problems)


_NAMELESS: dict[str, str] = {
    "existing": "Choose one of the list's variables, or choose Don't import.",
    "new": "Give the new variable a name, or choose Don't import.",
}


def _meant(row: TypedRow, was_matched: bool, formats: Mapping[str, str]) -> TypedRow:
    """The row with the choice that goes with its name: a variable that the list has, or a new one. A name that was
    there before the row was set to none means nothing; a name typed into an unmatched row does."""
    name = row.wooxy.strip()
    if not name or (row.choice == "none" and was_matched):
        return row
    return replace(row, choice="existing" if name in formats else "new")


def _formats(view: MatchView) -> dict[str, str]:
    return {each.name: each.format for each in view.list_variables}


# What is shown -------------------------------------------------------------------------------------------


def _page_rows(view: MatchView, tried: _Tried, sample: Sample) -> list[PageRow]:
    table = match_table(
        view.variables,
        tried.matching,
        view.list_variables,
        in_force=view.in_force,
        problems=tried.problems,
    )
    errors = check_matching(view.variables, tried.matching, view.list_variables)
    refused = {error.pipedrive for error in errors} | tried.problems.keys()
    formats = _formats(view)
    seen = None if view.in_force is None else {row.pipedrive for row in view.in_force.rows}
    rows = []
    for row in table:
        key = row.pipedrive
        shown = tried.typed.get(key) or _as_typed(row.wooxy, row.format, row.suggested_format, formats)
        status, reason = sample.judged(key, row.status, row.reason)
        fixed = shown.choice == "existing" and shown.wooxy.strip() in formats
        rows.append(
            PageRow(
                key=key,
                label=row.label,
                status=status,
                reason=reason,
                refused=key in refused,
                new=seen is not None and key not in seen,
                typed=key in tried.typed,
                choice=shown.choice,
                wooxy=shown.wooxy,
                format=formats[shown.wooxy.strip()] if fixed else shown.format,
                fixed_format=fixed,
                suggestion=row.suggestion,
                suggested_format=row.suggested_format,
                preview=sample.previews.get(key, NO_PREVIEW),
                own_targets=[name for name, feeder in FED_FROM.items() if feeder == key],
            )
        )
    return rows


def _as_typed(wooxy: str | None, format_: str, suggested_format: str, formats: Mapping[str, str]) -> TypedRow:
    """A stored row as a user would have typed it."""
    if wooxy is None:
        return TypedRow("none", "", suggested_format)
    return TypedRow("existing" if wooxy in formats else "new", wooxy, format_)
