"""A sync that is killed at any moment and run again ends with the same list.

Only a few kills: `benchmarks/kill_runs.py` makes many more, through Dagster's job.
"""

from __future__ import annotations

import random

from ..databases import Databases
from ..scenario import seeded_account
from .killing import kill_and_repair, situations
from .sync_process import writing


def test_the_next_sync_repairs_a_killed_one(databases: Databases) -> None:
    rng = random.Random(databases.name)
    with situations(databases, lambda: seeded_account(25)) as all_situations:
        for number, situation in enumerate(all_situations):
            # Two of the four on each database: one dies while it writes the list, one before.
            if number % 2 == (databases.name == "SQLite"):
                writes = writing(situation.moments)
                kill_and_repair(situation, rng, writes if number < 2 else range(writes.start))
