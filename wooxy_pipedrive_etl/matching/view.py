"""The matching of a connection: shown, suggested, exported, imported. Only Import puts a matching into force."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import sqlalchemy as sa

from wooxy_pipedrive_etl.connections.variables import variables_of
from wooxy_pipedrive_etl.contact_list import ContactList
from wooxy_pipedrive_etl.contact_list.columns import IDENTIFIERS
from wooxy_pipedrive_etl.contact_list.contact_list import ListVariable
from wooxy_pipedrive_etl.errors import InvalidMatching, MatchingChanged, SyncError
from wooxy_pipedrive_etl.mapping.match_rules import TableRow, rename_sentence
from wooxy_pipedrive_etl.mapping.matching import (
    Difference,
    Matching,
    accept_types,
    auto_match,
    changed_rows,
    check_matching,
    column_changes,
    empty_matching,
    feed_plan,
    match_table,
    preview_plan,
    retyped_rows,
    use_all_suggestions,
    version_of,
)
from wooxy_pipedrive_etl.mapping.matching_file import read_matching_file, write_matching_file
from wooxy_pipedrive_etl.mapping.transform import FeedPlan
from wooxy_pipedrive_etl.mapping.variables import Variable
from wooxy_pipedrive_etl.store import Store, connections
from wooxy_pipedrive_etl.store.connections import ConnectionRecord
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.store.locks import sole_editor
from wooxy_pipedrive_etl.store.matchings import (
    StoredMatching,
    confirmed_matching,
    drop_draft,
    latest_matching,
    save_matching,
)

from .previews import take_sample


class RenamesNotAllowed(SyncError):
    """An Import would rename variables of the list, and nobody has allowed it. `renames`: (old, new) names, in the
    order in which they would be renamed."""

    def __init__(self, renames: list[tuple[str, str]]) -> None:
        self.renames = renames
        super().__init__(
            f"{' '.join(rename_sentence(*each) for each in renames)} Nothing was imported; allow it with "
            "--allow-renames."
        )


@dataclass(frozen=True)
class MatchView:
    """The input of a matching's rules. `confirmed`: the matching is in force. `drafted`: it is a draft. If neither,
    nobody has saved one yet. `in_force`: the matching in force, if any; until then, the automatic matches are part of
    what Import confirms."""

    record: ConnectionRecord
    variables: list[Variable]
    matching: Matching
    confirmed: bool
    drafted: bool
    in_force: Matching | None
    list_variables: list[ListVariable]

    @property
    def rules(self) -> tuple[list[Variable], Matching, list[ListVariable]]:
        """The arguments of the functions in `mapping.matching`."""
        return self.variables, self.matching, self.list_variables

    def differences(self, matching: Matching) -> list[Difference]:
        """What it changes in the matching in force or, before the first Import, in the automatic matches."""
        before = self.in_force
        if before is None:
            before = auto_match(self.variables, empty_matching(), self.list_variables)
        return changed_rows(before, matching)


@dataclass(frozen=True)
class ImportReport:
    """What an Import did to the list's columns; the values follow with the next run. `matched`: the rows that feed a
    column."""

    matched: int
    added: list[str]
    renamed: list[tuple[str, str]]
    changed: bool


def show_matching(store: Store, name: str) -> tuple[list[TableRow], Matching]:
    """The Match variables table, as from `table_of`, and the matching that it shows."""
    with reading(store.engine) as db:
        view = latest_view(db, connections.get_connection(db, name))
        return table_of(db, view), view.matching


def feed_plan_with(db: sa.Connection, record: ConnectionRecord, stored: StoredMatching) -> FeedPlan:
    """What a run would feed if it began now. Raises what `feed_plan_of` raises."""
    return feed_plan_from(db, view_of(db, record, stored))


def feed_plan_from(db: sa.Connection, view: MatchView) -> FeedPlan:
    record = view.record
    if not view.matching.ignore_empty_values:
        _check_identifiers(view)
    left_out = connections.get_connection(db, record.name).sync_state.left_out
    readable = [each for each in view.variables if each.field_code not in left_out]
    return feed_plan(readable, view.matching, view.list_variables, record.default_region)


def _check_identifiers(view: MatchView) -> None:
    """A field that was deleted, or has another type, says nothing about the persons: none of them has lost an
    identifier."""
    problems = {wooxy: error.message for wooxy, error in retyped_rows(view.variables, view.matching).items()}
    present = {each.key for each in view.variables}
    for row in view.matching.rows:
        if row.wooxy is not None and row.pipedrive not in present:
            problems.setdefault(
                row.wooxy, f"“{row.label}” ({row.pipedrive}): The field is no longer in Pipedrive."
            )
    for wooxy, problem in problems.items():
        if wooxy in IDENTIFIERS:
            raise SyncError(
                f"{problem} It feeds {wooxy}, and empty values overwrite stored ones, so contacts that have no other "
                "identifier would be deleted; nothing was written. Import a matching that does without it, if that is "
                "meant."
            )


def export_matching(store: Store, name: str) -> str:
    """The latest matching, draft or confirmed, as the text of a matching file."""
    with reading(store.engine) as db:
        return write_matching_file(*latest_view(db, connections.get_connection(db, name)).rules)


def suggest_matching(store: Store, name: str) -> int:
    """Uses all suggestions, in a draft that is still to be imported; returns how many variables it newly matches."""
    with editing(store, name) as (db, view):
        suggested = use_all_suggestions(*view.rules)
        before = auto_match(*view.rules)
        save(db, view.record, suggested, confirmed=False)
        return suggested.matched - before.matched


def discard_draft(store: Store, name: str, expected_version: str | None = None) -> int:
    """Deletes the draft, and returns how many rows it had changed. The latest matching is then the one in force again,
    or the automatic one. `expected_version`: of the draft that is meant.

    Raises MatchingChanged if there is another draft by now, and SyncError if there is none.
    """
    with editing(store, name) as (db, view):
        if expected_version is not None and version_of(view.matching) != expected_version:
            raise MatchingChanged(
                "Someone else changed this matching after you loaded the page, so the draft was not discarded; "
                "look at the other version first."
            )
        if not view.drafted:
            raise SyncError(f"The connection {name} has no draft that could be discarded.")
        drop_draft(db, view.record.id)
        return len(view.differences(view.matching))


def ignores_empty_values(store: Store, name: str) -> bool:
    """The setting that runs use; before the first Import, that of the draft."""
    return _ignoring(store, name)[0]


def drafted_ignore_empty_values(store: Store, name: str) -> bool | None:
    """What an Import of the draft would change the setting to; None if it would not change it."""
    in_force, latest = _ignoring(store, name)
    return None if in_force == latest else latest


def set_ignore_empty_values(store: Store, name: str, ignore: bool) -> bool:
    """Changes the setting in the matching in force and in a draft, so that importing the draft does not undo it.
    Returns whether the list must follow, for which a run then starts automatically."""
    with editing(store, name) as (db, view):
        # The rows stay as they are: a new variable waits for its Import.
        latest = Matching(ignore, view.matching.rows)
        in_force = view.in_force
        follows = in_force is not None and in_force.ignore_empty_values != ignore
        if in_force is not None and follows:
            # This replaces the draft as well; it is saved again on top.
            save(db, view.record, Matching(ignore, in_force.rows), confirmed=True)
        if view.drafted or (in_force is None and view.matching.ignore_empty_values != ignore):
            save(db, view.record, latest, confirmed=False)
        return follows


def _ignoring(store: Store, name: str) -> tuple[bool, bool]:
    """The setting of the matching in force, and of the latest one."""
    with reading(store.engine) as db:
        record = connections.get_connection(db, name)
        latest, in_force = latest_matching(db, record.id), confirmed_matching(db, record.id)
    newest = empty_matching().ignore_empty_values if latest is None else latest.ignore_empty_values
    return newest if in_force is None else in_force.ignore_empty_values, newest


# Old and new names of variables that a user lets an Import rename; None allows any.
AllowedRenames = Collection[tuple[str, str]] | None


def import_matching(
    store: Store,
    name: str,
    text: str,
    ignore_empty_values: bool | None = None,
    *,
    allowed_renames: AllowedRenames = (),
) -> ImportReport:
    """Import: confirms the matching that a file describes, and brings the list's columns in line with it.

    `ignore_empty_values`, if given, overrides the file. Raises MatchingFileError, InvalidMatching, RenamesNotAllowed or
    ListError; then nothing is changed.
    """
    with editing(store, name) as (db, view):
        matching = read_matching_file(text, view.variables, view.list_variables)
        if ignore_empty_values is not None:
            matching = Matching(ignore_empty_values, matching.rows)
        return confirm_matching(db, view, matching, allowed_renames)


def confirm_matching(
    db: sa.Connection, view: MatchView, matching: Matching, allowed_renames: AllowedRenames
) -> ImportReport:
    """Puts a matching into force, with the current types of the fields; from now on the connection is active. Every
    Import ends here, with the view from `editing`.

    Raises InvalidMatching, RenamesNotAllowed, ListError, and SyncError if the connection is disconnected.
    """
    record = view.record
    if record.state == "disconnected":
        raise SyncError(
            f"The connection {record.name} is disconnected, so nothing was imported; connect it again."
        )
    matching = as_imported(view, matching)
    contact_list = ContactList.of_domain(db, record.domain)
    columns = column_changes(view.in_force, matching, view.list_variables)
    if allowed_renames is not None and not set(columns.renamed) <= set(allowed_renames):
        raise RenamesNotAllowed(columns.renamed)
    for old, new in columns.renamed:
        contact_list.rename_variable(db, old, new)
    for wooxy, format_ in columns.added:
        contact_list.add_variable(db, wooxy, format_)
    changed = view.in_force is None or not view.confirmed or not _same(view.in_force, matching)
    if changed:
        save(db, record, matching, confirmed=True)
    connections.set_state(db, record.id, "active")
    added = [wooxy for wooxy, _ in columns.added]
    return ImportReport(matching.matched, added, columns.renamed, changed)


def as_imported(view: MatchView, matching: Matching) -> Matching:
    """The matching as an Import puts it into force. Raises InvalidMatching."""
    matching = accept_types(view.variables, matching)
    errors = check_matching(view.variables, matching, view.list_variables)
    if errors:
        raise InvalidMatching([error.message for error in errors])
    return matching


def _same(in_force: Matching, matching: Matching) -> bool:
    """Ignoring labels."""
    one, other = ([row._replace(label="") for row in each.rows] for each in (in_force, matching))
    return in_force.ignore_empty_values == matching.ignore_empty_values and one == other


@contextmanager
def editing(store: Store, name: str) -> Iterator[tuple[sa.Connection, MatchView]]:
    """The latest matching, in a transaction in which nobody else changes it."""
    with store.engine.begin() as db:
        record = connections.get_connection(db, name)
        sole_editor(db, record)
        yield db, latest_view(db, record)


def save(db: sa.Connection, record: ConnectionRecord, matching: Matching, *, confirmed: bool) -> None:
    save_matching(
        db,
        record.id,
        ignore_empty_values=matching.ignore_empty_values,
        rows=matching.rows,
        confirmed=confirmed,
    )


def latest_view(db: sa.Connection, record: ConnectionRecord) -> MatchView:
    """The newest matching, draft or confirmed, which is the one that a user sees and changes."""
    return view_of(db, record, latest_matching(db, record.id))


def view_of(db: sa.Connection, record: ConnectionRecord, stored: StoredMatching | None) -> MatchView:
    in_force = confirmed_matching(db, record.id)
    variables = variables_of(db, record)
    labels = {each.key: each.label for each in variables_of(db, record, gone=True)}
    labels |= {each.key: each.label for each in variables}
    return MatchView(
        record=record,
        variables=variables,
        matching=empty_matching() if stored is None else _matching_of(stored, labels),
        confirmed=stored is not None and stored.confirmed_at is not None,
        drafted=stored is not None and stored.confirmed_at is None,
        in_force=None if in_force is None else _matching_of(in_force, labels),
        list_variables=ContactList.of_domain(db, record.domain).variables(db),
    )


def _matching_of(stored: StoredMatching, labels: Mapping[str, str]) -> Matching:
    """With the variables' current labels, or the last known ones."""
    return Matching(
        stored.ignore_empty_values,
        tuple(row._replace(label=labels.get(row.pipedrive, row.label)) for row in stored.rows),
    )


def table_of(db: sa.Connection, view: MatchView) -> list[TableRow]:
    """The Match variables table, with previews; `status` is amber for a matched row that no value fits."""
    sample = take_sample(db, view.record, preview_plan(*view.rules, view.record.default_region))
    table = match_table(*view.rules, in_force=view.in_force, previews=sample.first_texts)
    judged = [sample.judged(row.pipedrive, row.status, row.reason) for row in table]
    return [
        row._replace(status=status, reason=reason)
        for row, (status, reason) in zip(table, judged, strict=True)
    ]


def dry_run_version(db: sa.Connection, record: ConnectionRecord, matching: Matching) -> str:
    """Identifies what a dry run of this matching uses, besides the persons: the text stays the same until somebody
    imports anything or changes the matching or a setting."""
    in_force = confirmed_matching(db, record.id)
    revision = 0 if in_force is None else in_force.revision
    settings = (record.default_region, record.consent, record.on_delete)
    return " ".join([version_of(matching), str(revision), *(each or "-" for each in settings)])
