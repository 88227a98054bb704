"""Random histories for as long as you like, beyond the few that the suite plays:

python -m wooxy_pipedrive_etl_tests.conformance.histories [--seconds 60] [--seed 1] [--steps 40] [--shrink] [--postgres]

Prints the number of histories, steps and runs, and shows the first history that does not end as the oracle says. Starts
its own sandbox and, if asked, its own PostgreSQL.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import seed as seeded
from hypothesis.stateful import run_state_machine_as_test

from wooxy_pipedrive_etl.store import Store

from ..databases import Databases, PostgresDatabases, SqliteDatabases, copied
from ..postgres import started_postgres
from ..scenario import isolate
from .history import History

# Between two checks of the clock.
_AT_ONCE = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="begin no more after this (default 60)")
    parser.add_argument("--seed", type=int, default=1, help="of the first histories (default 1)")
    parser.add_argument("--steps", type=int, default=40, help="of a history at most (default 40)")
    parser.add_argument("--shrink", action="store_true", help="make what fails small, which takes minutes")
    parser.add_argument("--postgres", action="store_true", help="on PostgreSQL; else on SQLite")
    chosen = parser.parse_args()
    # The sandbox fails on purpose.
    logging.disable(logging.WARNING)
    made: Counter[str] = Counter()
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="histories-") as folder,
        pytest.MonkeyPatch.context() as patch,
        _databases(Path(folder), postgres=chosen.postgres) as databases,
    ):
        isolate(patch, Path(folder))
        template = databases.new()
        Store.open(template).close()
        machine = type(
            "AnyHistory",
            (History,),
            {"new_database": staticmethod(lambda: copied(databases, template)), "made": made},
        )
        seed = chosen.seed
        try:
            while time.monotonic() - began < chosen.seconds:
                play = seeded(seed)(machine)
                run_state_machine_as_test(
                    play,
                    settings=settings(
                        max_examples=_AT_ONCE,
                        stateful_step_count=chosen.steps,
                        deadline=None,
                        database=None,
                        phases=[Phase.generate, Phase.shrink] if chosen.shrink else [Phase.generate],
                        suppress_health_check=list(HealthCheck),
                    ),
                )
                seed += 1
        finally:
            counted = ", ".join(f"{number} {what}" for what, number in sorted(made.items()))
            print(f"Seeds {chosen.seed} to {seed}: {counted}; {time.monotonic() - began:.0f} s.")


@contextmanager
def _databases(folder: Path, *, postgres: bool) -> Iterator[Databases]:
    if not postgres:
        yield SqliteDatabases(folder)
        return
    server = started_postgres(folder / "postgres", "stop")
    try:
        yield PostgresDatabases(server.get_uri())
    finally:
        server.cleanup()


if __name__ == "__main__":
    main()
