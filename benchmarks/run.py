"""Compares the product with others: python -m benchmarks.run [CASE …] [--persons 100000 …] [--rounds 3]
[--database postgresql sqlite] [--latency-ms 0] [--json FILE] [--list]

Prints the medians of rounds in which all contestants take turns, and the goals with their figures. docs/benchmarks.md
describes the cases and has results.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.cases import CASES, WALK_LATENCY_MS, set_latency
from benchmarks.measuring import Figures, World, in_own_process
from benchmarks.product import run as run_product
from benchmarks.results import Results, as_json, goals, steps, table
from benchmarks.servers import database, sandbox

DATABASES = ("postgresql", "sqlite")


def main(arguments: list[str] | None = None) -> None:
    parser = _parser()
    chosen = parser.parse_args(arguments)
    unknown = [name for name in chosen.cases if name not in CASES]
    if unknown:
        parser.error(f"There is no case {unknown[0]}; there are {', '.join(CASES)}.")
    if chosen.list:
        for name, case in CASES.items():
            print(f"{name:<10}{case.what}")
        return
    state = _state(chosen.rounds)
    figures: list[Figures] = []
    try:
        for round_number in range(1, chosen.rounds + 1):
            for persons in chosen.persons:
                for kind in chosen.database:
                    for each in _round(chosen, persons, kind):
                        figures.append(each)
                        print(
                            f"round {round_number}: {each.case}, {each.database}, {each.contestant}, "
                            f"{each.persons:,} persons: {each.seconds:.2f} s",
                            file=sys.stderr,
                            flush=True,
                        )
    finally:
        # Even if something failed or the user interrupted it.
        if figures:
            _tell(figures, state, chosen.json)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="all, unless named")
    parser.add_argument("--persons", type=int, nargs="+", default=[100_000], help="sizes of the account")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--database", nargs="+", choices=DATABASES, default=DATABASES)
    parser.add_argument(
        "--latency-ms",
        type=int,
        choices=(0, WALK_LATENCY_MS),
        default=0,
        help="of each answer of the account, with the limits of a plan; the walk always has that",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write all figures")
    parser.add_argument("--list", action="store_true", help="say what the cases are")
    return parser


def _round(chosen: argparse.Namespace, persons: int, kind: str) -> Iterator[Figures]:
    """Every chosen case once, with a new account and a new database."""
    with (
        tempfile.TemporaryDirectory(prefix="benchmark-") as folder,
        sandbox(persons) as (url, sandbox_pid),
        database(kind, Path(folder)) as (database_url, database_pid),
    ):
        world = World(url, sandbox_pid, kind, database_url, database_pid, persons, chosen.latency_ms, folder)
        set_latency(world, chosen.latency_ms)
        cases = chosen.cases or list(CASES)
        if "first" not in cases:
            # All other cases need it.
            in_own_process(run_product, world, "first", "full")
        for name, case in CASES.items():
            if name in cases:
                yield from case.measure(world)


def _tell(figures: list[Figures], state: dict[str, Any], file: Path | None) -> None:
    results = Results(figures)
    if file is not None:
        file.write_text(json.dumps(as_json(figures, results, state), indent=1) + "\n", encoding="utf-8")
    print(", ".join(f"{name} {value}" for name, value in state.items()))
    for part in (table(results), steps(results), goals(results)):
        print()
        print("\n".join(part))


def _state(rounds: int) -> dict[str, Any]:
    """The conditions of the measurement: commit, machine, versions."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    versions = {}
    for name in ("dlt", "SQLAlchemy", "sqlite-utils", "psycopg"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "commit": commit.stdout.strip() or "unknown",
        "rounds": rounds,
        "Python": platform.python_version(),
        "cores": os.cpu_count(),
        "load at the beginning": round(os.getloadavg()[0], 1),
        **versions,
    }


if __name__ == "__main__":
    main()
