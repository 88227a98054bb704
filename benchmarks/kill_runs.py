"""Kills syncs with SIGKILL at random moments, on both databases, and checks that the next sync produces the same list
as an undisturbed one: python -m benchmarks.kill_runs [--kills 30] [--seed 1]

First runs, re-maps, and then full runs and runs of changes of a changed account take turns, through Dagster's job, as
started by the command line and the schedule. It uses its own sandbox and PostgreSQL, and ends only processes that it
started.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wooxy_pipedrive_etl.sandbox.pipedrive import Account, seeded_account
from wooxy_pipedrive_etl_tests.conformance.killing import (
    SITUATIONS,
    Kill,
    Situation,
    kill_and_repair,
    situations,
)
from wooxy_pipedrive_etl_tests.conformance.sync_process import writing
from wooxy_pipedrive_etl_tests.databases import Databases, PostgresDatabases, SqliteDatabases
from wooxy_pipedrive_etl_tests.postgres import started_postgres
from wooxy_pipedrive_etl_tests.scenario import new_token


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30, help="how many in all (default 30)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--persons", type=int, default=60, help="size of the account (default 60)")
    chosen = parser.parse_args()
    # Every situation gets the same number on each database, rounded up.
    each = -(-chosen.kills // (2 * len(SITUATIONS)))
    rng = random.Random(chosen.seed)
    began = time.monotonic()
    print(
        f"{'database':<12}{'killed':<12}{'times':>6}{'while writing':>15}{'committed':>11}{'longest session':>17}"
    )
    with tempfile.TemporaryDirectory(prefix="kill-runs-") as folder, _postgres(Path(folder)) as postgres:
        os.environ |= {
            "WOOXY_PIPEDRIVE_HOME": str(Path(folder) / "home"),
            "DAGSTER_HOME": str(Path(folder) / "dagster"),
        }
        for databases in (SqliteDatabases(Path(folder)), postgres):
            with situations(databases, lambda: _account(chosen.persons, chosen.seed), "dagster") as made:
                for situation in made:
                    _report(situation, _kills(situation, each, rng))
    print(
        f"No list differed from that of an undisturbed sync; seed {chosen.seed}, {time.monotonic() - began:.0f} s."
    )


def _account(persons: int, seed: int) -> Account:
    return seeded_account(persons, seed, token=new_token())


@contextmanager
def _postgres(folder: Path) -> Iterator[Databases]:
    server = started_postgres(folder / "postgres", "stop")
    try:
        yield PostgresDatabases(server.get_uri())
    finally:
        server.cleanup()


def _kills(situation: Situation, count: int, rng: random.Random) -> list[Kill]:
    """Every other kill is while the list is written, the rest at any moment; a sync that ended first does not count."""
    kills: list[Kill] = []
    while len(kills) < count:
        moments = situation.moments
        kill = kill_and_repair(situation, rng, range(len(moments)) if len(kills) % 2 else writing(moments))
        if kill.moment is not None:
            kills.append(kill)
    return kills


def _report(situation: Situation, kills: list[Kill]) -> None:
    writing = sum(kill.writing for kill in kills)
    committed = sum(kill.committed for kill in kills)
    longest = max(kill.wait for kill in kills)
    place = f"{situation.databases.name:<12}{situation.name:<12}"
    print(f"{place}{len(kills):>6}{writing:>15}{committed:>11}{longest:>15.3f} s", flush=True)


if __name__ == "__main__":
    main()
