"""Measures a case in its own process, so that CPU seconds and peak memory belong to that case alone."""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ParamSpec

import httpx
import psutil

P = ParamSpec("P")


@dataclass(frozen=True)
class World:
    """Where a case is measured. `sandbox_pid`, `database_pid`: processes whose CPU is reported besides the client's;
    `folder`: for files that the case needs."""

    url: str
    sandbox_pid: int
    database: str
    database_url: str
    database_pid: int | None
    persons: int
    latency_ms: int
    folder: str


@dataclass
class Figures:
    """One measurement of one contestant in a case.

    `cpu_seconds`: of the client process, with all its threads; `peak_mb`: its largest resident size so far. `written`:
    the number of rows written to the list, if known. `steps`: the seconds, the client's CPU seconds and the requests of
    each step.
    """

    case: str
    contestant: str
    database: str
    persons: int
    latency_ms: int
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    database_cpu_seconds: float = 0.0
    sandbox_cpu_seconds: float = 0.0
    peak_mb: float = 0.0
    requests: int = 0
    tokens: int = 0
    written: int | None = None
    steps: dict[str, tuple[float, float, int]] = field(default_factory=dict)


@contextmanager
def watched(world: World, case: str, contestant: str) -> Iterator[Figures]:
    """Fills in the figures of the block."""
    figures = Figures(case, contestant, world.database, world.persons, world.latency_ms)
    before = _sandbox_counts(world)
    sandbox_cpu, database_cpu = _cpu(world.sandbox_pid), _cpu(world.database_pid)
    wall, cpu = time.perf_counter(), time.process_time()
    yield figures
    figures.seconds, figures.cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
    figures.sandbox_cpu_seconds = _cpu(world.sandbox_pid) - sandbox_cpu
    figures.database_cpu_seconds = _cpu(world.database_pid) - database_cpu
    # In KiB on Linux.
    figures.peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    figures.requests, figures.tokens = (
        now - then for now, then in zip(_sandbox_counts(world), before, strict=True)
    )


def in_own_process(act: Callable[P, list[Figures]], *arguments: P.args, **named: P.kwargs) -> list[Figures]:
    """Calls `act`, a function at module level, in a new process, and returns its result."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(act, *arguments, **named).result()


def _sandbox_counts(world: World) -> tuple[int, int]:
    """Requests and tokens so far."""
    state = httpx.get(f"{world.url}/sandbox/state", timeout=60).raise_for_status().json()
    return state["requests"], state["tokens_used"]


def _cpu(pid: int | None) -> float:
    """CPU seconds of the process and its children so far, those of ended children included."""
    if pid is None:
        return 0.0
    process = psutil.Process(pid)
    times = process.cpu_times()
    total = times.user + times.system + times.children_user + times.children_system
    for child in process.children():
        try:
            own = child.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += own.user + own.system
    return total
