"""Publishes a run's progress. The steps need not know who follows it: someone in this process, and whoever reads the
database (`store.progress`)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from wooxy_pipedrive_etl.store import Store, progress
from wooxy_pipedrive_etl.store import errors as store_errors

logger = logging.getLogger(__name__)

# the step, how many so far, how many in all (None: not known)
Watcher = Callable[[str, int, int | None], None]

# So that a batch, which takes some hundredths of a second, does not wait for its record.
_NOTE_SECONDS = 1.0

_watcher: ContextVar[Watcher | None] = ContextVar("watcher", default=None)
_noter: ContextVar[Watcher | None] = ContextVar("noter", default=None)


def watch(watcher: Watcher) -> None:
    """From now on, `watcher` receives the progress of this thread."""
    _watcher.set(watcher)


def report(what: str, done: int, total: int | None = None) -> None:
    """A step calls this when it begins, with the number it begins with, and after each batch."""
    for watcher in (_watcher.get(), _noter.get()):
        if watcher is not None:
            watcher(what, done, total)


@contextmanager
def shown(store: Store, connection_id: int, run_id: str) -> Iterator[None]:
    """While the run is in progress, its progress is in the database."""
    noter, before = _Noter(store, connection_id, run_id), _noter.get()
    _noter.set(noter)
    try:
        yield
    finally:
        _noter.set(before)
        noter.close()


class _Noter:
    """Records a step's first and last report, and at most one a second in between. A lost record does no harm."""

    def __init__(self, store: Store, connection_id: int, run_id: str) -> None:
        self._store = store
        self._connection_id = connection_id
        self._run_id = run_id
        self._what: str | None = None
        self._again_at = 0.0

    def __call__(self, what: str, done: int, total: int | None) -> None:
        begins, ends = what != self._what, done == total
        if not begins and not ends and time.monotonic() < self._again_at:
            return
        try:
            progress.note_progress(self._store.inbox, self._connection_id, self._run_id, what, done, total)
        except store_errors.DATABASE_ERRORS as error:
            logger.debug(
                "The progress of the run %s could not be recorded (%s).", self._run_id, type(error).__name__
            )
        self._what = what
        # After a slow write, because the database is busy, the next one also waits its time.
        self._again_at = time.monotonic() + _NOTE_SECONDS

    def close(self) -> None:
        try:
            progress.forget_progress(self._store.inbox, self._connection_id, self._run_id)
        except store_errors.DATABASE_ERRORS as error:
            # Nobody reads it any more: the run has ended.
            logger.debug("The progress of the run %s stays (%s).", self._run_id, type(error).__name__)
