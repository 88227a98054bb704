"""Times the mapping alone, without database and network: python -m benchmarks.mapping [--persons 10000] [--rounds 5]

The account is that of `benchmarks.run`: 30 custom fields, everything matched. Prints CPU milliseconds for 1,000
persons, the minimum of all rounds, for each step of a run and each kind of variable.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pandas as pd

from benchmarks.servers import TOKEN
from wooxy_pipedrive_etl.mapping.transform import (
    FeedPlan,
    Names,
    feed_column,
    read_batch,
    references,
    transform,
)
from wooxy_pipedrive_etl.sandbox.pipedrive import Limits, large_account
from wooxy_pipedrive_etl.store.catalogue import read_names
from wooxy_pipedrive_etl.store.snapshot import persons_of
from wooxy_pipedrive_etl.sync import catalogue, names, persons
from wooxy_pipedrive_etl.sync.feed import feed_plan_of
from wooxy_pipedrive_etl.sync.memory import without_cycle_search
from wooxy_pipedrive_etl.sync.run import begin
from wooxy_pipedrive_etl.sync.staging import BATCH_SIZE
from wooxy_pipedrive_etl_tests.scenario import connected

T = TypeVar("T")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--persons", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mapping-") as folder:
        os.environ["WOOXY_PIPEDRIVE_HOME"] = folder
        read, plan, known = _account(chosen.persons, Path(folder))
    rounds = []
    with without_cycle_search():
        for _ in range(chosen.rounds):
            times = _Times()
            for start in range(0, len(read), BATCH_SIZE):
                _time_batch(read.iloc[start : start + BATCH_SIZE].reset_index(drop=True), plan, known, times)
            rounds.append(times.taken)
    least = {name: min(each[name] for each in rounds) for name in rounds[0]}
    for name, seconds in least.items():
        print(f"{name:<28} {1e6 * seconds / len(read):8.2f}")


def _account(size: int, folder: Path) -> tuple[pd.DataFrame, FeedPlan, Names]:
    """The account's persons, as `read_batch` takes them, and the plan and names for mapping them."""
    account = large_account(size, token=TOKEN)
    limits = Limits(daily_tokens=None, burst_per_2s=1_000_000)
    with connected(f"sqlite:///{folder / 'bench.db'}", account, limits=limits) as acme:
        acme.import_all()
        with begin(acme.store, acme.name, "mapping") as run:
            catalogue.read_catalogue(run)
            persons.fetch_persons(run)
            feeds = feed_plan_of(run)
            names.read_referenced_names(run, feeds)
            with acme.store.engine.begin() as db:
                read = persons_of(db, run.record.id, range(1, size + 1))
                return read, feeds, read_names(db, run.record.id)


class _Times:
    """CPU seconds by what they were spent on."""

    def __init__(self) -> None:
        self.taken: defaultdict[str, float] = defaultdict(float)

    def time(self, name: str, act: Callable[[], T]) -> T:
        began = time.process_time()
        done = act()
        self.taken[name] += time.process_time() - began
        return done


def _time_batch(batch: pd.DataFrame, plan: FeedPlan, known: Names, times: _Times) -> None:
    naming = FeedPlan(tuple(feed for feed in plan.feeds if feed.kind.is_reference), None)
    referring = times.time("read_batch, for references", lambda: read_batch(batch, naming))
    times.time("references", lambda: references(referring))
    decoded = times.time("read_batch", lambda: read_batch(batch, plan))
    times.time("transform", lambda: transform(decoded, known))
    for feed in plan.feeds:
        kind = f"  {feed.kind.name}{'/part' if feed.part else ''}, {feed.column_type}"
        times.time(kind, lambda feed=feed: feed_column(decoded, feed, known))  # type: ignore[misc]


if __name__ == "__main__":
    main()
