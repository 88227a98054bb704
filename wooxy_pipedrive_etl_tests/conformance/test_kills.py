"""A sync that is killed at any moment and run again ends with the same list.

Only a few kills: `benchmarks/kill_runs.py` makes many more, through Dagster's job.
"""

from __future__ import annotations

import random

from ..databases import Databases
from ..scenario import seeded_account
from .killing import SITUATIONS, kill_and_repair, situations
from .sync_process import writing


def test_the_next_sync_repairs_a_killed_one(databases: Databases) -> None:
    rng = random.Random(databases.name)
    # Two of the four on each database: one dies while it writes the list, one before.
    names = SITUATIONS[databases.name == "SQLite" :: 2]
    with situations(databases, lambda: seeded_account(25), names=names) as (while_writing, before):
        kill_and_repair(while_writing, rng, writing(while_writing.moments))
        kill_and_repair(before, rng, range(writing(before.moments).start))
