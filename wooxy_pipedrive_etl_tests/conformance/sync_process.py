"""One sync in a separate process that reports each of its moments in advance, so that it can be killed at any of them:

python -m wooxy_pipedrive_etl_tests.conformance.sync_process DATABASE_URL CONNECTION changes|full|re-map steps|dagster
"""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import sqlalchemy as sa

from wooxy_pipedrive_etl.store import Store
from wooxy_pipedrive_etl.sync import flow, progress
from wooxy_pipedrive_etl.sync.run import begin
from wooxy_pipedrive_etl.sync.selection import Kind, Selection


@contextmanager
def reporting(url: str, report: Callable[[str], None]) -> Iterator[None]:
    """`report` receives each statement and commit in that database before it happens, and all progress.

    Only the first words of a statement, because personal values may follow.
    """
    # On every engine: Dagster's job opens its own, and has another for its own storage.
    database = sa.make_url(url).database

    def statement(db: sa.Connection, _cursor: Any, text: str, *_: Any) -> None:
        if db.engine.url.database == database:
            report(" ".join(text.split()[:4]))

    def commit(db: sa.Connection) -> None:
        if db.engine.url.database == database:
            report("COMMIT")

    sa.event.listen(sa.Engine, "before_cursor_execute", statement)
    sa.event.listen(sa.Engine, "commit", commit)
    progress.watch(lambda what, done, _total: report(f"{what}: {done}"))
    try:
        yield
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", statement)
        sa.event.remove(sa.Engine, "commit", commit)
        progress.watch(lambda *_: None)


def writing(moments: Sequence[str]) -> range:
    """Which moments belong to the last step, the one that writes the list: from the check whether it still may to the
    commit. Empty if the step has not begun."""
    planned = [number for number, moment in enumerate(moments) if _makes_plan(moment)]
    begun = [number for number in _checks(moments) if planned and number > planned[-1]]
    if not begun:
        return range(0)
    committed = [number for number in range(begun[0], len(moments)) if moments[number] == "COMMIT"]
    return range(begun[0], committed[0] + 1 if committed else len(moments))


def _makes_plan(moment: str) -> bool:
    return moment.startswith("CREATE") and " sync_plan_" in moment


def _checks(moments: Sequence[str]) -> list[int]:
    """Every step that writes first checks that no other run has started."""
    return [number for number, moment in enumerate(moments) if moment.startswith("SELECT sync_runs.run_id")]


def sync(url: str, name: str, kind: Kind, way: str) -> None:
    """`way`: the steps alone, or Dagster's job, which takes seconds to start."""
    store = Store.open(url)
    try:
        if way == "dagster":
            from wooxy_pipedrive_etl.orchestration.launch import run_sync

            run_sync(store, name, kind)
        else:
            _run_steps(store, name, kind)
    finally:
        store.close()


def _run_steps(store: Store, name: str, kind: Kind) -> None:
    with begin(store, name, uuid.uuid4().hex, Selection.of(kind)) as run:
        for _ in flow.sync(run):
            pass


def _say(moment: str) -> None:
    os.write(sys.stdout.fileno(), f"{moment}\n".encode())


if __name__ == "__main__":
    with reporting(sys.argv[1], _say):
        url, name, kind, way = sys.argv[1:]
        sync(url, name, cast(Kind, kind), way)
