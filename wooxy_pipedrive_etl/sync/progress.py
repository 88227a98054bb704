"""Lets whoever watches a run see how far it is, without the steps knowing who that is."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

# what is done, how many so far, how many in all (None: not known)
Watcher = Callable[[str, int, int | None], None]

_watcher: ContextVar[Watcher | None] = ContextVar("watcher", default=None)


def watch(watcher: Watcher) -> None:
    """From now on, in this thread, `watcher` is told."""
    _watcher.set(watcher)


def report(what: str, done: int, total: int | None = None) -> None:
    watcher = _watcher.get()
    if watcher is not None:
        watcher(what, done, total)
