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
# What makes a run a full one: the walk is among its steps; and a dry one: the plan is, and its application is not.
WALK = dg.AssetKey("pipedrive_persons")
PLAN = dg.AssetKey("contact_plan")
LIST = dg.AssetKey("default_contact_list")
CHANGES = "changes_sync"
REMAP = "remap"
MATCH = "match_variables"
_KINDS: dict[str, Kind] = {CHANGES: "changes", REMAP: "re-map", MATCH: "re-map"}


class SyncRunResource(dg.ConfigurableResource[Any]):
    """Opens the database and holds the connection that the run's partition names, so that steps share one lock, one
    Pipedrive client and one report. It relies on `in_process_executor`: a process a step would take it apart.

    What a person may allow for one run, in the launchpad or by an option of `sync`: `allow_mass_delete`, to delete
    many contacts or lose many fields at once; `use_reserve`, to spend the reserve of the day's token budget. `draft`
    makes a dry run look at the latest matching, imported or not.
    """

    database_url: str = ""
    allow_mass_delete: bool = False
    use_reserve: bool = False
    draft: bool = False

    _run: SyncRun = PrivateAttr()

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["SyncRunResource"]:
        run = context.run
        if run is None or PARTITION_TAG not in run.tags:
            raise dg.Failure(
                "Choose a connection: these assets are partitioned by connection.", allow_retries=False
            )
        # Of a run of the whole job, Dagster says None or nothing, depending on who launched it.
        steps = run.asset_selection or {WALK, PLAN, LIST}
        walks = WALK in steps
        plans = PLAN in steps and run.job_name != MATCH
        kind = _KINDS.get(run.job_name, "full" if walks else "re-map")
        with as_failure():
            store = Store.open(self.database_url or None)
        try:
            with as_failure():
                held = begin(
                    store,
                    run.tags[PARTITION_TAG],
                    run.run_id,
                    kind,
                    allow_mass_delete=self.allow_mass_delete,
                    use_reserve=self.use_reserve,
                    dry_run=LIST not in steps,
                    draft=self.draft,
                    answers=plans,
                )
                self._run = held.__enter__()
                # It has nothing to apply, as a dry run has not.
                self._run.planned = run.job_name == MATCH
            try:
                yield self
            finally:
                held.__exit__(None, None, None)
        finally:
            store.close()

    @property
    def run(self) -> SyncRun:
        return self._run
