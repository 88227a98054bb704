"""What Dagster loads when the product runs on its own. A project that embeds it merges `build_defs()` into its own
definitions."""

from __future__ import annotations

import dagster as dg

from .orchestration.build import build_defs as build_defs

# Everything is one step, which gains nothing from a process of its own.
defs = dg.Definitions.merge(build_defs(), dg.Definitions(executor=dg.in_process_executor))
