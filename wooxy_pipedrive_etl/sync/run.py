"""One run on one connection: who holds it, what it is, what it may use, and its report from beginning to end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import sqlalchemy as sa

from wooxy_pipedrive_etl.contact_list import ContactList, DraftedList, ListSettings, drop_plan
from wooxy_pipedrive_etl.mapping.matching import Matching, column_changes, version_of
from wooxy_pipedrive_etl.pipedrive import PipedriveClient, Usage
from wooxy_pipedrive_etl.store import Store, connections, inbox, matchings, reports
from wooxy_pipedrive_etl.store import errors as store_errors
from wooxy_pipedrive_etl.store.connections import ConnectionRecord
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.store.locks import sole_writer
from wooxy_pipedrive_etl.store.matchings import StoredMatching

from . import budget, progress, requests
from .accounts import check_account
from .credentials import check_access, credentials_of, pipedrive_client
from .errors import STOPPED, SyncError, sentence_of
from .selection import FULL, Kind, Selection

# How far before a watermark is read again, by the server's clock: what is written there may show up late.
OVERLAP = timedelta(seconds=60)


@dataclass
class SyncRun:
    """One connection, held from the first step to the last; what a step finds, it returns.

    `kind`: that of the selection, but that before the first full run there is nothing that could have changed.
    `allow_mass_delete` and `use_reserve`: a person allows what a guard would refuse. `draft`: `matching` is the latest
    one, and the run goes as if it had been imported.
    """

    store: Store
    record: ConnectionRecord
    matching: StoredMatching
    run_id: str
    selection: Selection
    kind: Kind
    allow_mass_delete: bool = False
    use_reserve: bool = False
    draft: bool = False
    _resources: ExitStack = field(default_factory=ExitStack, repr=False)
    _client: PipedriveClient | None = field(default=None, repr=False)

    @property
    def client(self) -> PipedriveClient:
        """Opened, and the account checked, when the first step needs it."""
        if self._client is None:
            self._client = self._resources.enter_context(pipedrive_client(self.store, self.record))
            check_account(self._client, self.record)
            self._check_budget(self._client.usage)
        return self._client

    def _check_budget(self, usage: Usage) -> None:
        """Raises BudgetReserve. The account's answer has just said what is left of the day."""
        with self.writing() as connection:
            waiting = inbox.count_hints(self.store.inbox, self.record.id)
            expected = budget.estimate(connection, self.record, self.kind, waiting)
            self.note(connection, estimated_tokens=expected)
        refused = None if self.use_reserve else budget.refusal(self.record.name, expected, usage)
        if refused is not None:
            raise budget.BudgetReserve(refused)

    @property
    def settings(self) -> ListSettings:
        return ListSettings(
            ignore_empty=self.matching.ignore_empty_values,
            consent=cast(Any, self.record.consent),
            on_delete=cast(Any, self.record.on_delete),
        )

    def contact_list(self, connection: sa.Connection) -> ContactList:
        """The list, of a draft as its Import would make it."""
        contact_list = ContactList.of_domain(connection, self.record.domain)
        if not self.draft:
            return contact_list
        in_force = matchings.confirmed_matching(connection, self.record.id)
        columns = column_changes(
            None if in_force is None else _matching_of(in_force),
            _matching_of(self.matching),
            contact_list.variables(connection),
        )
        return DraftedList.of(contact_list, columns.renamed, columns.added)

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction of this run: every one that writes anything but the run's own report. What the run has cost so
        far is noted with it.

        Raises SyncError, before anything is written, if another run has come since, as it can when the database
        dropped our lock.
        """
        with self.store.engine.begin() as connection:
            if reports.newest_run_id(connection, self.record.id) != self.run_id:
                raise SyncError(
                    f"Another run of the connection {self.record.name} began while this one was at work, so this one "
                    "wrote nothing; run again if the list is not up to date."
                )
            yield connection
            self.note(connection)

    def finish(self, state: str, message: str | None = None) -> None:
        """Closes the run's report, and drops a plan that nobody applies. `state`: partial, dry_run or failed."""
        with self.store.engine.begin() as connection:
            # The plan may be another run's by now.
            if reports.newest_run_id(connection, self.record.id) == self.run_id:
                drop_plan(connection, self.record.id)
            self.note(connection)
            reports.finish_run(connection, self.record.id, self.run_id, state, message)

    def note(self, connection: sa.Connection, **values: object) -> None:
        """Writes counts and what the run cost so far into its report."""
        if self._client is not None:
            usage = self._client.usage
            values |= {"requests": usage.requests, "tokens_used": usage.tokens_used}
            values |= {"tokens_left": usage.daily_remaining}
            budget.note(connection, self.record.id, usage)
        if values:
            reports.update_run(connection, self.record.id, self.run_id, **values)


@contextmanager
def begin(
    store: Store,
    connection_name: str,
    run_id: str,
    selection: Selection = FULL,
    *,
    allow_mass_delete: bool = False,
    use_reserve: bool = False,
    draft: bool = False,
    automatic: bool = False,
) -> Iterator[SyncRun]:
    """Holds the connection for a run and opens its report; at the end, a report that no step closed is closed, with the
    sentence of what ended the run. Whoever watches from elsewhere is told how far it is (`store.progress`).

    `draft`: the dry run looks at the latest matching instead of the one in force. `automatic`: no person started it,
    so that if it fails, the next one that starts by itself waits (`watch`).

    Raises UnknownConnection, ConnectionBusy, NotImported, AccessLost, KeyUnusable, SyncError (before anything is asked
    or written).
    """
    if draft and not selection.is_dry_run:
        raise SyncError("A draft can only be tried: select contact_plan, and not default_contact_list.")
    with ExitStack() as resources:
        with reading(store.engine) as connection:
            record = connections.get_connection(connection, connection_name)
        check_access(record)
        if record.state == "disconnected":
            raise SyncError(f"The connection {record.name} is disconnected; run connect to take it up again.")
        if automatic and record.paused:
            raise SyncError(
                f"The connection {record.name} is paused, so nothing starts by itself; resume it on its page, or start "
                "the run yourself."
            )
        resources.enter_context(sole_writer(store.engine, record))
        with store.engine.begin() as connection:
            # Read again: it may have changed before the lock was ours.
            record = connections.get_connection(connection, connection_name)
            matching = requests.matching_for(connection, record, draft=draft)
            # With another key the memory of opt-outs would know nobody, so a run that needs no credentials
            # checks it as well.
            credentials_of(store, record)
            kind = selection.kind
            if record.watermark is None and kind == "changes":
                # There is nothing yet that could have changed.
                kind = "full"
            _check_stored_persons(record, selection)
            reports.close_unfinished(connection, record.id, STOPPED)
            reports.begin_run(
                connection, record.id, run_id, kind, selected=selection.names, automatic=automatic
            )
            if selection.is_dry_run:
                version = version_of(_matching_of(matching))
                reports.update_run(connection, record.id, run_id, matching_version=version)
            if selection.plans:
                requests.fulfil(
                    connection,
                    record,
                    kind,
                    dry_run=selection.is_dry_run,
                    draft=draft,
                    allow_mass_delete=allow_mass_delete,
                    use_reserve=use_reserve,
                )
            reports.drop_pending_issues(connection, record.id)
            # What the last walk could not take for a person stands until another one says it anew.
            reports.repeat_issues(connection, record.id, "rejected", "odd_shape")
        run = SyncRun(
            store,
            record,
            matching,
            run_id,
            selection,
            kind,
            allow_mass_delete=allow_mass_delete,
            use_reserve=use_reserve,
            draft=draft,
            _resources=resources,
        )
        resources.enter_context(progress.shown(store, record.id, run_id))
        try:
            yield run
        except BaseException as error:
            # If the database is what broke, the report stays open until the next run closes it.
            with suppress(*store_errors.DATABASE_ERRORS):
                _close(run, sentence_of(error))
            raise
        _close(run, None)


def _check_stored_persons(record: ConnectionRecord, selection: Selection) -> None:
    """Raises SyncError if the list would be planned from the few persons that previews were made of."""
    # The second is noted since runs of changes know it, the first only once the list has followed.
    never_read = record.watermark is None and record.null_update_times is None
    if selection.plans and selection.kind == "re-map" and never_read:
        raise SyncError(
            f"The persons of the connection {record.name} were never read, so there is nothing to make its list of; "
            "select pipedrive_persons as well, or run a full sync."
        )


def _close(run: SyncRun, message: str | None) -> None:
    """Closes the report as that of a failed run, if nobody has closed it."""
    with reading(run.store.engine) as connection:
        report = reports.get_run(connection, run.record.id, run.run_id)
    if report is not None and report["state"] == "started":
        run.finish("failed", message)


def _matching_of(stored: StoredMatching) -> Matching:
    return Matching(stored.ignore_empty_values, stored.variables)


def read_again_since(watermark: int, now: datetime) -> datetime:
    """From when on a run, or a poll, reads again: some time before the watermark (epoch microseconds). `now`: by the
    server's clock, which is believed if it was set back."""
    return min(datetime.fromtimestamp(watermark // 1_000_000, UTC), now) - OVERLAP


def microseconds(moment: datetime) -> int:
    """Epoch microseconds, in which times are compared and stored."""
    return int(moment.timestamp() * 1_000_000)
