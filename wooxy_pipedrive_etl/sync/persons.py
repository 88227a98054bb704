"""Persons into the snapshot: all of them, or those that changed; and who is no longer there."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import sqlalchemy as sa

from wooxy_pipedrive_etl.pipedrive import PersonsPage, optional_fields
from wooxy_pipedrive_etl.pipedrive.errors import BadRequest
from wooxy_pipedrive_etl.store import connections, inbox, reports, walks
from wooxy_pipedrive_etl.store.catalogue import read_fields
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.store.snapshot import (
    count_persons,
    highest_person_id,
    land_persons,
    mark_gone,
    missing_persons,
)

from . import webhooks
from .progress import report
from .run import OVERLAP, SyncRun, microseconds
from .webhooks import WebhookState

# For this long a walk that was broken off is gone on with: nobody knows how long a cursor lives, and what its first
# part has read grows old.
WALK_LIVES = timedelta(hours=36)


@dataclass(frozen=True)
class WalkReport:
    """`fetched` persons, of which `changed` differ from what was known; `gone`: known persons that the walk and the
    second look did not have (in a run of changes: that a webhook said are gone, and a second look did not have), or
    None where that can't be told; `odd`: what could not be taken for a person; `resumed`: how many of `fetched` an
    earlier run had read before it broke off; `webhook`: how the connection's webhook stands, in a full run."""

    fetched: int
    changed: int
    gone: int | None
    odd: int
    left_out_fields: tuple[str, ...]
    resumed: int = 0
    webhook: WebhookState | None = None


def fetch_persons(run: SyncRun) -> WalkReport:
    """Lands what the run is to read, a page a transaction, and marks those that are gone.

    Raises PipedriveError; then no person is taken for gone.
    """
    run.hints = inbox.pending_hints(run.store.inbox, run.record.id)
    return _fetch_changes(run) if run.kind == "changes" else _fetch_all(run)


def _fetch_all(run: SyncRun) -> WalkReport:
    engine, connection_id = run.store.engine, run.record.id
    # Pipedrive drops a webhook without a word. One that is registered anew tells of what happens from here on.
    webhook = webhooks.check(run.client, run.store, run.record)
    optional = _optional_fields(run)
    with reading(engine) as connection:
        expected = count_persons(connection, connection_id) or None
    with engine.begin() as connection:
        # The walk says anew what can't be taken for a person.
        reports.drop_pending_issues(connection, connection_id)
    walk = _Walk(run, optional)
    seen = walk.seen
    resumed = sum(map(len, seen))
    fetched, changed, odd = resumed, 0, 0
    left_out: tuple[str, ...] = ()
    dateless = dated = False
    read: set[int] = set()
    for page in walk.pages():
        with engine.begin() as connection:
            changed += _land(connection, run, page)
            reports.add_pending_issues(connection, connection_id, page.odd)
            walk.note(connection, page)
        seen.append(page.persons["person_id"].to_numpy())
        fetched += len(page.persons)
        odd += len(page.odd)
        left_out = page.left_out_fields
        dateless, dated = dateless or page.dateless, dated or page.dated
        read.update(page.persons["person_id"].tolist())
        report("Reading persons", fetched, expected)
    # An element without an id may be any person: then nobody can be taken for gone.
    gone = None if odd else _mark_missing(run, np.concatenate(seen) if seen else np.array([], dtype=np.int64))
    # Webhooks may have named persons that only an earlier run has read, or that can't be told from what is no person.
    named, _ = _look_after_hints(run, optional, read)
    gone = named if gone is None else gone + named
    with engine.begin() as connection:
        walks.forget_walk(connection, connection_id)
        connections.update_connection(
            connection,
            connection_id,
            left_out_fields=",".join(left_out),
            # Unless it is seen that new persons get an update_time, they may have none; the part that an earlier run
            # has read says nothing of it any more.
            null_update_times=dateless or not dated or resumed > 0,
        )
        run.note(connection)
    run.read_until = walk.began
    return WalkReport(fetched, changed, gone, odd, left_out, resumed, webhook)


class _Walk:
    """A full walk, which goes on where an earlier run had to stop. `began`: when it did, by the server's clock, in
    epoch microseconds; `seen`: the ids of the persons that were read, a page each."""

    def __init__(self, run: SyncRun, optional: Sequence[str]) -> None:
        self._run = run
        self._fields = list(optional)
        now = microseconds(run.client.server_time())
        with run.store.engine.begin() as connection:
            known = walks.unfinished_walk(connection, run.record.id)
            if (
                known is None
                or known.fields != self._fields
                or not 0 <= now - known.began <= WALK_LIVES // timedelta(microseconds=1)
            ):
                known = walks.begin_walk(connection, run.record.id, now, self._fields)
        self.began = known.began
        self.seen: list[np.ndarray] = list(known.seen)
        self._cursor = known.next_cursor

    def pages(self) -> Iterator[PersonsPage]:
        client = self._run.client
        if self._cursor is not None:
            rest = client.walk_persons(include_fields=self._fields, cursor=self._cursor)
            try:
                first = next(rest, None)
            except BadRequest:
                # Pipedrive does not know the cursor any more.
                self._start_anew()
            else:
                if first is not None:
                    yield first
                yield from rest
                return
        yield from client.walk_persons(include_fields=self._fields)

    def note(self, connection: sa.Connection, page: PersonsPage) -> None:
        """In the transaction that lands the page. A page with what is no person can't be gone on from: nobody would
        know of it later."""
        connection_id = self._run.record.id
        if len(page.odd):
            walks.forget_walk(connection, connection_id)
        else:
            walks.add_page(connection, connection_id, page.persons["person_id"].to_numpy(), page.next_cursor)

    def _start_anew(self) -> None:
        self.began = microseconds(self._run.client.server_time())
        self.seen.clear()
        with self._run.store.engine.begin() as connection:
            walks.begin_walk(connection, self._run.record.id, self.began, self._fields)


def _fetch_changes(run: SyncRun) -> WalkReport:
    """The persons updated since the watermark, new ones whose update_time may be missing, and those that webhooks
    named: of these, whom a webhook said to be gone and a second look does not find is gone."""
    engine, connection_id = run.store.engine, run.record.id
    optional = _optional_fields(run)
    now = run.client.server_time()
    reading_of = _Reading(run)
    if run.record.null_update_times is not False:
        with reading(engine) as connection:
            highest = highest_person_id(connection, connection_id)
        # Before any other, and the lowest ids first: once a person is known, no lower id counts as new any more.
        for page in reversed(list(run.client.persons_above(highest, include_fields=optional))):
            reading_of.land(page)
    for page in run.client.walk_persons(
        include_fields=optional,
        updated_since=_updated_since(run.record.watermark, now),
        sort_by="update_time",
    ):
        reading_of.land(page)
    gone, pages = _look_after_hints(run, optional, run.read_ids)
    for page in pages:
        reading_of.note(page)
    reading_of.close()
    run.read_until = microseconds(now)
    return WalkReport(len(run.read_ids), reading_of.changed, gone, run.odd, reading_of.left_out)


def _updated_since(watermark: int | None, now: datetime) -> datetime:
    """Some time before the watermark, since what is written may show up late; a clock that was set back is believed."""
    assert watermark is not None
    return min(datetime.fromtimestamp(watermark // 1_000_000, UTC), now) - OVERLAP


class _Reading:
    """What a run of changes has read so far."""

    def __init__(self, run: SyncRun) -> None:
        self._run = run
        self._odd: list[pd.DataFrame] = []
        self.changed = 0
        self.dateless = False
        self.left_out: tuple[str, ...] = ()

    def land(self, page: PersonsPage) -> None:
        with self._run.store.engine.begin() as connection:
            self.changed += _land(connection, self._run, page)
        self.note(page)

    def note(self, page: PersonsPage) -> None:
        run = self._run
        self.dateless = self.dateless or page.dateless
        run.read_ids.update(page.persons["person_id"].tolist())
        run.odd += len(page.odd)
        self._odd.append(page.odd)
        self.left_out = tuple(dict.fromkeys([*self.left_out, *page.left_out_fields]))
        report("Reading persons", len(run.read_ids))

    def close(self) -> None:
        """Lists what is no person beside what the last walk listed, but nothing twice; what is read well now leaves the
        list. An optional field that was left out before stays so: only a full walk has it for everybody."""
        run, connection_id = self._run, self._run.record.id
        before = (run.record.left_out_fields or "").split(",")
        left_out = dict.fromkeys([*filter(None, before), *self.left_out])
        with run.store.engine.begin() as connection:
            reports.forget_pending_of(connection, connection_id, sorted(run.read_ids))
            if self._odd:
                reports.add_missing_issues(connection, connection_id, pd.concat(self._odd))
            connections.update_connection(connection, connection_id, left_out_fields=",".join(left_out))
            if self.dateless:
                connections.update_connection(connection, connection_id, null_update_times=True)
            run.note(connection)


def _look_after_hints(
    run: SyncRun, optional: Sequence[str], read: Collection[int]
) -> tuple[int, list[PersonsPage]]:
    """Lands the persons that webhooks named and the run has not read itself. Whom a webhook said to be gone, and a
    second look does not find, is gone: where an answer has what is no person, each is asked for alone.

    Returns how many are gone, and the pages.
    """
    assert run.hints is not None
    hinted = [person_id for person_id in run.hints.changed if person_id not in read]
    pages = list(_landed(run, hinted, optional))
    there = {person_id for page in pages for person_id in page.persons["person_id"].tolist()}
    missing = sorted(run.hints.deleted.intersection(hinted) - there)
    if any(len(page.odd) for page in pages):
        alone = {person_id: list(_landed(run, [person_id], optional)) for person_id in missing}
        missing = [
            person_id
            for person_id, found in alone.items()
            if not any(len(page.odd) or len(page.persons) for page in found)
        ]
    return _mark_gone(run, missing), pages


def _landed(run: SyncRun, person_ids: Sequence[int], optional: Sequence[str]) -> Iterator[PersonsPage]:
    for page in run.client.persons_by_ids(person_ids, include_fields=optional):
        with run.store.engine.begin() as connection:
            _land(connection, run, page)
        yield page


def _optional_fields(run: SyncRun) -> list[str]:
    with reading(run.store.engine) as connection:
        return optional_fields(read_fields(connection, run.record.id))


def _land(connection: sa.Connection, run: SyncRun, page: PersonsPage) -> int:
    run.check_hold(connection)
    changed = land_persons(connection, run.record.id, page.persons)
    if changed:
        connections.update_connection(connection, run.record.id, unapplied=True)
    return changed


def _mark_missing(run: SyncRun, seen: np.ndarray) -> int | None:
    """Lists omit deleted persons, but a person missing from one walk is only taken for gone if asking for it by its
    id does not find it either."""
    engine, connection_id = run.store.engine, run.record.id
    with reading(engine) as connection:
        missing = missing_persons(connection, connection_id, seen)
    there: set[int] = set()
    for page in _landed(run, missing, _optional_fields(run)):
        if len(page.odd):
            return 0
        there.update(page.persons["person_id"].tolist())
    return _mark_gone(run, [person_id for person_id in missing if person_id not in there])


def _mark_gone(run: SyncRun, person_ids: Sequence[int]) -> int:
    with run.store.engine.begin() as connection:
        run.check_hold(connection)
        gone = mark_gone(connection, run.record.id, person_ids)
        if gone:
            connections.update_connection(connection, run.record.id, unapplied=True)
    return gone
