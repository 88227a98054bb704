"""A sync that is killed at any moment, and run again, ends in the same list (product rules: kinds of run).

`benchmarks/kill_runs.py` does the same many times over, through Dagster's job.
"""

from __future__ import annotations

import random

from ..databases import Databases
from ..scenario import seeded_account
from .killing import kill_and_repair, situations
from .sync_process import writing


def test_the_next_sync_repairs_what_a_killed_one_left(databases: Databases) -> None:
    rng = random.Random(databases.name)
    with situations(databases, lambda: seeded_account(25)) as all_situations:
        for number, situation in enumerate(all_situations):
            # What dies while the list is written on one database, dies before it on the other.
            writes = writing(situation.moments)
            early = (number + (databases.name == "SQLite")) % 2
            kill_and_repair(situation, rng, range(writes.start) if early else writes)
