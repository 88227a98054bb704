"""Whether a user started a run, judged by the tags that Dagster gives it."""

from __future__ import annotations

import dagster as dg
import pytest

from wooxy_pipedrive_etl.orchestration.started_by import REQUESTED_TAG, is_automatic

SENSOR = {"dagster/sensor_name": "matching_sensor"}
SCHEDULE = {"dagster/schedule_name": "nightly_full_sync"}
AGAIN = {"dagster/parent_run_id": "first", "dagster/root_run_id": "first"}
RETRY = {**AGAIN, "dagster/retry_number": "1"}


@pytest.mark.parametrize(
    ("tags", "automatic"),
    [
        ({}, False),
        ({"dagster/backfill": "all"}, False),
        (SENSOR, True),
        (SCHEDULE, True),
        ({"dagster/from_automation_condition": "true"}, True),
        # A sensor starts what a user requested on a page.
        ({**SENSOR, REQUESTED_TAG: "true"}, False),
        # Re-execute in the UI keeps the tags of the first run; so does Dagster when it retries a dead one.
        ({**SCHEDULE, **AGAIN}, False),
        ({**SCHEDULE, **RETRY}, True),
        (RETRY, False),
    ],
    ids=str,
)
def test_who_started_a_run(tags: dict[str, str], automatic: bool) -> None:
    with dg.instance_for_test() as instance:
        parent = tags.get("dagster/parent_run_id")
        job = dg.GraphDefinition(name="empty").to_job()
        run = instance.create_run_for_job(job, tags=tags, parent_run_id=parent, root_run_id=parent)
        assert is_automatic(run) is automatic
