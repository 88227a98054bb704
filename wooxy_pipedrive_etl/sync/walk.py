"""A full walk over an account's persons: sequential, or in windows of update_time with many requests at once; an
interrupted walk is resumed."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import timedelta

import numpy as np
import sqlalchemy as sa

from wooxy_pipedrive_etl.pipedrive import PersonsPage, Span
from wooxy_pipedrive_etl.pipedrive.endpoints import PAGE_LIMIT
from wooxy_pipedrive_etl.pipedrive.errors import BadRequest, NotInWindows
from wooxy_pipedrive_etl.settings import Settings
from wooxy_pipedrive_etl.store import sync_state, walks
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.store.snapshot import count_persons, highest_person_id, update_times

from .run import OVERLAP, SyncRun, microseconds

logger = logging.getLogger(__name__)

# How long an interrupted walk can be resumed: nobody knows how long a cursor lives, and the part already read ages.
WALK_LIVES = timedelta(hours=36)
# Windows return only what Pipedrive's filters return. That the filters leave nobody out is only what the documentation
# says; a sequential walk reads everybody without a filter, at least this often.
PLAIN_WALK_EVERY = timedelta(days=7)
# After Pipedrive has answered in a way that does not fit the windows.
NO_WINDOWS_FOR = timedelta(days=30)


class Walk:
    """`began`: when, by the server's clock, in epoch microseconds; `seen`: the ids of the persons read, one array for
    each page; an earlier run has read the first `resumed_pages`. In windows, some persons are read twice."""

    def __init__(self, run: SyncRun, optional: Sequence[str], walked: bool) -> None:
        """`walked`: there was a complete walk before. Raises InvalidSetting."""
        self._run = run
        self._fields = list(optional)
        self._walked = walked
        self._newest: PersonsPage | None = None
        self._windows_from = Settings.current().persons_for_windows
        now = microseconds(run.client.server_time())
        with run.writing() as db:
            known = walks.unfinished_walk(db, run.record.id)
            if known is None or known.fields != self._fields or not _is_within(WALK_LIVES, known.began, now):
                known = walks.begin_walk(db, run.record.id, now, self._fields)
        self.began = known.began
        self.seen: list[np.ndarray] = list(known.seen)
        self.resumed_pages = len(self.seen)
        self._cursor = known.next_cursor
        self._unread = None if known.unread is None else [Span(start, end) for start, end in known.unread]

    @property
    def count(self) -> int:
        """How many persons were read, counting twice those read twice."""
        return sum(map(len, self.seen))

    def ids(self, first: int = 0, last: int | None = None) -> np.ndarray:
        """The persons of these pages (int64, ascending), each once."""
        return np.unique(np.concatenate([np.array([], dtype=np.int64), *self.seen[first:last]]))

    def pages(self) -> Iterator[PersonsPage]:
        """The pages still to be read. The walk is complete if the iterator ends without an error."""
        if not self.seen and self._is_for_windows():
            self._unread = [Span(None, None)]
        if self._unread is not None:
            try:
                yield from self._pages_in_windows(self._unread)
            except NotInWindows as error:
                logger.warning("%s The walk starts again, page by page.", error)
                self._start_anew(in_windows=False)
            else:
                return
        if self._cursor is not None:
            rest = self._run.client.walk_persons(include_fields=self._fields, cursor=self._cursor)
            try:
                first = next(rest, None)
            except BadRequest:
                # Pipedrive no longer knows the cursor.
                self._start_anew()
            else:
                if first is not None:
                    yield first
                yield from rest
                return
        yield from self._run.client.walk_persons(include_fields=self._fields)

    def note(self, db: sa.Connection, page: PersonsPage) -> None:
        """Called in the transaction that stores the page. A walk can't be resumed after a page with malformed records:
        a later run would not know about them."""
        connection_id, ids = self._run.record.id, page.persons["person_id"].to_numpy()
        self.seen.append(ids)
        if self._unread is not None and page.read is not None:
            self._unread = [left for span in self._unread for left in span.without(page.read)]
        if len(page.odd):
            walks.forget_walk(db, connection_id)
        elif self._unread is None:
            walks.add_page(db, connection_id, ids, next_cursor=page.next_cursor)
        else:
            walks.add_page(db, connection_id, ids, unread=self._unread)

    def close(self, db: sa.Connection) -> None:
        """The walk was complete."""
        walks.forget_walk(db, self._run.record.id)
        if self._unread is None:
            sync_state.advance(db, self._run.record.id, plain_walk_began=self.began)

    @property
    def _top(self) -> int:
        """Where the windows end (epoch seconds): persons updated from here on are read at the end of the walk, since
        they may be updated during it, or show up late."""
        return (self.began - OVERLAP // timedelta(microseconds=1)) // 1_000_000

    def _is_for_windows(self) -> bool:
        record, client = self._run.record, self._run.client
        if not client.tells_the_time() or _is_within(
            NO_WINDOWS_FOR, record.sync_state.windows_refused_at, self.began
        ):
            return False
        with reading(self._run.store.engine) as db:
            known = count_persons(db, record.id)
            highest_known = highest_person_id(db, record.id)
        if self._walked:
            is_checked = _is_within(PLAIN_WALK_EVERY, record.sync_state.plain_walk_began, self.began)
            return is_checked and known >= self._windows_from
        # Only the persons of the previews are known, which have the lowest ids.
        if known < min(PAGE_LIMIT, self._windows_from):
            return False
        return known * self._highest(self._newest_page()) >= self._windows_from * highest_known

    def _pages_in_windows(self, unread: Sequence[Span]) -> Iterator[PersonsPage]:
        run = self._run
        newest = self._newest_page()
        with reading(run.store.engine) as db:
            expected = count_persons(db, run.record.id)
            times = update_times(db, run.record.id) if self._walked else np.array([], dtype=np.int64)
        highest = max(self.seen[0], default=0) if self.seen else self._highest(newest)
        yield newest
        yield from run.client.walk_persons_in_windows(
            newest,
            unread,
            top=self._top,
            highest=int(highest),
            expected=max(expected, self._windows_from),
            times=times,
            include_fields=self._fields,
        )

    def _newest_page(self) -> PersonsPage:
        if self._newest is None:
            self._newest = self._run.client.newest_by_id(include_fields=self._fields)
        return self._newest

    @staticmethod
    def _highest(page: PersonsPage) -> int:
        return 0 if page.persons.empty else int(page.persons["person_id"].max())

    def _start_anew(self, *, in_windows: bool = True) -> None:
        """Without `in_windows`: Pipedrive has answered otherwise than windows need."""
        connection_id, refused_at = self._run.record.id, self.began
        self.began = microseconds(self._run.client.server_time())
        self.seen.clear()
        self.resumed_pages = 0
        self._cursor = self._unread = None
        with self._run.writing() as db:
            walks.begin_walk(db, connection_id, self.began, self._fields)
            if not in_windows:
                sync_state.advance(db, connection_id, windows_refused_at=refused_at)


def _is_within(time: timedelta, then: int | None, now: int) -> bool:
    """Whether `then` is at most this long ago; times in epoch microseconds, None for never."""
    return then is not None and 0 <= now - then <= time // timedelta(microseconds=1)
