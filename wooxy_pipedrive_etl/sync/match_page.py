"""What the Match variables page shows of a matching, and what a person does there: try, save a draft, import, and fetch
the fields anew.

The page is a form, and a form may have some of the rows only: the others are as the latest matching has them. Each
change says which version it was made from, so that two people never overwrite each other's unseen.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from wooxy_pipedrive_etl.mapping.matching import (
    FORMATS,
    ColumnChanges,
    Matching,
    auto_match,
    check_matching,
    column_changes,
    match_table,
    preview_plan,
    version_of,
)
from wooxy_pipedrive_etl.mapping.preview import Preview
from wooxy_pipedrive_etl.store import Store, connections
from wooxy_pipedrive_etl.store.catalogue import SchemaChange
from wooxy_pipedrive_etl.store.connections import ConnectionRecord
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.store.reports import last_dry_run

from . import budget
from .catalogue import store_catalogue
from .credentials import pipedrive_client
from .errors import InvalidMatching, MatchingChanged, SyncError
from .matching import (
    ImportReport,
    MatchView,
    confirm_matching,
    editing,
    latest_view,
    save,
)
from .previews import SampleCache

# Do not import; a variable that the list has; one that the Import adds.
Choice = Literal["none", "existing", "new"]
CHOICES: tuple[Choice, ...] = ("none", "existing", "new")


@dataclass(frozen=True)
class TypedRow:
    """A row as a person left it. `wooxy` may be any text, and counts for nothing with the choice `none`; `format` is
    String or DateTime, and counts for a new variable."""

    choice: Choice
    wooxy: str
    format: str


@dataclass(frozen=True)
class PageRow:
    """A row of the Match variables table. `status`, `reason`, `suggestion` and `suggested_format`: as in
    `mapping.matching.match_table`. `refused`: red, and an Import would not take it; it takes rows whose field is gone
    or has another type. `new`: no Import has seen it. `typed`: it is as typed, and not saved. `wooxy`: the text as
    typed. `fixed_format`: the variable of the list decides."""

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


_NO_PREVIEW = Preview((), 0)


@dataclass(frozen=True)
class MatchPage:
    """`version`: of the latest matching. `confirmed`: that is in force, and not a draft. `sampled`: how many persons
    the previews are from. `targets`: names of the list's variables that can be matched, with their formats.
    `columns`: what an Import would do to the list's columns, if no row is refused. `dry_run`: the report of the last
    one (a row of `sync_runs`), if it looked at this version."""

    record: ConnectionRecord
    version: str
    confirmed: bool
    in_force: bool
    ignore_empty_values: bool
    rows: list[PageRow]
    sampled: int
    targets: dict[str, str]
    columns: ColumnChanges
    dry_run: dict[str, Any] | None


def read_page(
    store: Store,
    name: str,
    samples: SampleCache,
    typed: Mapping[str, TypedRow] | None = None,
    ignore_empty_values: bool | None = None,
) -> MatchPage:
    """The page as it stands, with what was typed, if anything was, in place of what is stored: nothing is saved.

    Typed rows of variables that are not there any more are passed over. Raises UnknownConnection.
    """
    with reading(store.engine) as connection:
        view = latest_view(connection, connections.get_connection(connection, name))
        tried = _tried(view, typed or {}, ignore_empty_values)
        plan = preview_plan(view.variables, tried.matching, view.list_variables, view.record.default_region)
        sample = samples.sample(connection, view.record, plan)
        dry_run = last_dry_run(connection, view.record.id)
    rows = _page_rows(view, tried, typed or {}, sample.previews)
    targetable = view.list_variables[view.list_variables["targetable"]]
    version = version_of(view.matching)
    return MatchPage(
        record=view.record,
        version=version,
        confirmed=view.confirmed,
        in_force=view.in_force is not None,
        ignore_empty_values=tried.matching.ignore_empty_values,
        rows=rows,
        sampled=len(sample.person_ids),
        targets=dict(zip(targetable["name"], targetable["format"], strict=True)),
        columns=column_changes(view.in_force, tried.matching, view.list_variables),
        dry_run=dry_run if dry_run is not None and dry_run["matching_version"] == version else None,
    )


def check_rows(store: Store, name: str, typed: Mapping[str, TypedRow]) -> tuple[str, list[PageRow]]:
    """The version of the latest matching, and all rows as they would be with what was typed; without previews."""
    with reading(store.engine) as connection:
        view = latest_view(connection, connections.get_connection(connection, name))
    return version_of(view.matching), _page_rows(view, _tried(view, typed, None), typed, {})


def save_draft(
    store: Store,
    name: str,
    typed: Mapping[str, TypedRow],
    ignore_empty_values: bool,
    expected_version: str,
) -> str:
    """Saves what was typed as the latest matching, which Import has yet to confirm; returns its version. Names need
    not be valid, they are shown red; but it must be clear what is meant.

    Raises MatchingChanged, and InvalidMatching with a sentence for each row that is not clear; then nothing is saved.
    """
    with editing(store, name) as (connection, view):
        matching = _asked_for(view, typed, ignore_empty_values, expected_version)
        version = version_of(matching)
        if version != expected_version:
            save(connection, view.record, matching, confirmed=False)
        return version


def import_rows(
    store: Store,
    name: str,
    typed: Mapping[str, TypedRow],
    ignore_empty_values: bool,
    expected_version: str,
) -> ImportReport:
    """Import: puts what was typed in force. Raises as `confirm_matching` and MatchingChanged; then nothing is done."""
    with editing(store, name) as (connection, view):
        matching = _asked_for(view, typed, ignore_empty_values, expected_version)
        return confirm_matching(connection, view, matching)


def another_preview(store: Store, name: str, samples: SampleCache, key: str) -> Preview:
    """What the sampled persons have of one variable. Raises SyncError if there is none with that key."""
    with reading(store.engine) as connection:
        view = latest_view(connection, connections.get_connection(connection, name))
        plan = preview_plan(*view.rules, view.record.default_region)
        found = samples.sample(connection, view.record, plan).previews.get(key)
    if found is None:
        raise SyncError("Pipedrive has no such variable any more; load the page again.")
    return found


def fetch_fields(store: Store, name: str) -> list[SchemaChange]:
    """Asks Pipedrive for the fields anew, and says what is new, renamed or gone since they were last read.

    Raises SyncError and PipedriveError; then what is known of the fields stays.
    """
    with reading(store.engine) as connection:
        record = connections.get_connection(connection, name)
    if record.state == "disconnected":
        raise SyncError(
            f"The connection {name} is disconnected, so its fields can't be fetched; connect it again."
        )
    with pipedrive_client(store, record) as client:
        try:
            return store_catalogue(store, record, client).changes
        finally:
            with store.engine.begin() as connection:
                budget.note(connection, record.id, client.usage)


# What was typed ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Tried:
    """The matching that the typed rows make of the latest one, and why some of them can't be meant, by key."""

    matching: Matching
    problems: dict[str, str]


def _asked_for(
    view: MatchView, typed: Mapping[str, TypedRow], ignore_empty_values: bool, expected_version: str
) -> Matching:
    if version_of(view.matching) != expected_version:
        raise MatchingChanged(
            "Somebody else has changed this matching since you loaded the page, so nothing of yours was saved; look at "
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
            [f"Pipedrive has no variable {key} any more; nothing was saved." for key in sorted(unknown)]
        )
    tried = _tried(view, typed, ignore_empty_values)
    if tried.problems:
        labels = dict(
            zip(tried.matching.variables["pipedrive"], tried.matching.variables["label"], strict=True)
        )
        raise InvalidMatching(
            [f"“{labels[key]}” ({key}): {problem}" for key, problem in tried.problems.items()]
        )
    return tried.matching


def _known(view: MatchView) -> set[str]:
    return {*view.variables["key"], *view.matching.variables["pipedrive"]}


def _tried(view: MatchView, typed: Mapping[str, TypedRow], ignore_empty_values: bool | None) -> _Tried:
    # Until the first Import, what is matched by itself is meant as it is shown; after it, a new variable waits until
    # somebody has seen it.
    base = view.matching if view.in_force is not None else auto_match(*view.rules)
    rows: dict[str, tuple[str, str, str | None, str, str | None]] = {
        row[0]: row for row in base.variables.itertuples(index=False, name=None)
    }
    labels = dict(zip(view.variables["key"], view.variables["label"], strict=True))
    formats = _formats(view)
    spellings = {name.lower() for name in formats}
    problems = {}
    for key, row in typed.items():
        if key not in labels and key not in rows:
            continue
        wooxy = row.wooxy.strip() or None if row.choice != "none" else None
        before = rows.get(key)
        label: str = labels[key] if key in labels else rows[key][1]
        # Of a row of none the format says nothing.
        format_ = before[3] if before and wooxy is None else formats.get(wooxy or "", row.format)
        if before is None or before[2:4] != (wooxy, format_):
            rows[key] = (key, label, wooxy, format_, None)
            if key not in labels and wooxy is not None:
                problems[key] = "The field is gone from Pipedrive, so it can't be matched anew."
        problem = _choice_problem(row.choice, wooxy, formats, spellings)
        if problem is not None and key in labels:
            problems[key] = problem
    ignore = view.matching.ignore_empty_values if ignore_empty_values is None else ignore_empty_values
    return _Tried(Matching.of(ignore, list(rows.values())), problems)


def _choice_problem(
    choice: Choice, wooxy: str | None, formats: Mapping[str, str], spellings: Collection[str]
) -> str | None:
    if choice == "existing":
        if wooxy is None:
            return "Choose one of the list's variables, or choose Do not import."
        # What differs in capitals only is for the rules of the matching to say.
        if wooxy.lower() not in spellings:
            return f"The list has no variable “{wooxy}”: choose it from the list, or choose New variable."
    if choice == "new":
        if wooxy is None:
            return "Give the new variable a name, or choose Do not import."
        if wooxy in formats:
            return f"The list has a variable “{wooxy}” already: choose Variable of the list, or another name."
    return None


def _formats(view: MatchView) -> dict[str, str]:
    return dict(zip(view.list_variables["name"], view.list_variables["format"], strict=True))


# What is shown -------------------------------------------------------------------------------------------


def _page_rows(
    view: MatchView, tried: _Tried, typed: Mapping[str, TypedRow], previews: Mapping[str, Preview]
) -> list[PageRow]:
    table = match_table(
        view.variables,
        tried.matching,
        view.list_variables,
        confirmed=view.in_force is not None,
        problems=tried.problems,
    )
    errors = check_matching(view.variables, tried.matching, view.list_variables)
    refused = {error.pipedrive for error in errors} | tried.problems.keys()
    formats = _formats(view)
    seen = None if view.in_force is None else set(view.in_force.variables["pipedrive"])
    rows = []
    for row in table.to_dict("records"):
        key = row["pipedrive"]
        shown = typed.get(key) or _as_typed(row["wooxy"], row["format"], row["suggested_format"], formats)
        fixed = shown.choice == "existing" and shown.wooxy.strip() in formats
        rows.append(
            PageRow(
                key=key,
                label=row["label"],
                status=row["status"],
                reason=row["reason"],
                refused=key in refused,
                new=seen is not None and key not in seen,
                typed=key in typed,
                choice=shown.choice,
                wooxy=shown.wooxy,
                format=formats[shown.wooxy.strip()] if fixed else shown.format,
                fixed_format=fixed,
                suggestion=row["suggestion"],
                suggested_format=row["suggested_format"],
                preview=previews.get(key, _NO_PREVIEW),
            )
        )
    return rows


def _as_typed(wooxy: str | None, format_: str, suggested_format: str, formats: Mapping[str, str]) -> TypedRow:
    """A stored row as a person would have typed it."""
    if wooxy is None:
        return TypedRow("none", "", suggested_format)
    return TypedRow("existing" if wooxy in formats else "new", wooxy, format_)
