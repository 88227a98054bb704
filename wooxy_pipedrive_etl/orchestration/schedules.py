"""What runs by the clock."""

from collections.abc import Iterator

import dagster as dg

from wooxy_pipedrive_etl.automation import nightly
from wooxy_pipedrive_etl.settings import Settings
from wooxy_pipedrive_etl.store import Store, connections
from wooxy_pipedrive_etl.store.database import reading

from .jobs import full_sync
from .partitions import keep_in_step


@dg.schedule(
    job=full_sync,
    cron_schedule=f"{nightly.MINUTE} {nightly.HOUR} * * *",
    execution_timezone=Settings.current().timezone,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="A full run of every active connection that is not paused.",
)
def nightly_full_sync(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
    store = Store.open()
    with reading(store.engine) as db:
        records = connections.list_connections(db)
    store.close()
    keep_in_step(context.instance, [record.name for record in records])
    for record in records:
        if record.state == "active" and not record.paused:
            yield dg.RunRequest(
                run_key=f"{record.name} {context.scheduled_execution_time.isoformat()}",
                partition_key=record.name,
            )
