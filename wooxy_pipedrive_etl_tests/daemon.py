"""What Dagster's daemon does for the pages, in a thread of the test: repeatedly checks whether `matching_sensor`
requests a run, and runs it in a real instance. The daemon itself takes seconds to start."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from wooxy_pipedrive_etl.definitions import build_defs, defs
from wooxy_pipedrive_etl.orchestration.sensors import matching_sensor
from wooxy_pipedrive_etl_tests.patience import join

# Between two checks; Dagster's own are 5 s apart.
_SECONDS = 0.2


@contextmanager
def running_daemon() -> Iterator[dg.DagsterInstance]:
    """Runs until the end of the block. Errors in the thread are raised there."""
    stop = threading.Event()
    failures: list[Exception] = []
    with dg.instance_for_test() as instance:

        def look() -> None:
            try:
                while not stop.wait(_SECONDS):
                    for request in _tick(instance):
                        _run(request, instance)
            except Exception as error:
                failures.append(error)

        thread = threading.Thread(target=look, name="daemon")
        thread.start()
        try:
            yield instance
        finally:
            stop.set()
            join(thread)
            # Explains a run that never appeared.
            if failures:
                raise failures[0]


def _tick(instance: dg.DagsterInstance) -> list[dg.RunRequest]:
    repository = defs.get_repository_def()
    with (
        dg.partition_loading_context(dynamic_partitions_store=instance),
        dg.build_sensor_context(instance=instance, repository_def=repository) as context,
    ):
        return list(matching_sensor.evaluate_tick(context).run_requests or [])


def _run(request: dg.RunRequest, instance: dg.DagsterInstance) -> None:
    assert request.job_name is not None
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    build_defs().resolve_job_def(request.job_name).execute_in_process(
        instance=instance,
        partition_key=request.partition_key,
        asset_selection=request.asset_selection,
        run_config={**quiet, **request.run_config},
        tags=dict(request.tags),
        raise_on_error=False,
    )
