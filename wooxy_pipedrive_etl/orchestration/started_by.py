"""Who started a run: a person, or nobody. If it fails, only the latter makes the next one wait."""

from __future__ import annotations

import dagster as dg

# A sensor's run that does what a person has asked for, on a page.
REQUESTED_TAG = "wooxy/requested"
# Dagster's own tags, which it does not give away.
_AUTOMATION_TAGS = ("dagster/sensor_name", "dagster/schedule_name", "dagster/from_automation_condition")
RETRY_NUMBER_TAG = "dagster/retry_number"


def is_automatic(run: dg.DagsterRun) -> bool:
    """Whether no person started the run. *Re-execute* in the UI keeps the tags of the first one."""
    by_itself = any(tag in run.tags for tag in _AUTOMATION_TAGS) and REQUESTED_TAG not in run.tags
    return by_itself and (run.parent_run_id is None or RETRY_NUMBER_TAG in run.tags)
