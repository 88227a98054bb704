"""Syncs under faults, kills and restarts of the database, compared with an undisturbed twin:
python -m benchmarks.soak [--rounds 60] [--seed 1] [--postgres | --sqlite] [--fault-rate 0.1] [--persons 1200]
[--output soak.json]

In each round, the account is edited, webhooks report changes, sometimes the matching changes, and a run follows in its
own process. A share of its calls to Pipedrive go wrong, it may be killed with SIGKILL, and PostgreSQL may be restarted
during or before it. It gets at most three attempts, and then an undisturbed one. The twin, which has the same account
without faults, makes a run of the same kind. Every tenth round, both make undisturbed runs, first of changes and then
full ones, and are compared to the byte after each: lists, links, issues, snapshots. Full runs use the windowed or the
sequential walk, as in large accounts.

It is also an error if a run that did not commit has changed the list, if a run with nothing to do writes anything, if a
lock, a session or a table is left over, or if a run fails for any other reason than what was done to it.

An HTML 403 blocks a credential for an hour, but only in the process that received it; the next run is another process.

The same seed produces the same edits and kinds of runs. It also determines faults and moments, but machines differ in
speed, so a kill may hit another statement and require another attempt.

Uses its own sandbox and PostgreSQL, on this machine only, and ends only what it started. The exit code is 1 if anything
was wrong.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from benchmarks.soak_edits import Editor
from benchmarks.soak_worlds import RestartedPostgres, World
from wooxy_pipedrive_etl.http_api.errors import TransientError
from wooxy_pipedrive_etl.pipedrive.errors import CloudflareBlocked
from wooxy_pipedrive_etl.sandbox.pipedrive import (
    MIXED_KINDS,
    Behaviours,
    FaultMix,
    Limits,
    SandboxServer,
    seeded_account,
)
from wooxy_pipedrive_etl.settings import WINDOWS_FROM_VARIABLE
from wooxy_pipedrive_etl.store.database import DatabaseUnavailable
from wooxy_pipedrive_etl.store.errors import DATABASE_ERRORS
from wooxy_pipedrive_etl.sync.selection import Kind
from wooxy_pipedrive_etl_tests.conformance.killing import started
from wooxy_pipedrive_etl_tests.conformance.sync_process import writing
from wooxy_pipedrive_etl_tests.databases import Databases, PostgresDatabases, SqliteDatabases
from wooxy_pipedrive_etl_tests.postgres import started_postgres
from wooxy_pipedrive_etl_tests.scenario import new_token

Trouble = Literal["nothing", "kill", "immediate", "fast"]

_PAGE = 50
# Extra edits during a run, which cause the least visible errors; a block by Cloudflare ends a run immediately.
_KINDS = (*MIXED_KINDS, "on_page", "on_page", "on_page")
_ATTEMPTS = 3
_ROUNDS_BETWEEN_LOOKS = 10
_LONGEST_DELAY = 0.02
_LONGEST_OUTAGE = 1.0
# The number of moments assumed for a kind of run that has not succeeded yet.
_MOMENTS = 300
_SHOWN_DIFFERENCES = 5


@dataclass
class Report:
    """What was done, and the results. `unexpected`: failures of runs that nothing explains; `broken`: failed runs, by
    error; `given_up`: rounds in which no attempt succeeded."""

    database: str
    seed: int
    fault_rate: float
    rounds: int = 0
    seconds: float = 0.0
    good: Counter[str] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    restarts: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    given_up: int = 0
    looks: int = 0
    contacts: int = 0
    differences: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not (self.differences or self.unexpected or self.left)

    def print(self) -> None:
        def told(counts: Counter[str]) -> str:
            each = ", ".join(f"{name} {number}" for name, number in sorted(counts.items()))
            return f"{counts.total()} ({each})" if each else "0"

        print(f"{self.database}: {self.rounds} rounds, seed {self.seed}, {self.seconds:.0f} s")
        print(f"  faults       {told(self.faults)}")
        print(f"  kills        {told(self.kills)}")
        print(f"  restarts     {told(self.restarts)}")
        print(f"  good runs    {told(self.good)}")
        print(f"  broken runs  {told(self.broken)}; rounds without a good one {self.given_up}")
        print(f"  compared     {self.looks} times, at last {self.contacts} contacts with an address")
        for name in ("differences", "unexpected", "left"):
            found = getattr(self, name)
            print(f"  {name:<13}{len(found) or 'none'}")
            for each in found:
                print(f"    {each}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=60, help="on each database (default 60)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--persons", type=int, default=1200, help="500 are a page (default 1200)")
    parser.add_argument("--fault-rate", type=float, default=0.1, help="share of calls (default 0.1)")
    parser.add_argument("--output", type=Path, default=Path("soak.json"), help="default soak.json")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--postgres", action="store_true", help="only there")
    which.add_argument("--sqlite", action="store_true", help="only there")
    chosen = parser.parse_args()
    # The sandbox fails on purpose, so warnings are expected.
    logging.disable(logging.WARNING)
    # The PostgreSQL server must not outlive an interrupted benchmark.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Stopped before the last round."))
    reports = []
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        os.environ |= {"WOOXY_PIPEDRIVE_HOME": folder, "DAGSTER_HOME": str(Path(folder) / "dagster")}
        if not chosen.postgres:
            reports.append(_soaked(SqliteDatabases(Path(folder)), None, chosen))
        if not chosen.sqlite:
            with _postgres(Path(folder)) as server:
                reports.append(_soaked(PostgresDatabases(server.uri), server, chosen))
    chosen.output.write_text(json.dumps([vars(report) for report in reports], indent=2) + "\n")
    sys.exit(0 if all(report.is_clean for report in reports) else 1)


@contextmanager
def _postgres(folder: Path) -> Iterator[RestartedPostgres]:
    server = started_postgres(folder / "postgres", "stop")
    try:
        yield RestartedPostgres(server)
    finally:
        server.cleanup()


def _soaked(databases: Databases, postgres: RestartedPostgres | None, chosen: argparse.Namespace) -> Report:
    report = Report(databases.name, chosen.seed, chosen.fault_rate)
    rng = random.Random(chosen.seed)
    account = seeded_account(chosen.persons, chosen.seed, token=new_token())
    # Small pages, so that there are enough of them for windowed walks.
    account.behaviours = Behaviours(largest_page=_PAGE)
    os.environ[WINDOWS_FROM_VARIABLE] = str(_PAGE)
    limits = Limits(burst_per_2s=100_000, daily_tokens=None)
    began = time.monotonic()
    with SandboxServer(account, limits=limits) as faulty, SandboxServer(account, limits=limits) as sound:
        worlds = World.new(databases, faulty), World.new(databases, sound)
        soak = Soak(
            *worlds, Editor(account, rng), rng, random.Random(f"troubles {chosen.seed}"), postgres, report
        )
        try:
            while report.rounds < chosen.rounds:
                soak.play_round()
                if report.rounds % _ROUNDS_BETWEEN_LOOKS == 0 or report.rounds == chosen.rounds:
                    soak.look()
        finally:
            report.seconds = round(time.monotonic() - began, 1)
            report.print()
    return report


@dataclass
class Soak:
    """One connection through its rounds. `rng` draws what happens, `troubles` what goes wrong: separately, so that a
    seed produces the same edits however the runs end. `postgres`: None if there is no server to restart."""

    soaked: World
    twin: World
    editor: Editor
    rng: random.Random
    troubles: random.Random
    postgres: RestartedPostgres | None
    report: Report
    # What the last good run of each kind printed: the next run will have similar moments.
    _moments: dict[Kind, list[str]] = field(default_factory=dict)

    def play_round(self) -> None:
        self.report.rounds += 1
        self.editor.edit()
        kinds: list[Kind] = ["changes", "full", "re-map"]
        (kind,) = self.rng.choices(kinds, [5, 3, 2])
        deleted = self.editor.take_deleted()
        ids = self.soaked.server.account.visible_person_ids()
        changed = self.rng.sample(ids, 3)
        odd = self.rng.random() < 0.5
        for world in (self.soaked, self.twin):
            world.hint(deleted, changed)
            if kind == "re-map":
                world.change_matching(odd=odd)
        if not any(self._try(kind) for _ in range(_ATTEMPTS)):
            self.report.given_up += 1
            # A completed run must see this round's state before a later round: a phone that exists only in between may
            # subscribe a contact.
            self.soaked.sync(kind)
        self.twin.sync(kind)

    def _try(self, kind: Kind) -> bool:
        """Makes a disturbed run; returns whether it committed, however it ended."""
        report, server, rng = self.report, self.soaked.server, self.troubles
        trouble = self._trouble()
        if self.postgres is not None and rng.random() < 0.1:
            self._restart(self.postgres, rng.choice(["immediate", "fast"]), "between runs")
        good_runs, contacts = self.soaked.standing()
        server.fault_mix = FaultMix(report.fault_rate, _KINDS, rng.randrange(1_000_000))
        returncode, error = self._run(kind, trouble)
        report.faults.update(server.mixed_faults_struck)
        server.fault_mix = None
        report.left += [f"round {report.rounds}: {each}" for each in self.soaked.left_behind()]
        good_runs_now, contacts_now = self.soaked.standing()
        committed = good_runs_now > good_runs
        if not committed and contacts_now != contacts:
            report.differences.append(
                f"round {report.rounds}: a {kind} run that was not good changed the list"
            )
        if returncode == 0:
            report.good[kind] += 1
        elif returncode == -signal.SIGKILL and trouble == "kill":
            report.kills["after the commit" if committed else "before the commit"] += 1
        else:
            report.broken[error.partition(":")[0].rpartition(".")[2]] += 1
            if not _is_explained(error, trouble):
                report.unexpected.append(f"round {report.rounds}, {kind}, {trouble}: {returncode} {error}")
        return committed

    def _trouble(self) -> Trouble:
        troubles: list[Trouble] = ["nothing", "kill", "immediate", "fast"]
        (trouble,) = self.troubles.choices(troubles, [3, 4, 2, 2] if self.postgres else [4, 6, 0, 0])
        return trouble

    def _run(self, kind: Kind, trouble: Trouble) -> tuple[int, str]:
        """A run in its own process, with the trouble at a random moment; returns its exit code and its error."""
        moment = self._moment(kind)
        delay = self.troubles.uniform(0, _LONGEST_DELAY)
        moments: list[str] = []
        with tempfile.TemporaryFile("w+") as errors:
            with started(self.soaked.url, kind, "steps", errors) as process:
                assert process.stdout is not None
                for line in process.stdout:
                    if len(moments) == moment:
                        self._strike(process, trouble, delay)
                    moments.append(line.strip())
            errors.seek(0)
            last = [line for line in errors.read().splitlines() if re.match(r"[\w.]+(:|$)", line)][-1:]
        if process.returncode == 0:
            self._moments[kind] = moments
        return process.returncode, "".join(last)

    def _moment(self, kind: Kind) -> int:
        """Half of the moments are while the list is written, the rest are arbitrary."""
        known = self._moments.get(kind, [""] * _MOMENTS)
        writes = writing(known) if self.troubles.random() < 0.5 else None
        return self.troubles.choice(writes or range(len(known)))

    def _strike(self, process: subprocess.Popen[str], trouble: Trouble, delay: float) -> None:
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=delay)
        if trouble == "kill":
            process.kill()
        elif trouble != "nothing" and self.postgres is not None:
            self._restart(self.postgres, trouble, "during a run")

    def _restart(self, postgres: RestartedPostgres, mode: str, when: str) -> None:
        outage = self.troubles.uniform(0, _LONGEST_OUTAGE)
        postgres.stop(mode)
        time.sleep(outage)
        postgres.start()
        self.report.restarts[f"{mode} {when}"] += 1

    def look(self) -> None:
        """Undisturbed runs on both sides must produce the same state, and another one must write nothing."""
        report = self.report
        for world in (self.soaked, self.twin):
            world.sync("changes")
        self._compare("changes")
        for world in (self.soaked, self.twin):
            world.sync("full")
        self._compare("full")
        again = self.soaked.sync("full")
        written = {
            name: again.counts[name] for name in ("created", "updated", "deleted") if again.counts[name]
        }
        if written:
            report.differences.append(f"round {report.rounds}: a run with nothing to do wrote {written}")
        report.looks += 1
        emails = self.soaked.emails()
        report.contacts = len(emails)
        opting_out = self.rng.choice(emails)
        for world in (self.soaked, self.twin):
            world.opt_out(opting_out)
        print(f"  round {report.rounds}: {len(report.differences) or 'no'} differences", file=sys.stderr)

    def _compare(self, after: Kind) -> None:
        report, soaked, twin = self.report, self.soaked.state(), self.twin.state()
        for part, lines in soaked.items():
            whose = (("soaked", {*lines} - {*twin[part]}), ("twin", {*twin[part]} - {*lines}))
            differing = [f"{world}: {line}" for world, alone in whose for line in sorted(alone)]
            if lines != twin[part] and not differing:
                differing = ["doubled lines"]
            if differing:
                what = f"round {report.rounds}, after {after}: {part}, {len(differing)} lines"
                report.differences += [what, *differing[:_SHOWN_DIFFERENCES]]


def _is_explained(error: str, trouble: Trouble) -> bool:
    """Whether a run may fail like this: because of Pipedrive's answers, or because its database went down."""
    kinds: tuple[type[BaseException], ...] = (TransientError, CloudflareBlocked)
    if trouble in ("immediate", "fast"):
        kinds = (*kinds, DatabaseUnavailable, *DATABASE_ERRORS)
    name = error.partition(":")[0]
    return any(name == f"{each.__module__}.{each.__qualname__}" for kind in kinds for each in _family(kind))


def _family(kind: type[BaseException]) -> Iterator[type[BaseException]]:
    yield kind
    for each in kind.__subclasses__():
        yield from _family(each)


if __name__ == "__main__":
    main()
