"""Syncs many accounts on several workers, one of which is killed: python -m benchmarks.distributed
[--connections 20] [--persons 5000] [--workers 2] [--runs-a-worker 2] [--no-kill] [--restart] [--seed 1]

This machine simulates several: PostgreSQL for the lists and for Dagster's storage, Redis as the queue, one Dagster
daemon, Celery workers with their own home folders, and a sandbox for each account. Every connection is new and has its
matching imported, so the daemon's sensor automatically requests a full run of each, as after an Import.

There are up to three passes: with one worker alone, with all workers, and with all workers while the last one is killed
(SIGKILL, with all its processes) in the middle of its runs. With --restart, the killed worker starts again at once,
otherwise not at all. Dagster notices its dead runs about five minutes after they began. After each pass, every list is
compared with that of the pass with one worker, and everything is checked: duplicate identifiers, counts, runs, locks,
sessions.

Needs the extra `test` and the program redis-server (Debian: apt-get install redis-server). Stops everything it started,
even on Ctrl+C. The exit code is 1 if anything was wrong.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import psycopg
from cryptography.fernet import Fernet

from benchmarks import distributed_looks as looks
from benchmarks.distributed_hosts import Host, Process, daemon, queue, running, wait_until, worker
from benchmarks.distributed_looks import Contents
from benchmarks.servers import database, sandboxes
from wooxy_pipedrive_etl.connections import accounts
from wooxy_pipedrive_etl.matching import view
from wooxy_pipedrive_etl.store import Store, connections
from wooxy_pipedrive_etl.store.database import reading

# For all runs of one pass, including those found dead and retried.
_LONGEST_PASS = 1800.0
# Sensors tick every 5 seconds, so by then any run that they wrongly start after the last one has appeared.
_STILL_SECONDS = 15.0
_PAUSE = 0.1


@dataclass(frozen=True)
class Killed:
    """A run that died with the worker: its step, and how many seconds after the kill Dagster marked it as failed and
    its retry ended."""

    connection: str
    run_id: str
    step: str
    noticed: float
    made_up_for: float


@dataclass(frozen=True)
class Cut:
    """What the kill hit. `runs`: the connections by the ids of their runs; `moment`: the clock time of the kill;
    `freed`: how many seconds later PostgreSQL had released their locks."""

    runs: dict[str, str] = field(default_factory=dict)
    moment: float = 0.0
    freed: float = 0.0


@dataclass
class Outcome:
    """The result of one pass. `seconds`: from the request for the first run to the end of the last one; `taken`: how
    many runs each worker took; `freed`: as in `Cut`."""

    name: str
    seconds: float
    taken: dict[str, int]
    contents: dict[str, Contents]
    faults: list[str]
    killed: list[Killed] = field(default_factory=list)
    freed: float = 0.0

    def print(self) -> None:
        shares = ", ".join(f"{name} took {runs}" for name, runs in self.taken.items())
        print(f"{self.name}: {self.seconds:.0f} s; {shares} runs", flush=True)
        if self.killed:
            print(
                f"  its {len(self.killed)} runs were cut off; their locks were free {self.freed:.1f} s later"
            )
        for each in self.killed:
            print(
                f"  {each.connection} in {each.step}: taken for failed after {each.noticed:.0f} s, "
                f"run again by {each.made_up_for:.0f} s"
            )
        contacts = [each.contacts for each in self.contents.values()]
        print(f"  {len(contacts)} lists, {sum(contacts)} contacts; wrong: {len(self.faults) or 'nothing'}")
        for fault in self.faults:
            print(f"    {fault}", flush=True)


@dataclass(frozen=True)
class Place:
    """What all passes share: a folder, the PostgreSQL server's URI, the queue's URL and the accounts (URL, token)."""

    folder: Path
    postgres: str
    queue: str
    accounts: Sequence[tuple[str, str]]


def main() -> None:
    chosen = _parser().parse_args()
    # Servers and workers must not outlive an interrupted benchmark.
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda *_: sys.exit("Stopped before the end."))
    # All machines share one key.
    os.environ["WOOXY_PIPEDRIVE_KEY"] = Fernet.generate_key().decode()
    with (
        tempfile.TemporaryDirectory(prefix="distributed-") as folder,
        database("postgresql", Path(folder)) as (postgres, _),
        queue(Path(folder) / "redis") as queue_url,
        sandboxes(chosen.persons, chosen.connections) as made,
    ):
        place = Place(Path(folder), postgres, queue_url, made)
        outcomes = list(_passes(place, chosen))
    sys.exit(1 if any(outcome.faults for outcome in outcomes) else 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--persons", type=int, default=5000, help="of each account (default 5000)")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--runs-a-worker", type=int, default=2, help="at once (default 2)")
    parser.add_argument(
        "--no-kill", action="store_true", help="leave out the pass in which a worker is killed"
    )
    parser.add_argument("--restart", action="store_true", help="start the killed worker again at once")
    parser.add_argument("--seed", type=int, default=1, help="draws the moment of the kill")
    return parser


def _passes(place: Place, chosen: argparse.Namespace) -> Iterator[Outcome]:
    rng = random.Random(chosen.seed)
    alone = _pass(place, "one worker alone", 1, chosen.runs_a_worker)
    alone.print()
    yield alone
    names = [f"{chosen.workers} workers"]
    if not chosen.no_kill:
        names.append(f"{names[0]}, one killed{' and started again at once' if chosen.restart else ''}")
    for name, moments in zip(names, (None, rng), strict=False):
        outcome = _pass(place, name, chosen.workers, chosen.runs_a_worker, moments, restart=chosen.restart)
        outcome.faults += [
            f"{connection}: the list is another one than without workers beside it."
            for connection in alone.contents
            if outcome.contents.get(connection) != alone.contents[connection]
        ]
        outcome.print()
        yield outcome


def _pass(
    place: Place,
    name: str,
    workers: int,
    runs_a_worker: int,
    kill: random.Random | None = None,
    *,
    restart: bool = False,
) -> Outcome:
    """Takes all connections from their Import to their lists, in new databases. `kill` draws the moment at which the
    last worker is killed; with None, no worker is."""
    with ExitStack() as started:
        folder = Path(started.enter_context(tempfile.TemporaryDirectory(dir=place.folder)))
        shared = _environment(place, folder.name)
        store = Store.open(shared["WOOXY_PIPEDRIVE_DATABASE_URL"])
        started.callback(store.close)
        _connect(store, place.accounts)
        main_host = Host.new("daemon", folder, shared)
        hosts = [Host.new(f"worker-{number}", folder, shared) for number in range(1, workers + 1)]
        instance = started.enter_context(_instance(main_host))
        working = started.enter_context(ExitStack())
        processes = [working.enter_context(running(worker(host, runs_a_worker))) for host in hosts]
        for process in processes:
            process.wait_for_log(" ready.")
        started.enter_context(running(daemon(main_host)))
        cut = Cut()
        if kill is not None:
            cut = _kill(store, instance, processes[-1], runs_a_worker, kill)
            if restart:
                working.enter_context(running(worker(hosts[-1], runs_a_worker)))
        _wait_for_all(store, instance)
        records = looks.runs(instance)
        faults = list(looks.faults(store, instance, set(cut.runs)))
        working.close()
        faults += looks.left_behind(store, hosts)
        killed = [
            Killed(
                connection,
                run_id,
                looks.last_step(instance, run_id),
                looks.ended_at(instance, run_id) - cut.moment,
                max(record.end_time or 0.0 for record in records if _root(record) == run_id) - cut.moment,
            )
            for run_id, connection in cut.runs.items()
        ]
        return Outcome(
            name,
            looks.seconds_of(records),
            looks.taken_by(records, hosts),
            looks.contents(store),
            faults,
            killed,
            cut.freed,
        )


def _environment(place: Place, name: str) -> dict[str, str]:
    """Creates two databases; returns the environment that all machines share, with these and the queue."""
    urls = {}
    with psycopg.connect(place.postgres, autocommit=True) as db:
        for purpose in ("list", "dagster"):
            made = f"{purpose}_{name}"
            db.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(made)))
            urls[purpose] = place.postgres.replace("/postgres?", f"/{made}?")
    return {
        "WOOXY_PIPEDRIVE_DATABASE_URL": urls["list"],
        # dagster-postgres needs this driver, which is not the default of SQLAlchemy 2.1.
        "DAGSTER_POSTGRES_URL": urls["dagster"].replace("postgresql://", "postgresql+psycopg2://"),
        "CELERY_BROKER_URL": f"{place.queue}/0",
        "CELERY_RESULT_BACKEND": f"{place.queue}/1",
    }


def _connect(store: Store, made: Sequence[tuple[str, str]]) -> None:
    """Creates a connection to each account, with all suggestions imported."""
    for number, (url, token) in enumerate(made, start=1):
        name = f"account-{number:02}"
        accounts.connect(store, name=name, domain=f"{name}.example.com", api_url=url, api_token=token)
        view.suggest_matching(store, name)
        view.import_matching(store, name, view.export_matching(store, name))


@contextmanager
def _instance(host: Host) -> Iterator[dg.DagsterInstance]:
    """Dagster's storage, from the machine's settings."""
    os.environ |= host.environment
    with dg.DagsterInstance.get() as instance:
        yield instance


def _kill(
    store: Store, instance: dg.DagsterInstance, victim: Process, at_once: int, moments: random.Random
) -> Cut:
    """Kills the worker once a quarter of the runs have ended and it is busy with as many runs as it takes at once."""
    connections_count = len(_names(store))

    def is_in_the_middle() -> bool:
        ended = instance.get_runs_count(dg.RunsFilter(statuses=[dg.DagsterRunStatus.SUCCESS]))
        return ended >= connections_count / 4 and len(looks.held_by(store, victim.host)) == at_once

    def is_let_go() -> bool:
        return not looks.held_by(store, victim.host)

    wait_until(is_in_the_middle, "The worker is not in the middle of anything", _LONGEST_PASS, _PAUSE)
    time.sleep(moments.uniform(0, 1))
    wait_until(is_in_the_middle, "The worker is not in the middle of anything", _LONGEST_PASS, _PAUSE)
    victim.kill()
    moment = time.time()
    wait_until(is_let_go, "PostgreSQL holds locks of the killed worker", pause=_PAUSE)
    return Cut(looks.under_way_on(instance, victim.host), moment, time.time() - moment)


def _wait_for_all(store: Store, instance: dg.DagsterInstance) -> None:
    """Waits until every connection has had a good run, and nothing else has started for some time."""
    names = _names(store)
    still_since = time.monotonic()

    def is_done() -> bool:
        nonlocal still_since
        found = [record.dagster_run for record in looks.runs(instance)]
        good = {run.tags["dagster/partition"] for run in found if run.is_success}
        if good != names or not all(run.is_finished for run in found):
            still_since = time.monotonic()
        return time.monotonic() - still_since > _STILL_SECONDS

    wait_until(is_done, "Not every connection has had a good run", _LONGEST_PASS, 1.0)


def _names(store: Store) -> set[str]:
    with reading(store.engine) as db:
        return {record.name for record in connections.list_connections(db)}


def _root(record: dg.RunRecord) -> str:
    return record.dagster_run.root_run_id or record.dagster_run.run_id


if __name__ == "__main__":
    main()
