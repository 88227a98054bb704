"""Whether a user started a run. If an automatic run fails, the next one waits."""

from __future__ import annotations

import dagster as dg

# A sensor's run that a user requested on a page.
REQUESTED_TAG = "wooxy/requested"
# Dagster's own tags; it does not export the names.
_AUTOMATION_TAGS = ("dagster/sensor_name", "dagster/schedule_name", "dagster/from_automation_condition")
RETRY_NUMBER_TAG = "dagster/retry_number"


def is_automatic(run: dg.DagsterRun) -> bool:
    """Whether no user started the run. *Re-execute* in the UI keeps the tags of the first run."""
    by_itself = any(tag in run.tags for tag in _AUTOMATION_TAGS) and REQUESTED_TAG not in run.tags
    return by_itself and (run.parent_run_id is None or RETRY_NUMBER_TAG in run.tags)
