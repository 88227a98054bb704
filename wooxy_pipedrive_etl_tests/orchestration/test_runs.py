"""Runs as Dagster sees them: what they report to the UI, what stops them, what they do not retry."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest

from wooxy_pipedrive_etl.connections import accounts, settings
from wooxy_pipedrive_etl.definitions import build_defs, defs
from wooxy_pipedrive_etl.errors import SyncError
from wooxy_pipedrive_etl.orchestration.launch import run_sync
from wooxy_pipedrive_etl.orchestration.partitions import keep_in_step
from wooxy_pipedrive_etl.orchestration.schedules import nightly_full_sync
from wooxy_pipedrive_etl.orchestration.sensors import changes_sensor, matching_sensor, schema_sensor
from wooxy_pipedrive_etl.sandbox.pipedrive import Fault
from wooxy_pipedrive_etl.settings import KEY_VARIABLE
from wooxy_pipedrive_etl.store.keys import OTHER_KEY, OtherKey
from wooxy_pipedrive_etl.sync.run import begin
from wooxy_pipedrive_etl_tests.scenario import Connected, Target, connected, seeded_account, small_account

ROWS: dict[str, Target] = {"emails": "email", "name": "name", "colour": "shade", "city": "town"}


def _run(acme: Connected, instance: dg.DagsterInstance, job: str = "full_sync") -> dg.ExecuteInProcessResult:
    keep_in_step(instance, [acme.name])
    url = acme.store.engine.url.render_as_string(hide_password=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WOOXY_PIPEDRIVE_DATABASE_URL", url)
        return (
            build_defs()
            .resolve_job_def(job)
            .execute_in_process(
                instance=instance,
                partition_key=acme.name,
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                raise_on_error=False,
            )
        )


def _metadata(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    (event,) = [
        each for each in result.get_asset_materialization_events() if each.asset_key == dg.AssetKey(asset)
    ]
    assert event.partition == "acme"
    return {
        name: value.records if isinstance(value, dg.TableMetadataValue) else value.value
        for name, value in event.materialization.metadata.items()
    }


def test_what_a_run_reports(database_url: str, instance: dg.DagsterInstance) -> None:
    with connected(database_url, small_account(3)) as acme:
        acme.account.create_person(name="Nobody")
        acme.import_rows(ROWS)
        result = _run(acme, instance)
        assert result.success
        record = instance.get_run_by_id(result.run_id)
        assert record is not None
        assert record.tags["dagster/partition"] == "acme"
        assert acme.last_run().run_id == result.run_id

        walk = _metadata(result, "pipedrive_persons")
        assert (walk["dagster/row_count"], walk["changed"], walk["gone"], walk["odd"]) == (4, 1, 0, 0)
        # The account, the fields and the single page of persons.
        assert walk["requests"] == 3
        assert walk["tokens_used"] > 20
        assert walk["daily_tokens_left"] == acme.status().daily_tokens_left

        matches = _metadata(result, "variable_matches")
        assert (matches["green"], matches["red"]) == (4, 0)
        rows = {table_row.data["key"]: table_row.data for table_row in matches["match_variables"]}
        assert rows["city"] | {"preview": None} == {
            "status": "🟢 green",
            "variable": "City",
            "preview": None,
            "wooxy_column": "town",
            "format": "String",
            "why": None,
            "key": "city",
        }
        assert rows["city"]["preview"] in {"City 1", "City 2", "City 3"}
        assert rows["note"]["status"] == "⚪ gray"

        plan = _metadata(result, "contact_plan")
        assert {plan[name] for name in ("created", "contacts_before", "rejected")} == {3, 0, 1}
        (reason,) = [row.data for row in plan["issues_by_reason"]]
        assert reason == {"kind": "rejected", "reason": "no_identifier", "count": 1}
        sample = {row.data["person_id"]: row.data["action"] for row in plan["sample"]}
        assert sample == {1: "create", 2: "create", 3: "create", 4: "rejected"}

        listed = _metadata(result, "default_contact_list")
        assert listed["dagster/row_count"] == listed["created"] == 3
        assert listed["dagster/table_name"] == acme.status().list_table
        columns = {column.name: column.type for column in listed["dagster/column_schema"].columns}
        assert list(columns)[:3] == ["contact_id", "userId", "email"]
        assert (columns["town"], columns["active"], columns["createdAt"]) == ("text", "flag", "datetime")
        lineage = listed["dagster/column_lineage"].deps_by_column
        assert {wooxy: deps[0].column_name for wooxy, deps in lineage.items()} == {
            wooxy: key for key, wooxy in ROWS.items()
        }
        assert {dep.asset_key.to_user_string() for deps in lineage.values() for dep in deps} == {
            "person_fields"
        }
        for check in result.get_asset_check_evaluations():
            assert check.passed


def test_field_changes_are_counted(sqlite_url: str, instance: dg.DagsterInstance) -> None:
    with connected(sqlite_url, small_account(1)) as acme:
        acme.import_rows(ROWS)
        acme.account.add_field("Size", "varchar", code="size")
        acme.account.delete_field("city")
        result = _run(acme, instance)
        fields, matches = _metadata(result, "person_fields"), _metadata(result, "variable_matches")
        assert {name: fields[name] for name in fields if name.endswith(("_fields", "_changes"))} == {
            "schema_changes": 2,
            "new_fields": 1,
            "gone_fields": 1,
            "retyped_fields": 0,
        }
        assert (matches["new"], matches["red"]) == (1, 1)


def test_a_re_map_reads_no_persons(sqlite_url: str, instance: dg.DagsterInstance) -> None:
    with connected(sqlite_url, seeded_account(20), default_region="FI") as acme:
        acme.import_all()
        assert _run(acme, instance).success
        acme.server.clear_requests()
        result = _run(acme, instance, "remap")
        assert result.success
        assert acme.requests("/api/v2/persons") == []
        assert (acme.last_run().kind, acme.last_run().updated) == ("re-map", 0)


@pytest.mark.parametrize("job", ["full_sync", "remap"])
def test_run_costs_are_plottable_numbers(sqlite_url: str, instance: dg.DagsterInstance, job: str) -> None:
    with connected(sqlite_url, small_account()) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        listed = _metadata(_run(acme, instance, job), "default_contact_list")
        last = acme.last_run()
        assert last.kind == ("full" if job == "full_sync" else "re-map")
        assert {
            name: listed[name]
            for name in (
                "requests",
                "estimated_tokens",
                "tokens_used",
                "daily_tokens_left",
                "daily_token_limit",
            )
        } == {
            "requests": 3 if job == "full_sync" else 2,
            "estimated_tokens": 32 if job == "full_sync" else 12,
            "tokens_used": 22 if job == "full_sync" else 12,
            "daily_tokens_left": last.tokens_left,
            "daily_token_limit": 150_000,
        }


def test_a_blocking_check_stops_the_write(database_url: str, instance: dg.DagsterInstance) -> None:
    with connected(database_url, small_account(30)) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        for person_id in range(1, 26):
            acme.account.hide_person(person_id)
        before = acme.dump()
        result = _run(acme, instance)
        assert not result.success
        written = [str(event.asset_key) for event in result.get_asset_materialization_events()]
        assert str(dg.AssetKey("contact_plan")) in written
        assert str(dg.AssetKey("default_contact_list")) not in written
        failed = [check for check in result.get_asset_check_evaluations() if not check.passed]
        assert [check.check_name for check in failed] == ["no_mass_deletion"]
        assert str(failed[0].description).startswith("25 of the 30 contacts would be deleted at once")
        assert acme.dump() == before
        last = acme.last_run()
        assert (last.state, last.message) == ("failed", failed[0].description)


@pytest.mark.parametrize("fault", ["unauthorized_401", "html_403", "status", "daily_429"])
def test_a_failure_is_reported_once_and_not_retried(
    sqlite_url: str, instance: dg.DagsterInstance, fault: Any
) -> None:
    with connected(sqlite_url, small_account()) as acme:
        acme.import_rows(ROWS)
        acme.server.clear_requests()
        acme.server.faults.add(Fault(fault, "/api/v2/persons", times=None))
        result = _run(acme, instance)
        assert not result.success
        kinds = [event.event_type for event in result.all_events]
        assert kinds.count(dg.DagsterEventType.STEP_FAILURE) == 1
        assert dg.DagsterEventType.STEP_UP_FOR_RETRY not in kinds
        assert len(acme.requests("/api/v2/persons")) == (6 if fault == "status" else 1)
        (failure,) = [event for event in result.all_events if event.is_step_failure]
        told = failure.step_failure_data.user_failure_data
        assert told is not None
        assert told.description == acme.last_run().message
        assert acme.account.token not in str(result.all_events)


def test_a_second_run_is_refused(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WOOXY_PIPEDRIVE_DATABASE_URL", sqlite_url)
    with connected(sqlite_url, small_account()) as acme:
        acme.import_rows(ROWS)
        with (
            begin(acme.store, acme.name, "first"),
            pytest.raises(SyncError, match=r"^Another run of the connection acme is at work; wait"),
        ):
            run_sync(acme.store, acme.name)


def test_unreadable_credentials_fail_with_a_clear_message(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fails before the first step, and so before there is a report."""
    monkeypatch.setenv("WOOXY_PIPEDRIVE_DATABASE_URL", sqlite_url)
    with connected(sqlite_url, small_account()) as acme:
        acme.import_rows(ROWS)
        monkeypatch.setenv("WOOXY_PIPEDRIVE_KEY", "A" * 43 + "=")
        with pytest.raises(SyncError, match=r"^The stored credentials can't be read with this key"):
            run_sync(acme.store, acme.name)


def test_database_errors_are_reported_without_values(database_url: str, instance: dg.DagsterInstance) -> None:
    with connected(database_url, small_account()) as acme:
        acme.import_rows(ROWS)
        acme.forbid_touching()
        result = _run(acme, instance)
        assert not result.success
        message = str(acme.last_run().message)
        assert message.startswith("The list's database has a trigger that refused a change (")
        told = str([event for event in result.all_events if event.is_failure])
        for value in ("Person 1", "person1@example.com", "City 1"):
            assert value not in told
        assert acme.contacts() == []


def test_the_schedule_runs_active_connections_and_syncs_partitions(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WOOXY_PIPEDRIVE_DATABASE_URL", database_url)
    night = datetime(2026, 3, 2, 2, 30, tzinfo=UTC)

    def tick() -> list[dg.RunRequest]:
        context = dg.build_schedule_context(
            instance=instance, scheduled_execution_time=night, repository_def=defs.get_repository_def()
        )
        return list(nightly_full_sync.evaluate_tick(context).run_requests or [])

    with (
        dg.instance_for_test() as instance,
        connected(database_url, small_account(1)) as acme,
        connected(database_url, small_account(1), name="draft", domain="draft.example.com"),
        connected(database_url, small_account(1), name="let-go", domain="let-go.example.com") as let_go,
    ):
        instance.add_dynamic_partitions("connection", ["long gone"])
        assert tick() == []
        assert set(instance.get_dynamic_partitions("connection")) == {"acme", "draft", "let-go"}
        acme.import_rows(ROWS)
        let_go.import_rows(ROWS)
        accounts.disconnect(acme.store, "let-go", forget=False)
        (request,) = tick()
        assert request.partition_key == "acme"
        settings.pause(acme.store, "acme")
        assert tick() == []
        settings.resume(acme.store, "acme")
        # A night's run is launched only once, whoever requests it.
        assert [each.run_key for each in tick()] == [request.run_key]
        accounts.disconnect(acme.store, "let-go", forget=True)
        tick()
        assert set(instance.get_dynamic_partitions("connection")) == {"acme", "draft"}


def test_a_run_without_connection_asks_for_one(instance: dg.DagsterInstance) -> None:
    job = build_defs().resolve_job_def("full_sync")
    result = job.execute_in_process(instance=instance, raise_on_error=False)
    assert not result.success
    assert "Choose one connection" in str(result.all_events)


def test_runs_and_ticks_refuse_another_key(
    sqlite_url: str, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connected(sqlite_url, small_account(2)) as acme:
        acme.import_rows({**ROWS, "phones": "phoneNumber"})
        acme.sync()
        acme.execute('UPDATE {list} SET "smsSubscribe" = false')
        acme.sync()
        before = acme.dump()
        monkeypatch.setenv(KEY_VARIABLE, "A" * 43 + "=")
        monkeypatch.setenv("WOOXY_PIPEDRIVE_DATABASE_URL", sqlite_url)
        result = _run(acme, instance)
        assert not result.success
        (failure,) = [event for event in result.all_events if event.is_step_failure]
        assert OTHER_KEY in str(failure.event_specific_data)
        context = dg.build_schedule_context(instance=instance, scheduled_execution_time=datetime.now(UTC))
        with pytest.raises(OtherKey):
            list(nightly_full_sync(context))  # type: ignore[arg-type]
        for sensor in (matching_sensor, changes_sensor, schema_sensor):
            with pytest.raises(OtherKey), dg.build_sensor_context(instance) as tick:
                list(sensor(tick))  # type: ignore[arg-type]
        assert acme.dump() == before
