"""Starts automatic runs: when the database says that something is due, and when a poll of Pipedrive does.

`automation.due` and `automation.polls` decide what is due; here it becomes runs. The sensors that poll Pipedrive are
separate from the one that only reads the database, so that Imports and webhooks do not wait for an answer from
Pipedrive (`sensors: use_threads` in dagster.yaml).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from wooxy_pipedrive_etl.automation import alerts
from wooxy_pipedrive_etl.automation.due import Due, due, schema_due
from wooxy_pipedrive_etl.automation.polls import poll_fields, poll_persons
from wooxy_pipedrive_etl.automation.waiting import Waiting
from wooxy_pipedrive_etl.connections.run_requests import give_up, requested_run
from wooxy_pipedrive_etl.failures import EXPECTED_ERRORS
from wooxy_pipedrive_etl.store import Store, connections, runs
from wooxy_pipedrive_etl.store.connections import ConnectionRecord, UnknownConnection
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.store.locks import is_held
from wooxy_pipedrive_etl.sync.selection import Selection

from .failures import failure_sentence
from .jobs import JOB_NAMES, asset_keys, changes_sync, full_sync, match_variables, remap
from .options import run_config
from .partitions import PARTITION_TAG, keep_in_step
from .started_by import REQUESTED_TAG

# Dagster's own tags; it does not export the names.
RUN_KEY_TAG = "dagster/run_key"
WILL_RETRY_TAG = "dagster/will_retry"
RETRIED_BY_TAG = "dagster/auto_retry_run_id"
# A run in one of these states does what is due, or will. A run that was created but never started is not among them:
# the same run key makes Dagster start it.
_UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
# A run holds its connection's lock from its first seconds to its last. A run that began longer ago than this and does
# not hold it has died with its process or its machine. Dagster would show it as running for ever: it watches only what
# its own process started, or relies on the last state in a queue.
_LOCKED_WITHIN = timedelta(minutes=5)
# Dagster announces at once that it will retry a failed run, and does so some seconds later.
_RETRIED_WITHIN = timedelta(minutes=5)
# Dagster aborts a tick after 60 seconds; a poll may take a few seconds more than 10.
_TICK_SECONDS = 40.0

Look = Callable[[Store, ConnectionRecord, datetime, int], Due | Waiting | None]


@dg.sensor(
    jobs=[changes_sync, full_sync, remap],
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Follows people, Imports, webhooks and what was not applied within seconds; asks Pipedrive nothing.",
)
def matching_sensor(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
    def look(store: Store, record: ConnectionRecord, now: datetime, _: int) -> Due | Waiting | None:
        return _what_died(context.instance, store, record) or due(store, record, now)

    yield from _tick(context, look)


@dg.sensor(
    jobs=[changes_sync],
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks Pipedrive for changed persons, as often as the day's token budget allows.",
)
def changes_sensor(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
    yield from _tick(context, _look_at_persons)


@dg.sensor(
    jobs=[changes_sync, remap, match_variables],
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks Pipedrive for changed fields, options and names of organisations, and has the list follow them.",
)
def schema_sensor(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
    yield from _tick(context, _look_at_fields)


@dg.run_failure_sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells a webhook or an e-mail address that a run failed, if one is configured: once for each failure.",
)
def failure_sensor(context: dg.RunFailureSensorContext) -> dg.SkipReason | None:
    run = context.dagster_run
    name = run.tags.get(PARTITION_TAG)
    if name is None or not alerts.is_anyone_to_be_told():
        return dg.SkipReason(
            "No alert receiver is configured (WOOXY_PIPEDRIVE_ALERT_URL, WOOXY_PIPEDRIVE_ALERT_EMAIL)."
        )
    if run.tags.get(WILL_RETRY_TAG) == "true":
        return dg.SkipReason("Dagster retries this run; only its final result is reported.")
    # A run that failed because of the key is reported, too.
    store = Store.open(any_key=True)
    try:
        text = alerts.failure_text(
            store,
            name,
            run.run_id,
            sentence=failure_sentence(context.failure_event),
            failed_before=_failed_before(context.instance, name, run.run_id),
        )
    except UnknownConnection:
        return dg.SkipReason(f"The connection {name} is gone.")
    finally:
        store.close()
    if text is None:
        return dg.SkipReason("The previous run failed in the same way and was reported then.")
    alerts.send(f"Pipedrive sync of {name} failed", text)
    return None


SENSORS = [matching_sensor, changes_sensor, schema_sensor, failure_sensor]


def _look_at_persons(
    store: Store, record: ConnectionRecord, now: datetime, sharers: int
) -> Due | Waiting | None:
    # If the database says that something is due, no poll is needed; `matching_sensor` starts it.
    if isinstance(due(store, record, now), Due):
        return None
    return poll_persons(store, record, now, sharers)


def _look_at_fields(
    store: Store, record: ConnectionRecord, now: datetime, sharers: int
) -> Due | Waiting | None:
    names = poll_fields(store, record, now, sharers)
    return schema_due(store, record, now) or names


def _tick(context: dg.SensorEvaluationContext, look: Look) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """A run request for each connection that has something due; if there is none, the reason."""
    deadline = time.monotonic() + _TICK_SECONDS
    now = datetime.now(UTC)
    waiting: list[str] = []
    requests = 0
    store = Store.open()
    try:
        with reading(store.engine) as db:
            records = connections.list_connections(db)
        keep_in_step(context.instance, [record.name for record in records])
        asking = [record for record in records if record.state == "active" and not record.paused]
        sharers = Counter(record.company_id for record in asking)
        # Users may also request a run of any other connection.
        looked_at = [record for record in records if record in asking or record.requested_run is not None]
        busy = _under_way(context.instance, store, looked_at)
        for record in sorted(looked_at, key=_last_asked):
            if record.name in busy:
                waiting.append(f"{record.name}: a run is queued or under way.")
                continue
            if time.monotonic() > deadline:
                waiting.append(f"{record.name}: not checked this time; among the first in the next tick.")
                continue
            try:
                found = look(store, record, now, sharers[record.company_id])
            except EXPECTED_ERRORS as error:
                found = Waiting(str(error))
            if isinstance(found, Due):
                requests += 1
                yield _request(context.repository_def, record, found)
            elif found is not None:
                waiting.append(f"{record.name}: {found.reason}")
    finally:
        store.close()
    if not requests:
        yield dg.SkipReason(" ".join(waiting) or "Nothing is due.")


def _request(
    repository: dg.RepositoryDefinition | None, record: ConnectionRecord, found: Due
) -> dg.RunRequest:
    assert repository is not None, "Dagster gives each sensor the repository that it is in."
    selection = None
    if found.dry_run and found.kind != "match":
        selection = asset_keys(repository.asset_graph, Selection.of(found.kind, dry_run=True))
    return dg.RunRequest(
        run_key=found.key,
        job_name=JOB_NAMES[found.kind],
        partition_key=record.name,
        run_config=run_config(
            only_changes=found.kind == "changes",
            draft=found.dry_run,
            allowed=found.permissions,
        ),
        asset_selection=selection,
        tags={"wooxy/because": found.reason, **({REQUESTED_TAG: "true"} if found.requested else {})},
    )


def _what_died(instance: dg.DagsterInstance, store: Store, record: ConnectionRecord) -> Waiting | None:
    """Closes a request whose run ended before it began. Dagster starts no second run with the same key, and what ended
    this one (a lost key, for example) would end the next one too. So the user reads why, and requests it again."""
    request = requested_run(record)
    if request is None:
        return None
    newest = instance.get_runs(filters=dg.RunsFilter(tags={RUN_KEY_TAG: request.key}), limit=1)
    if not newest or not newest[0].is_finished or newest[0].tags.get(WILL_RETRY_TAG) == "true":
        return None
    run_id = newest[0].run_id
    events = (log.dagster_event for log in instance.all_logs(run_id) if log.dagster_event is not None)
    sentence = next((said for said in map(failure_sentence, events) if said is not None), None)
    message = sentence or "The run ended before it began; see it in the Dagster UI, and ask again."
    give_up(store, record.name, request.key, run_id, message)
    return Waiting(message)


def _under_way(instance: dg.DagsterInstance, store: Store, records: Sequence[ConnectionRecord]) -> set[str]:
    """The connections with a run that is queued, running or about to be retried. Ends runs that have died."""
    by_name = {record.name: record for record in records}
    for found in instance.get_run_records(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        record = by_name.get(found.dagster_run.tags.get(PARTITION_TAG, ""))
        if record is not None and _has_died(store, record, found):
            instance.report_run_failed(
                found.dagster_run,
                f"The process of this run has ended: nobody holds the connection {record.name}.",
            )
    runs = [*instance.get_runs(filters=dg.RunsFilter(statuses=_UNDER_WAY)), *_awaiting_retry(instance)]
    return {run.tags.get(PARTITION_TAG, "") for run in runs} & by_name.keys()


def _has_died(store: Store, record: ConnectionRecord, found: dg.RunRecord) -> bool:
    """Whether a run that Dagster shows as running has died, on whatever machine it was."""
    with reading(store.engine) as db:
        if is_held(db, record.id):
            return False
        # Read only now: a run closes its report before it releases the lock, and Dagster hears of its end after that.
        report = runs.get_run(db, record.id, found.dagster_run.run_id)
    if report is not None and report.finished_at is not None:
        alive = report.finished_at.replace(tzinfo=UTC)
    else:
        alive = datetime.fromtimestamp(found.start_time or found.create_timestamp.timestamp(), UTC)
    return datetime.now(UTC) - alive > _LOCKED_WITHIN


def _awaiting_retry(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """Runs that failed a moment ago and that Dagster is about to retry."""
    failed = dg.RunsFilter(
        statuses=[dg.DagsterRunStatus.FAILURE],
        tags={WILL_RETRY_TAG: "true"},
        updated_after=datetime.now(UTC) - _RETRIED_WITHIN,
    )
    return [run for run in instance.get_runs(filters=failed) if not _is_retried(instance, run)]


def _is_retried(instance: dg.DagsterInstance, failed: dg.DagsterRun) -> bool:
    """Whether Dagster's retry has ended."""
    retry_id = failed.tags.get(RETRIED_BY_TAG)
    if retry_id is None:
        return False
    # Between its creation and its queueing, its state does not count as under way.
    retry = instance.get_run_by_id(retry_id)
    return retry is None or retry.is_finished


def _failed_before(instance: dg.DagsterInstance, name: str, run_id: str) -> str | None:
    """The connection's run that ended before this one began, if it failed."""
    runs = instance.get_runs(filters=dg.RunsFilter(tags={PARTITION_TAG: name}), limit=50)
    later = [run.run_id for run in runs]
    if run_id not in later:
        return None
    for run in runs[later.index(run_id) + 1 :]:
        if run.is_finished:
            return run.run_id if run.is_failure else None
    return None


def _last_asked(record: ConnectionRecord) -> datetime:
    """For sorting: the connection polled longest ago comes first."""
    moments = [record.polls.persons_at, record.polls.fields_at]
    return min(moment or datetime.min for moment in moments)
