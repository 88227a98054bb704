"""Runs whose process died, on this machine or another, are noticed and restarted once. Live runs are left alone."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster._daemon.auto_run_reexecution.auto_run_reexecution import (
    consume_new_runs_for_automatic_reexecution,
)
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import serialize_value

from wooxy_pipedrive_etl.definitions import build_defs
from wooxy_pipedrive_etl.orchestration import sensors
from wooxy_pipedrive_etl.orchestration.options import STEP
from wooxy_pipedrive_etl.orchestration.sensors import matching_sensor
from wooxy_pipedrive_etl.sandbox.pipedrive import Fault
from wooxy_pipedrive_etl.store import tables
from wooxy_pipedrive_etl.sync.run import begin
from wooxy_pipedrive_etl_tests.patience import running, wait_for_end
from wooxy_pipedrive_etl_tests.scenario import Connected, Target, connected, small_account

from .ticks import tick

ROWS: dict[str, Target] = {"emails": "email", "name": "name"}
UNDER_WAY = "acme: a run is queued or under way."
_RETRYING = {"run_retries": {"enabled": True, "max_retries": 1, "retry_on_asset_or_op_failure": False}}
_QUEUED = {"run_coordinator": {"module": "dagster", "class": "QueuedRunCoordinator"}}


@pytest.fixture
def postgres_home(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("WOOXY_PIPEDRIVE_DATABASE_URL", postgres_url)
    return postgres_url


@pytest.fixture
def dagster() -> Iterator[dg.DagsterInstance]:
    """With retries and queued runs, as in the shipped settings."""
    with dg.instance_for_test(overrides={**_RETRYING, **_QUEUED}) as instance:
        yield instance


@contextmanager
def _daemon(instance: dg.DagsterInstance) -> Iterator[WorkspaceProcessContext]:
    """What Dagster's daemon knows of the code, without the daemon's process."""
    origin = InProcessCodeLocationOrigin(
        LoadableTargetOrigin(executable_path=sys.executable, module_name="wooxy_pipedrive_etl.definitions")
    )
    with WorkspaceProcessContext(instance, InProcessWorkspaceLoadTarget(origin)) as workspace:
        yield workspace


def _started(workspace: WorkspaceProcessContext) -> dg.DagsterRun:
    """A full run, as the daemon creates it for a worker."""
    (location,) = workspace.create_request_context().code_locations
    (repository,) = location.get_repositories().values()
    job = repository.get_full_job("full_sync")
    return workspace.instance.create_run_for_job(
        build_defs().resolve_job_def("full_sync"),
        tags={**job.tags, "dagster/partition": "acme", "dagster/schedule_name": "nightly_full_sync"},
        remote_job_origin=job.get_remote_origin(),
        job_code_origin=job.get_python_origin(),
    )


def _killed_while_it_reads_persons(acme: Connected, run: dg.DagsterRun, instance: dg.DagsterInstance) -> None:
    """Killed in a separate process, as a worker runs it."""
    assert run.job_code_origin is not None
    arguments = ExecuteRunArgs(run.job_code_origin, run.run_id, instance.get_ref())
    with running(
        [sys.executable, "-m", "dagster", "api", "execute_run", serialize_value(arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        kill = Fault("on_page", "/api/v2/persons", on_page=lambda _: os.kill(process.pid, signal.SIGKILL))
        acme.server.faults.add(kill)
        wait_for_end(process)
    assert process.returncode == -signal.SIGKILL


def _failed(instance: dg.DagsterInstance) -> list[dg.RunRecord]:
    return list(instance.get_run_records(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE])))


def _status(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRunStatus:
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found.status


# Dagster causes this warning itself when it describes the schedule to the daemon.
@pytest.mark.filterwarnings("ignore:Property `ScheduleDefinition.environment_vars`:DeprecationWarning")
def test_a_killed_run_is_restarted_once(
    postgres_home: str, dagster: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dagster restarts the whole run, because a run is one step."""
    with connected(postgres_home, small_account()) as acme, _daemon(dagster) as workspace:
        acme.import_rows(ROWS)
        dagster.add_dynamic_partitions("connection", ["acme"])
        run = _started(workspace)
        _killed_while_it_reads_persons(acme, run, dagster)
        assert _status(dagster, run) is dg.DagsterRunStatus.STARTED
        assert tick(matching_sensor, dagster) == ([], UNDER_WAY)

        monkeypatch.setattr(sensors, "_LOCKED_WITHIN", timedelta(0))
        # The sensor ends the run and leaves the restart to Dagster.
        assert tick(matching_sensor, dagster) == ([], UNDER_WAY)
        for _ in range(2):
            list(consume_new_runs_for_automatic_reexecution(workspace, _failed(dagster), logging.getLogger()))
        (again,) = dagster.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED]))
        assert (again.parent_run_id, again.tags["dagster/partition"]) == (run.run_id, "acme")
        assert again.step_keys_to_execute == [STEP]
        assert tick(matching_sensor, dagster) == ([], UNDER_WAY)

        # Whatever happens to that run, the connection is free after it.
        dagster.report_run_canceled(again)
        _, why = tick(matching_sensor, dagster)
        assert str(why).startswith("acme: The last run failed; the next one starts automatically at ")


def test_a_finished_run_is_not_declared_dead(
    home: str, dagster: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the last write to our database and the last event to Dagster, nobody holds the connection's lock."""
    with connected(home, small_account()) as acme:
        acme.import_rows(ROWS)
        run = dagster.create_run_for_job(
            build_defs().resolve_job_def("full_sync"),
            tags={"dagster/partition": "acme"},
            status=dg.DagsterRunStatus.STARTED,
        )
        monkeypatch.setattr(sensors, "_LOCKED_WITHIN", timedelta(0))
        with begin(acme.store, "acme", run.run_id) as held:
            held.finish("failed", "It could not.")
        now = datetime.now(UTC).replace(tzinfo=None)
        _close_report(acme, now + timedelta(hours=1))
        assert tick(matching_sensor, dagster) == ([], UNDER_WAY)
        assert _status(dagster, run) is dg.DagsterRunStatus.STARTED
        # Dagster never learned that it ended.
        _close_report(acme, now - timedelta(hours=1))
        tick(matching_sensor, dagster)
        assert _status(dagster, run) is dg.DagsterRunStatus.FAILURE


def _close_report(acme: Connected, moment: datetime) -> None:
    with acme.store.engine.begin() as db:
        db.execute(tables.runs.update().values(finished_at=moment))
