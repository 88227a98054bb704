"""The matching of a connection: seen, suggested, exported, imported. Import is the one way into force."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pandas as pd
import sqlalchemy as sa

from wooxy_pipedrive_etl.contact_list import ContactList
from wooxy_pipedrive_etl.contact_list.columns import IDENTIFIERS
from wooxy_pipedrive_etl.mapping.matching import (
    Matching,
    accept_types,
    auto_match,
    check_matching,
    column_changes,
    empty_matching,
    feed_plan,
    match_table,
    preview_plan,
    retyped_rows,
    use_all_suggestions,
)
from wooxy_pipedrive_etl.mapping.matching_file import read_matching_file, write_matching_file
from wooxy_pipedrive_etl.mapping.transform import FeedPlan
from wooxy_pipedrive_etl.mapping.variables import pipedrive_variables
from wooxy_pipedrive_etl.store import Store, connections
from wooxy_pipedrive_etl.store.catalogue import read_fields
from wooxy_pipedrive_etl.store.connections import ConnectionRecord
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.store.locks import sole_editor
from wooxy_pipedrive_etl.store.matchings import (
    StoredMatching,
    confirmed_matching,
    latest_matching,
    save_matching,
)

from .errors import InvalidMatching, SyncError
from .previews import take_sample
from .run import SyncRun


@dataclass(frozen=True)
class MatchView:
    """What the rules of a matching look at. `confirmed`: the matching is in force. `in_force`: the one that is, if
    any; until then the variables that are matched by themselves belong to what an Import confirms."""

    record: ConnectionRecord
    variables: pd.DataFrame
    matching: Matching
    confirmed: bool
    in_force: Matching | None
    list_variables: pd.DataFrame

    @property
    def rules(self) -> tuple[pd.DataFrame, Matching, pd.DataFrame]:
        """What the functions of `mapping.matching` ask for."""
        return self.variables, self.matching, self.list_variables


@dataclass(frozen=True)
class ImportReport:
    """What an Import did to the list's columns; the values follow with the next run. `matched`: rows that feed one."""

    matched: int
    added: list[str]
    renamed: list[tuple[str, str]]
    changed: bool


def show_matching(store: Store, name: str) -> tuple[pd.DataFrame, Matching]:
    """The Match variables table (columns of `mapping.match_table`) and the matching that it shows."""
    with reading(store.engine) as connection:
        view = latest_view(connection, connections.get_connection(connection, name))
        return _table(connection, view), view.matching


def match_table_of_run(run: SyncRun) -> pd.DataFrame:
    """The Match variables table as it stands in a run."""
    with reading(run.store.engine) as connection:
        return _table(connection, _view_of(connection, run.record, run.matching))


def check_draft(run: SyncRun) -> None:
    """Raises InvalidMatching if the run looks at a draft that could not be imported as the fields are now."""
    if run.draft:
        with reading(run.store.engine) as connection:
            _drafted_view(connection, run)


def feed_plan_of(run: SyncRun) -> FeedPlan:
    """What the run feeds: rows whose field is gone or has another type now, that break another rule, or that the last
    walk could not read, feed nothing, so that what is stored stays. A draft feeds what it would feed once imported.

    Raises SyncError if contacts could be deleted because an identifier is not fed that the persons still have, and
    InvalidMatching for a draft that could not be imported.
    """
    with reading(run.store.engine) as connection:
        if run.draft:
            return _feed_plan(connection, _drafted_view(connection, run))
        return feed_plan_with(connection, run.record, run.matching)


def feed_plan_with(connection: sa.Connection, record: ConnectionRecord, stored: StoredMatching) -> FeedPlan:
    """What a run that began now would feed. Raises as `feed_plan_of`."""
    return _feed_plan(connection, _view_of(connection, record, stored))


def _feed_plan(connection: sa.Connection, view: MatchView) -> FeedPlan:
    record = view.record
    if not view.matching.ignore_empty_values:
        _check_identifiers(view)
    left_out = (connections.get_connection(connection, record.name).left_out_fields or "").split(",")
    readable = view.variables[~view.variables["field_code"].isin(left_out)]
    return feed_plan(readable, view.matching, view.list_variables, record.default_region)


def _check_identifiers(view: MatchView) -> None:
    """A field that is gone, or has another type, says nothing of its persons: none has lost an identifier with it."""
    problems = {wooxy: error.message for wooxy, error in retyped_rows(view.variables, view.matching).items()}
    present = set(view.variables["key"])
    for key, label, wooxy, _ in _rows(view.matching.variables):
        if wooxy is not None and key not in present:
            problems.setdefault(wooxy, f"“{label}” ({key}): The field is gone from Pipedrive.")
    for wooxy, problem in problems.items():
        if wooxy in IDENTIFIERS:
            raise SyncError(
                f"{problem} It feeds {wooxy}, and empty values overwrite stored ones, so contacts that have no other "
                "identifier would be deleted; nothing was written. Import a matching that does without it, if that is "
                "meant."
            )


def export_matching(store: Store, name: str) -> str:
    """The latest matching, draft or confirmed, as the text of a matching file."""
    with reading(store.engine) as connection:
        return write_matching_file(
            *latest_view(connection, connections.get_connection(connection, name)).rules
        )


def suggest_matching(store: Store, name: str) -> int:
    """Uses all suggestions, in a draft that Import has yet to confirm; returns how many variables it matches anew."""
    with editing(store, name) as (connection, view):
        suggested = use_all_suggestions(*view.rules)
        before = auto_match(*view.rules)
        save(connection, view.record, suggested, confirmed=False)
        return int(suggested.variables["wooxy"].notna().sum() - before.variables["wooxy"].notna().sum())


def ignores_empty_values(store: Store, name: str) -> bool:
    """The setting of the latest matching, draft or confirmed."""
    with reading(store.engine) as connection:
        stored = latest_matching(connection, connections.get_connection(connection, name).id)
        return (empty_matching() if stored is None else _matching_of(stored)).ignore_empty_values


def set_ignore_empty_values(store: Store, name: str, ignore: bool) -> None:
    """Changes the setting in the latest matching, which stays as confirmed as it was."""
    with editing(store, name) as (connection, view):
        if view.matching.ignore_empty_values != ignore:
            # Its rows stay as they are: a new variable waits for its Import.
            changed = Matching(ignore, view.matching.variables)
            save(connection, view.record, changed, confirmed=view.confirmed)


def import_matching(
    store: Store, name: str, text: str, ignore_empty_values: bool | None = None
) -> ImportReport:
    """Import: confirms the matching that a file describes, and brings the list's columns in line with it.

    `ignore_empty_values`, if given, goes before what the file says. Raises MatchingFileError, InvalidMatching or
    ListError; then nothing is changed.
    """
    with editing(store, name) as (connection, view):
        matching = read_matching_file(text, view.variables, view.list_variables)
        if ignore_empty_values is not None:
            matching = Matching(ignore_empty_values, matching.variables)
        return confirm_matching(connection, view, matching)


def confirm_matching(connection: sa.Connection, view: MatchView, matching: Matching) -> ImportReport:
    """Puts a matching in force, with the types that the fields have now; from now on the connection is active. What
    every Import is in the end, with the view that `editing` gives.

    Raises InvalidMatching, ListError, and SyncError if the connection is disconnected.
    """
    record = view.record
    if record.state == "disconnected":
        raise SyncError(
            f"The connection {record.name} is disconnected, so nothing was imported; connect it again."
        )
    matching = _as_imported(view, matching)
    contact_list = ContactList.of_domain(connection, record.domain)
    columns = column_changes(view.in_force, matching, view.list_variables)
    for old, new in columns.renamed:
        contact_list.rename_variable(connection, old, new)
    for wooxy, format_ in columns.added:
        contact_list.add_variable(connection, wooxy, format_)
    changed = view.in_force is None or not view.confirmed or not _same(view.in_force, matching)
    if changed:
        save(connection, record, matching, confirmed=True)
    connections.update_connection(connection, record.id, state="active")
    added = [wooxy for wooxy, _ in columns.added]
    return ImportReport(int(matching.variables["wooxy"].notna().sum()), added, columns.renamed, changed)


def _as_imported(view: MatchView, matching: Matching) -> Matching:
    """The matching as an Import puts it in force. Raises InvalidMatching."""
    matching = accept_types(view.variables, matching)
    errors = check_matching(view.variables, matching, view.list_variables)
    if errors:
        raise InvalidMatching([error.message for error in errors])
    return matching


def _rows(variables: pd.DataFrame) -> Iterator[tuple[str, str, str | None, str]]:
    return zip(*(variables[name] for name in ("pipedrive", "label", "wooxy", "format")), strict=True)


def _same(in_force: Matching, matching: Matching) -> bool:
    return in_force.ignore_empty_values == matching.ignore_empty_values and in_force.variables.drop(
        columns="label"
    ).equals(matching.variables.drop(columns="label").reset_index(drop=True))


@contextmanager
def editing(store: Store, name: str) -> Iterator[tuple[sa.Connection, MatchView]]:
    """The latest matching, in a transaction in which nobody else changes it."""
    with store.engine.begin() as connection:
        record = connections.get_connection(connection, name)
        sole_editor(connection, record)
        yield connection, latest_view(connection, record)


def save(connection: sa.Connection, record: ConnectionRecord, matching: Matching, *, confirmed: bool) -> None:
    save_matching(
        connection,
        record.id,
        ignore_empty_values=matching.ignore_empty_values,
        variables=matching.variables,
        confirmed=confirmed,
    )


def latest_view(connection: sa.Connection, record: ConnectionRecord) -> MatchView:
    """The newest matching, draft or confirmed, which is what a person sees and changes."""
    return _view_of(connection, record, latest_matching(connection, record.id))


def _drafted_view(connection: sa.Connection, run: SyncRun) -> MatchView:
    view = _view_of(connection, run.record, run.matching)
    return replace(view, matching=_as_imported(view, view.matching))


def _view_of(connection: sa.Connection, record: ConnectionRecord, stored: StoredMatching | None) -> MatchView:
    in_force = confirmed_matching(connection, record.id)
    return MatchView(
        record=record,
        variables=pipedrive_variables(read_fields(connection, record.id)),
        matching=empty_matching() if stored is None else _matching_of(stored),
        confirmed=stored is not None and stored.confirmed_at is not None,
        in_force=None if in_force is None else _matching_of(in_force),
        list_variables=ContactList.of_domain(connection, record.domain).variables(connection),
    )


def _matching_of(stored: StoredMatching) -> Matching:
    return Matching(stored.ignore_empty_values, stored.variables)


def _table(connection: sa.Connection, view: MatchView) -> pd.DataFrame:
    sample = take_sample(connection, view.record, preview_plan(*view.rules, view.record.default_region))
    return match_table(*view.rules, confirmed=view.in_force is not None, previews=sample.first_texts)
