"""Reads persons into the snapshot: all of them, or those that changed; and finds those that no longer exist."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import sqlalchemy as sa

from wooxy_pipedrive_etl.connections import webhooks
from wooxy_pipedrive_etl.connections.webhooks import WebhookState
from wooxy_pipedrive_etl.pipedrive import PersonsPage, optional_fields
from wooxy_pipedrive_etl.store import inbox, sync_state
from wooxy_pipedrive_etl.store.catalogue import read_fields
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.store.inbox import Hints
from wooxy_pipedrive_etl.store.issues import (
    add_missing_issues,
    add_pending_issues,
    drop_pending_issues,
    forget_pending_of,
)
from wooxy_pipedrive_etl.store.snapshot import (
    count_persons,
    highest_person_id,
    land_persons,
    mark_gone,
    missing_persons,
)

from .progress import report
from .run import SyncRun, microseconds, read_again_since
from .walk import Walk


@dataclass(frozen=True)
class WalkReport:
    """`fetched` persons, of which `changed` differ from the snapshot; `gone`: known persons that a complete walk did
    not return, or that a webhook reported deleted, and that a second lookup did not find (a walk with anything `odd`
    reports none); `odd`: malformed records.

    `read_until`: the time, by the server's clock in epoch microseconds, up to which everything was read. `hints`: the
    pending changes of the inbox that were processed. `read_ids`: in a run of changes, the persons that it has read.
    `resumed`: how many of `fetched` an earlier run had read before it was interrupted; `webhook`: the state of the
    connection's webhook, in a full run.
    """

    fetched: int
    changed: int
    gone: int
    odd: int
    left_out_fields: tuple[str, ...]
    read_until: int
    hints: Hints
    read_ids: frozenset[int] = frozenset()
    resumed: int = 0
    webhook: WebhookState | None = None


def fetch_persons(run: SyncRun) -> WalkReport:
    """Stores what the run reads, one page in each transaction, and marks deleted persons.

    Raises ApiError; then no person counts as deleted.
    """
    hints = inbox.pending_hints(run.store.inbox, run.record.id)
    return _fetch_changes(run, hints) if run.kind == "changes" else _fetch_all(run, hints)


def _fetch_all(run: SyncRun, hints: Hints) -> WalkReport:
    engine, connection_id = run.store.engine, run.record.id
    # Pipedrive drops webhooks without notice. A newly registered one reports what happens from here on.
    webhook = webhooks.check(run.client, run.store, run.record)
    optional = _optional_fields(run)
    with reading(engine) as db:
        # Before the first complete walk, that of a dry run included, only the persons of the previews are known.
        walked = run.record.sync_state.null_update_times is not None
        expected = count_persons(db, connection_id) if walked else None
    with run.writing() as db:
        # The walk records malformed records from scratch.
        drop_pending_issues(db, connection_id)
    walk = Walk(run, optional, walked)
    report("Reading persons", walk.count, expected)
    changed = odd = 0
    left_out: tuple[str, ...] = ()
    dateless = dated = False
    for page in walk.pages():
        with run.writing() as db:
            changed += _land(db, run, page)
            add_pending_issues(db, connection_id, page.odd)
            walk.note(db, page)
        odd += len(page.odd)
        left_out = page.left_out_fields
        dateless, dated = dateless or page.dateless, dated or page.dated
        report("Reading persons", walk.count, expected)
    missing: list[int] = []
    # Lists omit deleted persons; but a malformed record without an id may be any of the missing ones.
    if not odd:
        with reading(engine) as db:
            missing = missing_persons(db, connection_id, walk.ids())
    # Webhooks may have reported persons that only an earlier run has read, or persons that are missing beside a
    # malformed record.
    hinted = np.setdiff1d(hints.changed, walk.ids(walk.resumed_pages)).tolist()
    resumed = len(walk.ids(0, walk.resumed_pages))
    asked = sorted({*missing, *hinted})
    gone = _second_look(run, hints, optional, asked, missing, lambda page: _landed(run, page))
    with run.writing() as db:
        walk.close(db)
        sync_state.advance(
            db,
            connection_id,
            left_out_fields=",".join(left_out),
            # New persons may lack an update_time, unless this walk shows that they get one. The part that an earlier
            # run has read can no longer show it.
            null_update_times=dateless or not dated or resumed > 0,
        )
    return WalkReport(
        len(walk.ids()),
        changed,
        gone,
        odd,
        left_out,
        read_until=walk.began,
        hints=hints,
        resumed=resumed,
        webhook=webhook,
    )


def _fetch_changes(run: SyncRun, hints: Hints) -> WalkReport:
    """Reads the persons updated since the watermark, new ones whose update_time may be missing, and those reported by
    webhooks."""
    engine, connection_id = run.store.engine, run.record.id
    optional = _optional_fields(run)
    now = run.client.server_time()
    reading_of = _Reading(run)
    if run.record.sync_state.null_update_times is not False:
        with reading(engine) as db:
            highest = highest_person_id(db, connection_id)
        # Before all others, and the lowest ids first: once a person is known, no lower id counts as new.
        for page in reversed(list(run.client.persons_above(highest, include_fields=optional))):
            reading_of.land(page)
    report("Reading persons", 0)
    assert run.record.sync_state.watermark is not None
    since = read_again_since(run.record.sync_state.watermark, now)
    for page in run.client.walk_persons(include_fields=optional, updated_since=since, sort_by="update_time"):
        reading_of.land(page)
    hinted = [person_id for person_id in hints.changed if person_id not in reading_of.ids]
    gone = _second_look(run, hints, optional, hinted, (), reading_of.land)
    reading_of.close()
    return WalkReport(
        len(reading_of.ids),
        reading_of.changed,
        gone,
        reading_of.odd,
        reading_of.left_out,
        read_until=microseconds(now),
        hints=hints,
        read_ids=frozenset(reading_of.ids),
    )


class _Reading:
    """What a run of changes has read so far."""

    def __init__(self, run: SyncRun) -> None:
        self._run = run
        self._odd: list[pd.DataFrame] = []
        self.ids: set[int] = set()
        self.changed = 0
        self.dateless = False
        self.left_out: tuple[str, ...] = ()

    def land(self, page: PersonsPage) -> None:
        self.changed += _landed(self._run, page)
        self.dateless = self.dateless or page.dateless
        self.ids.update(page.persons["person_id"].tolist())
        self._odd.append(page.odd)
        self.left_out = tuple(dict.fromkeys([*self.left_out, *page.left_out_fields]))
        report("Reading persons", len(self.ids))

    @property
    def odd(self) -> int:
        return sum(map(len, self._odd))

    def close(self) -> None:
        """Adds malformed records to those of the last walk, without duplicates, and removes those that can be read now.
        An optional field that was left out before stays left out: only a full walk reads it for everybody."""
        run, connection_id = self._run, self._run.record.id
        left_out = dict.fromkeys([*run.record.sync_state.left_out, *self.left_out])
        with run.writing() as db:
            forget_pending_of(db, connection_id, sorted(self.ids))
            if self._odd:
                add_missing_issues(db, connection_id, pd.concat(self._odd))
            sync_state.advance(db, connection_id, left_out_fields=",".join(left_out))
            if self.dateless:
                sync_state.advance(db, connection_id, null_update_times=True)


def _second_look(
    run: SyncRun,
    hints: Hints,
    optional: Sequence[str],
    asked: Sequence[int],
    missing: Sequence[int],
    land: Callable[[PersonsPage], object],
) -> int:
    """Looks these persons up by id and stores those found. Of the `missing` ones and those that a webhook reported
    deleted, marks those not found as deleted; returns how many.

    A malformed record in an answer may be any of them. Then the missing ones stay, and each person that a webhook
    reported deleted is looked up individually.
    """
    there: set[int] = set()
    odd = False
    for page in run.client.persons_by_ids(asked, include_fields=optional):
        land(page)
        there.update(page.persons["person_id"].tolist())
        odd = odd or len(page.odd) > 0
    told = hints.deleted.intersection(asked) - there
    if odd:
        return _mark_gone(run, [each for each in sorted(told) if _is_nowhere(run, optional, each)])
    return _mark_gone(run, sorted(told.union(missing) - there))


def _is_nowhere(run: SyncRun, optional: Sequence[str], person_id: int) -> bool:
    """Whether an answer about this person alone contains nothing, readable or not."""
    pages = run.client.persons_by_ids([person_id], include_fields=optional)
    return not any(len(page.odd) or len(page.persons) for page in pages)


def _optional_fields(run: SyncRun) -> list[str]:
    with reading(run.store.engine) as db:
        return optional_fields(read_fields(db, run.record.id))


def _landed(run: SyncRun, page: PersonsPage) -> int:
    """How many persons of the page differ from the snapshot."""
    with run.writing() as db:
        return _land(db, run, page)


def _land(db: sa.Connection, run: SyncRun, page: PersonsPage) -> int:
    changed = land_persons(db, run.record.id, page.persons)
    if changed:
        sync_state.fall_behind(db, run.record.id)
    return changed


def _mark_gone(run: SyncRun, person_ids: Sequence[int]) -> int:
    with run.writing() as db:
        gone = mark_gone(db, run.record.id, person_ids)
        if gone:
            sync_state.fall_behind(db, run.record.id)
    return gone
