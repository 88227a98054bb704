"""What runs by the clock."""

import os
from collections.abc import Iterator

import dagster as dg

from wooxy_pipedrive_etl.store import Store, connections
from wooxy_pipedrive_etl.store.database import reading

from .jobs import full_sync
from .partitions import keep_in_step

# Pipedrive's budget of the day is least asked for at night.
NIGHTLY = "30 2 * * *"
TIME_ZONE_VARIABLE = "WOOXY_PIPEDRIVE_TIMEZONE"


@dg.schedule(
    job=full_sync,
    cron_schedule=NIGHTLY,
    execution_timezone=os.environ.get(TIME_ZONE_VARIABLE) or "UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="A full run of every active connection that is not paused.",
)
def nightly_full_sync(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
    store = Store.open()
    with reading(store.engine) as connection:
        records = connections.list_connections(connection)
    store.close()
    keep_in_step(context.instance, [record.name for record in records])
    for record in records:
        if record.state == "active" and not record.paused:
            yield dg.RunRequest(
                run_key=f"{record.name} {context.scheduled_execution_time.isoformat()}",
                partition_key=record.name,
            )
