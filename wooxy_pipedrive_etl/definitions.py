"""What Dagster loads: the product by itself. A project that embeds it merges `build_defs()` into its own."""

from __future__ import annotations

import dagster as dg

from .orchestration.build import build_defs as build_defs

# All is one step, which gains nothing from a process of its own.
defs = dg.Definitions.merge(build_defs(), dg.Definitions(executor=dg.in_process_executor))
