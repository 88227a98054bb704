"""Times runs of changes beside full ones: python -m benchmarks.changes_run [--persons 100000] [--changed 1000]
[--deleted 50] [--rounds 3] [--database postgresql|sqlite]

After a full first run, some persons get another e-mail address and some are deleted through the sandbox's controls; the
deletions are in the inbox, as a webhook would have put them there. Then come a run of changes, another one, which reads
the edits of the last minute again, and a full run; and, as many persons having been deleted without a word, a full run
that finds that out. As in `full_run`, the sandbox is a process of its own without latency, and everything is matched.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
from pathlib import Path

import httpx
import psutil

from benchmarks.full_run import TOKEN, database, run_steps, sandbox
from wooxy_pipedrive_etl.store import Store, connections, inbox
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.sync import accounts, matching
from wooxy_pipedrive_etl.sync.run import Kind


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--persons", type=int, default=100_000)
    parser.add_argument("--changed", type=int, default=1_000)
    parser.add_argument("--deleted", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=1, help="how often; medians are told")
    parser.add_argument("--database", choices=("postgresql", "sqlite"), default="postgresql")
    chosen = parser.parse_args()
    seconds: dict[str, list[float]] = {}
    for _ in range(chosen.rounds):
        with (
            tempfile.TemporaryDirectory(prefix="changes-run-") as folder,
            sandbox(chosen.persons) as (url, process),
        ):
            os.environ["WOOXY_PIPEDRIVE_HOME"] = folder
            with database(chosen.database, Path(folder)) as (database_url, postgres):
                _round(database_url, url, [process, *postgres], chosen, seconds)
    for name, taken in seconds.items():
        print(f"{name}: median {statistics.median(taken):.1f} s")
    print(f"peak memory of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def _round(
    database_url: str,
    url: str,
    others: list[psutil.Process],
    chosen: argparse.Namespace,
    seconds: dict[str, list[float]],
) -> None:
    store = Store.open(database_url)
    accounts.connect(store, name="bench", domain="bench.example.com", api_url=url, api_token=TOKEN)
    matching.suggest_matching(store, "bench")
    matching.import_matching(store, "bench", matching.export_matching(store, "bench"))

    def run(name: str, kind: Kind) -> None:
        seconds.setdefault(name, []).append(run_steps(store, name, kind, others))

    run("full, the first", "full")
    with reading(store.engine) as connection:
        connection_id = connections.get_connection(connection, "bench").id
    # The last ones go, the others are edited all over the account.
    announced = range(chosen.persons - 2 * chosen.deleted + 1, chosen.persons - chosen.deleted + 1)
    silent = range(chosen.persons - chosen.deleted + 1, chosen.persons + 1)
    step = (chosen.persons - 2 * chosen.deleted) // chosen.changed
    with httpx.Client(base_url=url, timeout=30) as controls:
        for number in range(chosen.changed):
            email = {"value": f"edited.{number}@bench.example.com", "label": "work", "primary": True}
            path = f"/sandbox/persons/{1 + number * step}"
            controls.patch(path, json={"emails": [email]}).raise_for_status()
        for person_id in announced:
            controls.delete(f"/sandbox/persons/{person_id}").raise_for_status()
            inbox.add_event(store.inbox, connection_id, person_id, deleted=True)
        run("changes", "changes")
        run("changes, nothing new", "changes")
        run("full, nothing new", "full")
        for person_id in silent:
            controls.delete(f"/sandbox/persons/{person_id}").raise_for_status()
        run("full, finds deletions", "full")
    store.close()


if __name__ == "__main__":
    main()
