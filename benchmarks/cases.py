"""The cases: what each one is, and which contestants it measures. A round runs them in this order, with one account and
one database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import httpx

from benchmarks import peers, product
from benchmarks.measuring import Figures, World, in_own_process

# Conditions for the walk: the latency of a network, and the burst limit of a mid-range plan.
WALK_LATENCY_MS = 250
BURST_PER_2S = 40


@dataclass(frozen=True)
class Case:
    """`measure` yields the figures of all contestants, in a world where `bench` has had its first run."""

    what: str
    measure: Callable[[World], Iterator[Figures]]


def set_latency(world: World, milliseconds: int) -> None:
    """With latency, the account has a plan's burst limit too; without, it has none, to show what the machine can do."""
    limits = {
        "latency_seconds": milliseconds / 1000,
        "burst_per_2s": BURST_PER_2S if milliseconds else 1_000_000,
    }
    httpx.patch(f"{world.url}/sandbox/limits", json=limits, timeout=30).raise_for_status()


def _first_run(world: World) -> Iterator[Figures]:
    yield from _readers(world, "first")
    yield from in_own_process(product.run, world, "first", "full")


def _second_run(world: World) -> Iterator[Figures]:
    yield from _readers(world, "second")
    yield from in_own_process(product.run, world, "second", "full")


def _readers(world: World, case: str) -> Iterator[Figures]:
    """The contestants that only copy persons into the same PostgreSQL."""
    if world.database == "postgresql":
        yield from in_own_process(peers.floor, world, case)
        if peers.installed("dlt"):
            yield from in_own_process(peers.dlt_run, world, case)


def _remap(world: World) -> Iterator[Figures]:
    yield from in_own_process(product.run, world, "re-map", "re-map")


def _write(world: World) -> Iterator[Figures]:
    if world.database == "postgresql":
        yield from in_own_process(peers.sqlalchemy_upserts, world)
    elif peers.installed("sqlite_utils"):
        yield from in_own_process(peers.sqlite_utils_upserts, world)
    yield from in_own_process(product.write, world)


def _walk(world: World) -> Iterator[Figures]:
    if world.database == "postgresql":
        slow = replace(world, latency_ms=WALK_LATENCY_MS)
        set_latency(world, WALK_LATENCY_MS)
        yield from in_own_process(peers.floor, slow, "walk")
        yield from in_own_process(product.walk, slow, "sequential")
        yield from in_own_process(product.walk, slow, "product")
        set_latency(world, world.latency_ms)


def _changes(world: World) -> Iterator[Figures]:
    with httpx.Client(base_url=world.url, timeout=30) as controls:
        for person_id in range(1, world.persons + 1, 100):
            email = {"value": f"edited.{person_id}@bench.example.com", "label": "work", "primary": True}
            controls.patch(f"/sandbox/persons/{person_id}", json={"emails": [email]}).raise_for_status()
    yield from in_own_process(product.run, world, "changes", "changes")


CASES = {
    "first": Case("full first run; beside it the floor and dlt", _first_run),
    "second": Case("second full run, nothing changed; beside it the floor and dlt", _second_run),
    "re-map": Case("re-map of everybody", _remap),
    "write": Case(
        "the write path alone, all contacts new and then 1 % changed; beside it SQLAlchemy's executemany upsert "
        "(PostgreSQL) or sqlite-utils' upsert_all (SQLite)",
        _write,
    ),
    "walk": Case(
        f"the full walk at {WALK_LATENCY_MS} ms and {BURST_PER_2S} requests in 2 s (PostgreSQL); beside it the "
        "product's own walk page after page, and the floor, which does the same",
        _walk,
    ),
    "changes": Case("run of changes, 1 % of the persons edited", _changes),
}
