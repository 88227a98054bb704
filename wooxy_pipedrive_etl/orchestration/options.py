"""What may be asked of one run: in the launchpad, by the jobs, by the sensors and by the command line."""

from __future__ import annotations

from typing import Any

import dagster as dg
from pydantic import Field

STEP = "contact_list_sync"
"""The one step that makes all assets; its name in run configuration."""

PRODUCT_TAG = "wooxy_pipedrive/product"
"""The tag of an asset that says which product of a run it is, whatever key a project gives it."""


class SyncOptions(dg.Config):
    """Every option is off unless somebody sets it."""

    only_changes: bool = Field(
        default=False, description="Read the persons that changed since the last run, not everybody."
    )
    allow_mass_delete: bool = Field(
        default=False,
        description="A person allows this run to delete many contacts, or lose many fields, at once.",
    )
    use_reserve: bool = Field(
        default=False, description="A person allows this run to spend the reserve of the day's token budget."
    )
    draft: bool = Field(
        default=False,
        description="A dry run of the latest matching, imported or not; leave default_contact_list unselected.",
    )


def run_config(**options: bool) -> dict[str, Any]:
    """The run configuration of these `SyncOptions`; those that are off are left out."""
    return {"ops": {STEP: {"config": {name: True for name, is_on in options.items() if is_on}}}}
