"""The kinds of run, each a selection of the assets; the steps of a run share one process, and begin together."""

from __future__ import annotations

import dagster as dg

from .assets import ASSETS, default_contact_list, person_fields, pipedrive_persons, variable_matches
from .resources import CHANGES, MATCH, REMAP

_WITHOUT_WALK = [asset for asset in ASSETS if asset is not pipedrive_persons]
# Steps hand each other what only their process knows, so a run whose process died is started again from its first one;
# Dagster would leave out those that had succeeded.
_TAGS = {"dagster/retry_strategy": "ALL_STEPS"}

full_sync = dg.define_asset_job(
    "full_sync",
    selection=dg.AssetSelection.assets(*ASSETS),
    executor_def=dg.in_process_executor,
    tags=_TAGS,
    description="Every person, by id: finds deletions, repairs everything.",
)

changes_sync = dg.define_asset_job(
    CHANGES,
    selection=dg.AssetSelection.assets(*ASSETS),
    executor_def=dg.in_process_executor,
    tags=_TAGS,
    description="The persons that changed since the last run, and those that a webhook named.",
)

remap = dg.define_asset_job(
    REMAP,
    selection=dg.AssetSelection.assets(*_WITHOUT_WALK),
    executor_def=dg.in_process_executor,
    tags=_TAGS,
    description="Applies the matching to the stored snapshot; asks Pipedrive for no persons.",
)

match_variables = dg.define_asset_job(
    MATCH,
    selection=dg.AssetSelection.assets(person_fields, variable_matches),
    executor_def=dg.in_process_executor,
    tags=_TAGS,
    description="Reads the fields and shows the Match variables table anew; the list is left as it is.",
)


def dry_run_steps(job: str) -> list[dg.AssetKey]:
    """What of a job makes a dry run: all but writing the list."""
    steps = _WITHOUT_WALK if job == REMAP else ASSETS
    return [asset.key for asset in steps if asset is not default_contact_list]
