"""What `benchmarks.distributed` checks from outside: runs in Dagster, locks and sessions in PostgreSQL, and the final
lists."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import dagster as dg
import sqlalchemy as sa

from benchmarks.distributed_hosts import Host
from wooxy_pipedrive_etl.contact_list import ContactList
from wooxy_pipedrive_etl.store import Store, connections, tables
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.store.runs import runs_of

# Ids and times differ between two databases; the rest of the list must be equal.
_OWN = ("contact_id", "createdAt", "updatedAt")
_IDENTIFIERS = ("userId", "email", "phoneNumber")
_TASK_TAG = "dagster-celery/task_id"
_TAKEN = re.compile(r"Task execute_job\[([0-9a-f-]+)\] received")
_WRITTEN = ("created", "updated", "unchanged", "rejected", "duplicates", "conflicts")


@dataclass(frozen=True)
class Contents:
    """One connection's list: its number of contacts, and a digest of its contents."""

    contacts: int
    digest: str


def runs(instance: dg.DagsterInstance) -> list[dg.RunRecord]:
    return list(instance.get_run_records(ascending=True))


def seconds_of(records: list[dg.RunRecord]) -> float:
    """From the request for the first run to the end of the last one."""
    return max(each.end_time or 0.0 for each in records) - min(
        each.create_timestamp.timestamp() for each in records
    )


def taken_by(records: list[dg.RunRecord], workers: list[Host]) -> dict[str, int]:
    """How many of the runs each worker took from the queue, according to its log."""
    tasks = {record.dagster_run.tags.get(_TASK_TAG) for record in records}
    return {host.name: len(tasks & _tasks_of(host)) for host in workers}


def under_way_on(instance: dg.DagsterInstance, host: Host) -> dict[str, str]:
    """The connections, by run id, of the runs that Dagster considers alive on this machine."""
    tasks = _tasks_of(host)
    alive = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED])
    return {
        run.run_id: run.tags["dagster/partition"]
        for run in instance.get_runs(filters=alive)
        if run.tags.get(_TASK_TAG) in tasks
    }


def _tasks_of(host: Host) -> set[str]:
    return set(_TAKEN.findall(host.log.read_text("utf-8", "replace")))


def held_by(store: Store, host: Host) -> set[int]:
    """The ids of the connections whose locks are currently held by runs on this machine."""
    held = sa.text(
        "SELECT objid::bigint FROM pg_locks JOIN pg_stat_activity USING (pid) "
        "WHERE locktype = 'advisory' AND objsubid = 2 AND granted AND datname = current_database() "
        "AND application_name = :name"
    )
    with reading(store.engine) as db:
        return set(db.scalars(held, {"name": host.name}))


def last_step(instance: dg.DagsterInstance, run_id: str) -> str:
    """The last step that the run began."""
    begun = instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_START)
    return str(begun[-1].step_key) if begun else "before its first step"


def ended_at(instance: dg.DagsterInstance, run_id: str) -> float:
    record = instance.get_run_record_by_id(run_id)
    assert record is not None
    assert record.end_time is not None
    return record.end_time


def contents(store: Store) -> dict[str, Contents]:
    """The contents of every connection's list, by name."""
    found = {}
    for record in _connections(store):
        with reading(store.engine) as db:
            contacts = ContactList.of_domain(db, record.domain).read(db)
            lines = sorted(
                json.dumps({name: value for name, value in contact.items() if name not in _OWN})
                for contact in contacts
            )
        found[record.name] = Contents(len(lines), hashlib.sha256("\n".join(lines).encode()).hexdigest())
    return found


def faults(store: Store, instance: dg.DagsterInstance, killed: set[str]) -> Iterator[str]:
    """Everything that is wrong, one sentence each; `killed`: the ids of the runs that died with a worker."""
    yield from _faults_of_runs(instance, killed)
    for record in _connections(store):
        with reading(store.engine) as db:
            contact_list = ContactList.of_domain(db, record.domain)
            contacts = list(contact_list.read(db))
            history = runs_of(db, record.id, 100)
            linked = db.scalar(sa.select(sa.func.count()).where(tables.links.c.connection_id == record.id))
        for identifier in _IDENTIFIERS:
            times = Counter(each[identifier] for each in contacts if each[identifier] is not None)
            doubled = [value for value, number in times.items() if number > 1]
            if doubled:
                yield f"{record.name}: {len(doubled)} values of {identifier} are in the list twice."
        if linked != len(contacts):
            yield f"{record.name}: {len(contacts)} contacts, {linked} of them with a person."
        good = [report for report in history if report.state == "success"]
        if len(good) != 1 or good[0].created != len(contacts):
            yield f"{record.name}: {len(good)} good runs, which is not one that created the contacts."
        for report in good:
            if report.fetched != sum(report.counts[name] for name in _WRITTEN):
                yield f"{record.name}: the counts of run {report.run_id} do not add up."
        open_reports = {report.run_id for report in history if report.finished_at is None}
        if not open_reports <= killed:
            yield f"{record.name}: the reports of {sorted(open_reports - killed)} were never closed."


def _faults_of_runs(instance: dg.DagsterInstance, killed: set[str]) -> Iterator[str]:
    retries = Counter(record.dagster_run.parent_run_id for record in runs(instance))
    for record in runs(instance):
        run = record.dagster_run
        if not run.is_success and run.run_id not in killed:
            yield f"Run {run.run_id} is {run.status.value}."
        if run.run_id in killed and not run.is_failure:
            yield f"The killed run {run.run_id} is {run.status.value}."
        if retries[run.run_id] != (run.run_id in killed):
            yield f"Run {run.run_id} was started again {retries[run.run_id]} times."


def left_behind(store: Store, workers: list[Host]) -> Iterator[str]:
    """Locks and sessions that remain after the workers have ended."""
    left = sa.text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = :name"
    )
    locks = sa.text(
        "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database "
        "WHERE datname = current_database() AND locktype = 'advisory'"
    )
    with reading(store.engine) as db:
        for host in workers:
            sessions = db.scalar(left, {"name": host.name})
            if sessions:
                yield f"{sessions} sessions of {host.name} are left."
        if held := db.scalar(locks):
            yield f"{held} locks are left."


def _connections(store: Store) -> list[connections.ConnectionRecord]:
    with reading(store.engine) as db:
        return connections.list_connections(db)
