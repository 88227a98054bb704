"""One tick of a sensor in a real Dagster instance."""

from __future__ import annotations

import dagster as dg

from wooxy_pipedrive_etl.definitions import defs


def tick(sensor: dg.SensorDefinition, instance: dg.DagsterInstance) -> tuple[list[dg.RunRequest], str | None]:
    """The run requests of a tick, and the reason if there is none."""
    repository = defs.get_repository_def()
    with (
        dg.partition_loading_context(dynamic_partitions_store=instance),
        dg.build_sensor_context(instance=instance, repository_def=repository) as context,
    ):
        data = sensor.evaluate_tick(context)
    return list(data.run_requests or []), data.skip_message
