"""Runs a job in this process, for the command line: the same job that the UI and the schedule run, recorded in the same
Dagster instance."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import dagster as dg

from wooxy_pipedrive_etl.errors import Stopped, SyncError
from wooxy_pipedrive_etl.guards import NOTHING_ALLOWED, Permissions
from wooxy_pipedrive_etl.store import Store, connections, runs
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.store.runs import RunReport
from wooxy_pipedrive_etl.sync.selection import Kind, Selection

from .build import build_defs
from .dagster_home import open_dagster
from .failures import failure_sentence
from .jobs import JOB_NAMES, asset_keys
from .options import run_config
from .partitions import keep_in_step

# So that the UI lists these runs on the job's pages, like those that it starts itself.
_LOCATION_TAG = {".dagster/repository": "__repository__@wooxy_pipedrive_etl.definitions"}


def run_sync(
    store: Store,
    name: str,
    kind: Kind | None = None,
    *,
    dry_run: bool = False,
    allowed: Permissions = NOTHING_ALLOWED,
) -> RunReport:
    """Runs the job on one connection and returns its report.

    Without a `kind`, the run reads what has changed since the last one, or everything if there was none.

    Raises SyncError with the sentence of whatever made it fail, Stopped if that was a signal.
    """
    with reading(store.engine) as db:
        record = connections.get_connection(db, name)
        names = [known.name for known in connections.list_connections(db)]
    with open_dagster() as instance:
        keep_in_step(instance, names)
        kind = kind or ("full" if record.sync_state.watermark is None else "changes")
        definitions = build_defs()
        selection = Selection.of(kind, dry_run=dry_run)
        with _signals() as received:
            result = definitions.resolve_job_def(JOB_NAMES[kind]).execute_in_process(
                instance=instance,
                partition_key=name,
                asset_selection=asset_keys(definitions.resolve_asset_graph(), selection),
                run_config={
                    **run_config(only_changes=selection.only_changes, allowed=allowed),
                    # Users read the command's own lines; Dagster's are in the UI.
                    "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
                },
                tags=_LOCATION_TAG,
                raise_on_error=False,
            )
    with reading(store.engine) as db:
        report = runs.get_run(db, record.id, result.run_id)
    if not result.success and received:
        raise Stopped(received[0])
    if not result.success:
        told = None if report is None else report.message_with_way_out(name)
        raise SyncError(told or _reason(result))
    assert report is not None
    return report


@contextmanager
def _signals() -> Iterator[list[int]]:
    """The signals that asked the program to stop, filled in at the end: Dagster handles them, and does not say which
    one it was."""
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer)
    try:
        yield received
    finally:
        signal.set_wakeup_fd(before)
        with suppress(BlockingIOError):
            received += [
                number for number in os.read(reader, 1024) if number in (signal.SIGINT, signal.SIGTERM)
            ]
        os.close(reader)
        os.close(writer)


def _reason(result: dg.ExecuteInProcessResult) -> str:
    """The sentence of a failure that happened before the run had a report."""
    for event in result.all_events:
        sentence = failure_sentence(event)
        if sentence is not None:
            return sentence
    return f"The run {result.run_id} failed; see it in the Dagster UI."
