"""The one resource: a run's hold on its connection, from before the first step until after the last."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
from pydantic import PrivateAttr

from wooxy_pipedrive_etl.store import Store
from wooxy_pipedrive_etl.sync.run import Kind, SyncRun, begin

from .failures import as_failure

PARTITION_TAG = "dagster/partition"
# What makes a run a full one: the walk is among its steps.
WALK = dg.AssetKey("pipedrive_persons")
REMAP = "remap"


class SyncRunResource(dg.ConfigurableResource[Any]):
    """Opens the database and holds the connection that the run's partition names, so that steps share one lock, one
    Pipedrive client and one report. It relies on `in_process_executor`: a process a step would take it apart."""

    database_url: str = ""

    _run: SyncRun = PrivateAttr()

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["SyncRunResource"]:
        run = context.run
        if run is None or PARTITION_TAG not in run.tags:
            raise dg.Failure(
                "Choose a connection: these assets are partitioned by connection.", allow_retries=False
            )
        walks = run.asset_selection is None or WALK in run.asset_selection
        kind: Kind = "full" if walks and run.job_name != REMAP else "re-map"
        with as_failure():
            store = Store.open(self.database_url or None)
        try:
            with as_failure():
                held = begin(store, run.tags[PARTITION_TAG], run.run_id, kind)
                self._run = held.__enter__()
            try:
                yield self
            finally:
                held.__exit__(None, None, None)
        finally:
            store.engine.dispose()

    @property
    def run(self) -> SyncRun:
        return self._run
