"""One run on one connection: its lock, its kind, its permissions, and its report from beginning to end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from wooxy_pipedrive_etl.connections import run_requests, token_budget
from wooxy_pipedrive_etl.connections.accounts import check_account
from wooxy_pipedrive_etl.connections.credentials import (
    check_access,
    credentials_of,
    pipedrive_client,
)
from wooxy_pipedrive_etl.contact_list import ContactList, ListSettings, ListView, drafted_view, drop_plan
from wooxy_pipedrive_etl.errors import Refused, SyncError
from wooxy_pipedrive_etl.failures import STOPPED, failure_code, sentence_of
from wooxy_pipedrive_etl.guards import NOTHING_ALLOWED, Guard, Permissions
from wooxy_pipedrive_etl.mapping.matching import Matching, column_changes
from wooxy_pipedrive_etl.matching.view import dry_run_version
from wooxy_pipedrive_etl.pipedrive import PipedriveClient, Usage
from wooxy_pipedrive_etl.store import Store, connections, inbox, matchings, runs
from wooxy_pipedrive_etl.store import errors as store_errors
from wooxy_pipedrive_etl.store.connections import ConnectionRecord
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.store.issues import drop_pending_issues, repeat_issues
from wooxy_pipedrive_etl.store.locks import sole_writer
from wooxy_pipedrive_etl.store.matchings import StoredMatching

from . import progress
from .selection import FULL, Kind, Selection

# How far before a watermark to read again, by the server's clock: recent changes may show up late.
OVERLAP = timedelta(seconds=60)


@dataclass
class SyncRun:
    """One run, which holds its connection's lock from the first step to the last; what a step finds, it returns.

    `kind`: that of the selection; but before the first full run, when nothing can have changed, it is full. `allowed`:
    what a user allows although a guard would refuse it. `draft`: `matching` is the latest one, and the run proceeds as
    if it had been imported.
    """

    store: Store
    record: ConnectionRecord
    matching: StoredMatching
    run_id: str
    selection: Selection
    kind: Kind
    allowed: Permissions = NOTHING_ALLOWED
    draft: bool = False
    _resources: ExitStack = field(default_factory=ExitStack, repr=False)
    _client: PipedriveClient | None = field(default=None, repr=False)
    _noted: Usage | None = field(default=None, repr=False)

    @property
    def client(self) -> PipedriveClient:
        """Opened when the first step needs it; the account is checked then."""
        if self._client is None:
            self._client = self._resources.enter_context(pipedrive_client(self.store, self.record))
            check_account(self._client, self.record)
            self._check_budget(self._client.usage)
        return self._client

    def _check_budget(self, usage: Usage) -> None:
        """Raises BudgetReserve. The answer about the account has just reported what is left of the day."""
        with self.writing() as db:
            waiting = inbox.count_hints(self.store.inbox, self.record.id)
            expected = token_budget.estimate(db, self.record, self.kind, waiting)
            self.note(db, estimated_tokens=expected)
        refused = None if self.allowed.reserve else token_budget.refusal(expected, usage)
        if refused is not None:
            raise token_budget.BudgetReserve(refused)

    @property
    def settings(self) -> ListSettings:
        return ListSettings(
            ignore_empty=self.matching.ignore_empty_values,
            consent=self.record.consent,
            on_delete=self.record.on_delete,
        )

    def contact_list(self, db: sa.Connection) -> ContactList:
        return ContactList.of_domain(db, self.record.domain)

    def list_view(self, db: sa.Connection) -> ListView:
        """The list as the plan sees it; for a draft, as its Import would make it."""
        contact_list = self.contact_list(db)
        if not self.draft:
            return contact_list.view(db)
        in_force = matchings.confirmed_matching(db, self.record.id)
        columns = column_changes(
            None if in_force is None else _matching_of(in_force),
            _matching_of(self.matching),
            contact_list.variables(db),
        )
        return drafted_view(db, contact_list, columns.renamed, columns.added)

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction of this run. Everything except the run's own report is written in one. The run's cost so far is
        recorded with it.

        Raises SyncError, before anything is written, if a newer run has begun since, which can happen when the database
        dropped our lock.
        """
        with self.store.engine.begin() as db:
            if runs.newest_run_id(db, self.record.id) != self.run_id:
                raise SyncError(
                    f"Another run of the connection {self.record.name} began while this one was at work, so this one "
                    "wrote nothing; run again if the list is not up to date."
                )
            yield db
            self.note(db)

    def finish(
        self,
        state: str,
        message: str | None = None,
        *,
        failure: str | None = None,
        refused_by: Guard | None = None,
    ) -> None:
        """Closes the run's report, and deletes a plan that will not be applied. `state`: partial, dry_run or failed.
        For the rest see `runs.finish_run`."""
        with self.store.engine.begin() as db:
            # By now the plan may belong to another run.
            if runs.newest_run_id(db, self.record.id) == self.run_id:
                drop_plan(db, self.record.id)
            # The transaction that recorded it may have been the one that failed.
            self._noted = None
            self.note(db)
            runs.finish_run(
                db,
                self.record.id,
                self.run_id,
                state,
                message,
                failure=failure,
                refused_by=refused_by,
            )

    def note(self, db: sa.Connection, **values: object) -> None:
        """Writes counts into the run's report, and the run's cost so far if it has grown since the last time."""
        usage = None if self._client is None else self._client.usage
        if usage is not None and usage != self._noted:
            values |= {"requests": usage.requests, "tokens_used": usage.tokens_used}
            values |= {"tokens_left": usage.daily_remaining}
            token_budget.note(db, self.record.company_id, usage)
            self._noted = usage
        if values:
            runs.update_run(db, self.record.id, self.run_id, **values)


@contextmanager
def begin(
    store: Store,
    connection_name: str,
    run_id: str,
    selection: Selection = FULL,
    *,
    allowed: Permissions = NOTHING_ALLOWED,
    draft: bool = False,
    automatic: bool = False,
) -> Iterator[SyncRun]:
    """Holds the connection's lock for a run and opens its report. At the end, a report that no step has closed is
    closed with the sentence of what ended the run. Meanwhile, the progress is in the database (`store.progress`).

    `draft`: the dry run uses the latest matching instead of the one in force. `automatic`: no user started it, so if it
    fails, the next automatic run waits (`automation.waiting`).

    Raises UnknownConnection, ConnectionBusy, NotImported, AccessLost, KeyUnusable, SyncError (before anything is
    requested or written).
    """
    if draft and not selection.is_dry_run:
        raise SyncError("A draft can only be tried: select contact_plan, and not default_contact_list.")
    store.check_key()
    with ExitStack() as resources:
        with reading(store.engine) as db:
            record = connections.get_connection(db, connection_name)
        check_access(record)
        if record.state == "disconnected":
            raise SyncError(f"The connection {record.name} is disconnected; run connect to take it up again.")
        if automatic and record.paused:
            raise SyncError(
                f"The connection {record.name} is paused, so nothing starts automatically; resume it on its page, or "
                "start the run yourself."
            )
        resources.enter_context(sole_writer(store.engine, record))
        with store.engine.begin() as db:
            # Read again: it may have changed before we had the lock.
            record = connections.get_connection(db, connection_name)
            matching = run_requests.matching_for(db, record, draft=draft)
            # Checked even if the run needs no credentials: nothing may run with a key that can't read them.
            credentials_of(store, record)
            kind = selection.kind
            if record.sync_state.watermark is None and kind == "changes":
                # Nothing can have changed yet.
                kind = "full"
            _check_stored_persons(record, selection)
            runs.close_unfinished(db, record.id, STOPPED)
            runs.begin_run(db, record.id, run_id, kind, selected=selection.names, automatic=automatic)
            if selection.is_dry_run:
                version = dry_run_version(db, record, _matching_of(matching))
                runs.update_run(db, record.id, run_id, matching_version=version)
            if selection.plans:
                run_requests.fulfil(
                    db,
                    record,
                    kind,
                    dry_run=selection.is_dry_run,
                    draft=draft,
                    allowed=allowed,
                )
            drop_pending_issues(db, record.id)
            # Malformed records of the last walk stay listed until another walk replaces them.
            repeat_issues(db, record.id, "rejected", "odd_shape")
        run = SyncRun(
            store,
            record,
            matching,
            run_id,
            selection,
            kind,
            allowed=allowed,
            draft=draft,
            _resources=resources,
        )
        resources.enter_context(progress.shown(store, record.id, run_id))
        try:
            yield run
        except BaseException as error:
            # If the database is what failed, the report stays open until the next run closes it.
            with suppress(*store_errors.DATABASE_ERRORS):
                _close(run, error)
            raise
        _close(run, None)


def _check_stored_persons(record: ConnectionRecord, selection: Selection) -> None:
    """Raises SyncError if the list would be planned from only the few persons read for previews."""
    # The second has been stored since there are runs of changes, the first only once the list has been written.
    never_read = record.sync_state.watermark is None and record.sync_state.null_update_times is None
    if selection.plans and selection.kind == "re-map" and never_read:
        raise SyncError(
            f"The persons of the connection {record.name} were never read, so there is nothing to make its list of; "
            "select pipedrive_persons as well, or run a full sync."
        )


def _close(run: SyncRun, error: BaseException | None) -> None:
    """Closes the report as that of a failed run, if it is still open."""
    with reading(run.store.engine) as db:
        report = runs.get_run(db, run.record.id, run.run_id)
    if report is not None and report.state == "started":
        run.finish(
            "failed",
            None if error is None else sentence_of(error),
            failure=None if error is None else failure_code(error),
            refused_by=error.guard if isinstance(error, Refused) else None,
        )


def _matching_of(stored: StoredMatching) -> Matching:
    return Matching(stored.ignore_empty_values, stored.rows)


def read_again_since(watermark: int, now: datetime) -> datetime:
    """The time from which a run, or a poll, reads again: a little before the watermark (epoch microseconds). `now`: by
    the server's clock, which is trusted if it was set back."""
    return min(datetime.fromtimestamp(watermark // 1_000_000, UTC), now) - OVERLAP


def microseconds(moment: datetime) -> int:
    """Epoch microseconds, in which times are compared and stored."""
    return int(moment.timestamp() * 1_000_000)
