"""Measures how long `wooxy-pipedrive` takes to start, compared with loading its three largest libraries:

python -m benchmarks.startup [--rounds 11]

The commands take turns, so that changes in the machine's speed affect all of them. Prints the medians of the rounds'
ratios of CPU seconds, and the goals. `status` runs in a folder with one imported connection, on SQLite.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from wooxy_pipedrive_etl.sandbox.pipedrive import Limits, SandboxServer, seeded_account

PROGRAM = str(Path(sys.executable).with_name("wooxy-pipedrive"))
FLOOR = [sys.executable, "-c", "import typer, rich, sqlalchemy"]
# The commands, and how many times the floor's CPU each may take.
GOALS: dict[str, float] = {"--help": 1.2, "--version": 1.2, "status": 2.0}
PERSONS = 300


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    rounds: int = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "WOOXY_PIPEDRIVE_HOME": folder}
        environment.pop("WOOXY_PIPEDRIVE_DATABASE_URL", None)
        _prepare(environment)
        taken: dict[str, list[float]] = {command: [] for command in GOALS}
        floors: list[float] = []
        # The first round has cold caches and does not count.
        for number in range(rounds + 1):
            floor = _cpu_seconds(FLOOR, environment)
            ratios = {each: _cpu_seconds([PROGRAM, each], environment) / floor for each in GOALS}
            if number:
                floors.append(floor)
                for command, ratio in ratios.items():
                    taken[command].append(ratio)
    print(f"floor: {median(floors):.3f} s of CPU (import typer, rich, sqlalchemy), {rounds} rounds")
    for command, goal in GOALS.items():
        measured = median(taken[command])
        print(
            f"{command:<10} {measured:5.2f} × floor, goal ≤ {goal}: {'met' if measured <= goal else 'missed'}"
        )


def _prepare(environment: dict[str, str]) -> None:
    """Creates a connection with all suggestions imported."""
    account = seeded_account(PERSONS)
    environment = environment | {"TOKEN": account.token}
    with SandboxServer(account, limits=Limits(burst_per_2s=1_000)) as server:
        account_options = ("--api-url", server.url, "--api-token-env", "TOKEN")
        _run(environment, "connect", "acme", "--domain", "shop.example.com", *account_options)
        matching = _run(environment, "match", "acme", "--suggest", "--export", "-")
        _run(environment, "match", "acme", "--import", "-", text=matching)


def _run(environment: dict[str, str], *arguments: str, text: str | None = None) -> str:
    return subprocess.run(
        [PROGRAM, *arguments],
        env=environment,
        input=text,
        check=True,
        capture_output=True,
        encoding="utf-8",
    ).stdout


def _cpu_seconds(command: list[str], environment: dict[str, str]) -> float:
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
