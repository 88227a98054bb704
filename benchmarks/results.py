"""The results: medians, comparisons with the peers, and the goals."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any

from benchmarks.measuring import Figures
from wooxy_pipedrive_etl.settings import Settings

PEERS = ("floor", "sequential", "dlt", "SQLAlchemy", "sqlite-utils")
# The size that most goals refer to.
USUAL_PERSONS = 100_000


class Results:
    """The figures of all rounds."""

    def __init__(self, figures: list[Figures]) -> None:
        rounds: dict[tuple[str, str, int, int, str], list[Figures]] = {}
        for each in figures:
            key = (each.case, each.database, each.persons, each.latency_ms, each.contestant)
            rounds.setdefault(key, []).append(each)
        self.medians = [_median(each) for each in rounds.values()]
        self.sizes = sorted({each.persons for each in figures})

    def find(self, case: str, contestant: str, database: str, persons: int) -> Figures | None:
        for each in self.medians:
            if (each.case, each.contestant, each.database, each.persons) == (
                case,
                contestant,
                database,
                persons,
            ):
                return each
        return None

    def times(self, figures: Figures, peer: str) -> tuple[float, float] | None:
        """How many times as fast as the peer: by the clock, and by the CPU of client and database together, which is
        more reliable on a busy machine."""
        other = self.find(figures.case, peer, figures.database, figures.persons)
        if other is None:
            return None
        return other.seconds / figures.seconds, _cpu(other) / _cpu(figures)


@dataclass(frozen=True)
class Outcome:
    """One goal: `met` is None if it was not measured."""

    goal: str
    measured: str
    met: bool | None


def outcomes(results: Results) -> list[Outcome]:
    """The goals, with the figures at the measured size closest to the one that they refer to."""
    usual = min(results.sizes, key=lambda size: abs(size - USUAL_PERSONS))
    largest, smallest = results.sizes[-1], results.sizes[0]
    find = results.find
    pages = ceil(usual / 500)
    first = find("first", "product", "postgresql", usual)
    second = find("second", "product", "postgresql", usual)
    walk = find("walk", "product", "postgresql", usual)
    changes = find("changes", "product", "postgresql", usual)
    memory, memory_before = (find("first", "product", "postgresql", size) for size in (largest, smallest))
    return [
        _ratio(results, "first", "postgresql", usual, "dlt", 5),
        _ratio(results, "first", "postgresql", usual, "floor", 0.7),
        _ratio(results, "second", "postgresql", usual, "dlt", 6),
        _at_most("unchanged second run: rows written", second, lambda of: of.written or 0, 0),
        *(
            _ratio(results, case, database, usual, peer, least)
            for database, peer, least in (("postgresql", "SQLAlchemy", 10), ("sqlite", "sqlite-utils", 3))
            for case in ("write, new", "write, 1 % changed")
        ),
        _at_most(
            f"peak memory of the first run, {largest:,} persons, MB", memory, lambda of: of.peak_mb, 400
        ),
        _at_most(
            f"peak memory, {largest:,} persons beside {smallest:,}",
            memory if largest > smallest else None,
            lambda of: of.peak_mb / memory_before.peak_mb if memory_before else 0,
            1.2,
        ),
        _at_most(
            f"requests of a full walk of {usual:,}",
            first,
            lambda of: of.steps["pipedrive_persons"][2],
            # A large account is read with the windowed walk.
            int(1.03 * (pages + 5)) if usual >= Settings().persons_for_windows else pages + 5,
        ),
        _at_most(
            f"requests of the walk at 250 ms of {usual:,}",
            walk,
            lambda of: of.requests,
            int(1.03 * (pages + 5)),
        ),
        _ratio(results, "walk", "postgresql", usual, "sequential", 6),
        _at_most(f"requests of a run of changes, 1 % of {usual:,}", changes, lambda of: of.requests, 6),
    ]


def as_json(figures: list[Figures], results: Results, state: dict[str, Any]) -> dict[str, Any]:
    return {
        "state": state,
        "medians": [asdict(each) | {"times": dict(_times(results, each))} for each in results.medians],
        "goals": [asdict(each) for each in outcomes(results)],
        "rounds": [asdict(each) for each in figures],
    }


def table(results: Results) -> Iterator[str]:
    yield (
        f"{'case':<19}{'database':<12}{'who':<14}{'persons':>9}{'a second':>10}{'seconds':>9}{'CPU':>8}{'database':>10}"
        f"{'sandbox':>9}{'peak MB':>9}{'requests':>10}{'tokens':>9}  beside"
    )
    for each in results.medians:
        beside = ", ".join(
            f"{clock:.2f} × {peer} (CPU {cpu:.2f})" for peer, (clock, cpu) in _times(results, each)
        )
        yield (
            f"{each.case:<19}{each.database:<12}{each.contestant:<14}{each.persons:>9,}"
            f"{each.persons / each.seconds:>10,.0f}{each.seconds:>9.2f}{each.cpu_seconds:>8.2f}"
            f"{each.database_cpu_seconds:>10.2f}{each.sandbox_cpu_seconds:>9.2f}{each.peak_mb:>9.0f}"
            f"{each.requests:>10,}{each.tokens:>9,}  {beside}"
        )


def steps(results: Results) -> Iterator[str]:
    """Where the runs spend their time."""
    yield f"{'case':<19}{'database':<12}{'persons':>9}  {'step':<24}{'seconds':>9}{'CPU':>8}{'requests':>10}"
    for each in results.medians:
        for name, (seconds, cpu, requests) in each.steps.items():
            yield (
                f"{each.case:<19}{each.database:<12}{each.persons:>9,}  {name:<24}{seconds:>9.2f}{cpu:>8.2f}"
                f"{requests:>10,.0f}"
            )


def goals(results: Results) -> Iterator[str]:
    found = outcomes(results)
    width = max(len(each.goal) for each in found) + 2
    yield f"{'goal':<{width}}{'measured':>10}"
    for each in found:
        met = {True: "met", False: "not met", None: ""}[each.met]
        yield f"{each.goal:<{width}}{each.measured:>10}  {met}"


def _ratio(results: Results, case: str, database: str, persons: int, peer: str, least: float) -> Outcome:
    goal = f"{case}, {database}, {persons:,} persons: ≥ {least:g} × {peer}"
    figures = results.find(case, "product", database, persons)
    times = None if figures is None else results.times(figures, peer)
    return (
        Outcome(goal, "–", None) if times is None else Outcome(goal, f"{times[0]:.2f} ×", times[0] >= least)
    )


def _at_most(what: str, figures: Figures | None, measure: Callable[[Figures], float], most: float) -> Outcome:
    goal = f"{what}: ≤ {most:g}"
    if figures is None:
        return Outcome(goal, "–", None)
    value = measure(figures)
    return Outcome(goal, f"{value:,.2f}".rstrip("0").rstrip("."), value <= most)


def _times(results: Results, figures: Figures) -> Iterator[tuple[str, tuple[float, float]]]:
    if figures.contestant == "product":
        for peer in PEERS:
            times = results.times(figures, peer)
            if times is not None:
                yield peer, times


def _cpu(figures: Figures) -> float:
    return figures.cpu_seconds + figures.database_cpu_seconds


def _median(rounds: list[Figures]) -> Figures:
    """The median of each figure separately."""
    first = rounds[0]
    numbers = ("seconds", "cpu_seconds", "database_cpu_seconds", "sandbox_cpu_seconds", "peak_mb")
    counts = ("requests", "tokens")
    return Figures(
        first.case,
        first.contestant,
        first.database,
        first.persons,
        first.latency_ms,
        **{name: statistics.median(getattr(each, name) for each in rounds) for name in numbers},
        # The worst value, because these don't depend on the machine.
        **{name: max(getattr(each, name) for each in rounds) for name in counts},
        written=None if first.written is None else max(each.written or 0 for each in rounds),
        steps={
            name: (
                statistics.median(each.steps[name][0] for each in rounds),
                statistics.median(each.steps[name][1] for each in rounds),
                max(each.steps[name][2] for each in rounds),
            )
            for name in first.steps
        },
    )
