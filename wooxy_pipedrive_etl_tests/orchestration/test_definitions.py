"""Assets, jobs, schedules and sensors as intended: a changed key, dependency or hour shows up in review."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import yaml

from wooxy_pipedrive_etl.definitions import build_defs, defs
from wooxy_pipedrive_etl.orchestration.options import STEP

GRAPH = """
asset contact_plan: list, kinds wooxy, by connection
  after mapped_contacts
  check counts_balance, blocking
  check no_mass_deletion, blocking
  check one_person_a_contact, blocking
asset default_contact_list: list, kinds table wooxy, by connection
  after contact_plan
asset mapped_contacts: mapping, kinds pandas, by connection
  after pipedrive_persons referenced_names variable_matches
asset person_fields: pipedrive, kinds pipedrive, by connection
  check no_schema_change
asset pipedrive_persons: pipedrive, kinds pipedrive snapshot, by connection
  after person_fields
  check source_is_fresh
asset referenced_names: pipedrive, kinds pipedrive, by connection
  after pipedrive_persons
asset variable_matches: mapping, kinds wooxy, by connection
  after person_fields pipedrive_persons
job changes_sync: one step
  contact_plan default_contact_list mapped_contacts person_fields pipedrive_persons referenced_names variable_matches
job full_sync: one step
  contact_plan default_contact_list mapped_contacts person_fields pipedrive_persons referenced_names variable_matches
job match_variables: one step
  person_fields variable_matches
job remap: one step
  contact_plan default_contact_list mapped_contacts person_fields referenced_names variable_matches
schedule nightly_full_sync: full_sync at 30 2 * * * UTC, running
sensor changes_sensor: changes_sync every 30 s, running
sensor failure_sensor: any job every 30 s, running
sensor matching_sensor: changes_sync full_sync remap every 5 s, running
sensor schema_sensor: changes_sync match_variables remap every 60 s, running
"""


def _described(definitions: dg.Definitions) -> str:
    lines = []
    graph = definitions.resolve_asset_graph()
    for key in sorted(graph.get_all_asset_keys()):
        node = graph.get(key)
        partitions = node.partitions_def
        assert isinstance(partitions, dg.DynamicPartitionsDefinition)
        kinds = " ".join(sorted(node.kinds))
        lines.append(f"asset {key.to_user_string()}: {node.group_name}, kinds {kinds}, by {partitions.name}")
        if node.parent_keys:
            lines.append(
                "  after " + " ".join(sorted(parent.to_user_string() for parent in node.parent_keys))
            )
        for check in sorted(node.check_keys):
            blocking = ", blocking" if graph.get_check_spec(check).blocking else ""
            lines.append(f"  check {check.name}{blocking}")
    for name in ("changes_sync", "full_sync", "match_variables", "remap"):
        job = definitions.resolve_job_def(name)
        steps = [node.name for node in job.graph.nodes]
        lines.append(f"job {name}: {'one step' if steps == [STEP] else steps}")
        keys = sorted(key.to_user_string() for key in job.asset_layer.executable_asset_keys)
        lines.append("  " + " ".join(keys))
    for schedule in definitions.schedules or []:
        assert isinstance(schedule, dg.ScheduleDefinition)
        lines.append(
            f"schedule {schedule.name}: {schedule.job_name} at {schedule.cron_schedule} "
            f"{schedule.execution_timezone}, {schedule.default_status.value.lower()}"
        )
    for sensor in sorted(definitions.get_repository_def().sensor_defs, key=lambda each: each.name):
        jobs = " ".join(sorted(target.job_name for target in sensor.targets)) or "any job"
        lines.append(
            f"sensor {sensor.name}: {jobs} every {sensor.minimum_interval_seconds} s, "
            f"{sensor.default_status.value.lower()}"
        )
    return "\n".join(lines)


def test_the_asset_graph_is_the_expected_one() -> None:
    assert _described(defs) == GRAPH.strip()


def test_the_definitions_load() -> None:
    """Without a warning, because warnings are errors in these tests."""
    dg.Definitions.validate_loadable(defs)
    dg.Definitions.validate_loadable(build_defs(key_prefix=["crm", "lists"]))


def test_every_asset_has_a_description() -> None:
    graph = defs.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        assert graph.get(key).description, key


def test_no_asset_has_a_backfill_policy() -> None:
    """Without one, a backfill makes a run for each connection; `benchmarks.materialize` makes one."""
    graph = defs.resolve_asset_graph()
    assert {graph.get(key).backfill_policy for key in graph.get_all_asset_keys()} == {None}


def test_dagster_retries_crashes_once_but_never_failures() -> None:
    """As the shipped settings say; the tests of runs show that steps have no retries of their own."""
    shipped = Path(dg.file_relative_path(__file__, "../../wooxy_pipedrive_etl/orchestration/dagster.yaml"))
    with dg.instance_for_test(overrides=yaml.safe_load(shipped.read_text("utf-8"))) as instance:
        assert instance.run_retries_enabled
        assert instance.run_retries_max_retries == 1
        assert not instance.run_retries_retry_on_asset_or_op_failure
        assert not instance.telemetry_enabled
        limits = instance.get_settings("concurrency")["runs"]["tag_concurrency_limits"]
        assert limits == [
            {"key": "dagster/partition", "limit": 1, "value": {"applyLimitPerUniqueValue": True}}
        ]
    for name in ("changes_sync", "full_sync", "match_variables", "remap"):
        job = defs.resolve_job_def(name)
        assert not job._op_retry_policy
        assert all(node.retry_policy is None for node in job.graph.nodes)
