"""The one resource: a run's hold on its connection, from before the first step until after the last."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
from pydantic import PrivateAttr

from wooxy_pipedrive_etl.store import Store
from wooxy_pipedrive_etl.sync.run import SyncRun, begin

from .failures import as_failure

PARTITION_TAG = "dagster/partition"


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
        with as_failure():
            held = begin(Store.open(self.database_url or None), run.tags[PARTITION_TAG], run.run_id)
            self._run = held.__enter__()
        try:
            yield self
        finally:
            held.__exit__(None, None, None)

    @property
    def run(self) -> SyncRun:
        return self._run
