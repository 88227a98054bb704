"""The options of a run: in the launchpad, in the jobs, for the sensors and for the command line."""

from __future__ import annotations

from typing import Any

import dagster as dg
from pydantic import Field

from wooxy_pipedrive_etl.guards import NOTHING_ALLOWED, Permissions

STEP = "contact_list_sync"
"""The one step that makes all assets; its name in run configuration."""

PRODUCT_TAG = "wooxy_pipedrive/product"
"""The tag of an asset that says which product of a run it is, whatever key a project gives it."""


class SyncOptions(dg.Config):
    """Every option is off unless somebody sets it."""

    only_changes: bool = Field(
        default=False, description="Read the persons that changed since the last run, not everybody."
    )
    allow_mass_delete: int = Field(
        default=0,
        ge=0,
        description="A user allows this run to delete up to this many contacts.",
    )
    allow_deletions_of: str | None = Field(
        default=None,
        description="A user allows this run to delete the contacts that the refused run with this id listed, and "
        "no others. Set by the pages.",
    )
    allow_lost_fields: bool = Field(
        default=False, description="A user confirms that many fields were deleted in Pipedrive at once."
    )
    use_reserve: bool = Field(
        default=False, description="A person allows this run to spend the reserve of the day's token budget."
    )
    draft: bool = Field(
        default=False,
        description="A dry run of the latest matching, imported or not; leave default_contact_list unselected.",
    )

    @property
    def allowed(self) -> Permissions:
        return Permissions(
            self.allow_mass_delete, self.allow_deletions_of, self.allow_lost_fields, self.use_reserve
        )


def run_config(
    *, only_changes: bool = False, draft: bool = False, allowed: Permissions = NOTHING_ALLOWED
) -> dict[str, Any]:
    """The run configuration of these `SyncOptions`, without those that are off."""
    options = {
        "only_changes": only_changes,
        "allow_mass_delete": allowed.deletions,
        "allow_deletions_of": allowed.deletions_of,
        "allow_lost_fields": allowed.lost_fields,
        "use_reserve": allowed.reserve,
        "draft": draft,
    }
    return {"ops": {STEP: {"config": {name: value for name, value in options.items() if value}}}}
