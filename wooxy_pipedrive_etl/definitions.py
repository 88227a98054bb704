"""Everything that Dagster loads, assembled in one place; tests and tools override, they never patch."""

from __future__ import annotations

from typing import Any

import dagster as dg

from .orchestration.assets import ASSETS
from .orchestration.jobs import changes_sync, full_sync, match_variables, remap
from .orchestration.resources import SyncRunResource
from .orchestration.schedules import nightly_full_sync
from .orchestration.sensors import SENSORS


def build_defs(**resources: Any) -> dg.Definitions:
    """The definitions; a keyword replaces the resource of that name."""
    return dg.Definitions(
        assets=ASSETS,
        jobs=[changes_sync, full_sync, match_variables, remap],
        schedules=[nightly_full_sync],
        sensors=SENSORS,
        resources={"sync": SyncRunResource(), **resources},
    )


defs = build_defs()
