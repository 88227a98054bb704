"""Tries every way to start the assets from Dagster's UI, through a real webserver, daemon and launcher:

python -m benchmarks.materialize [--postgres] [--executor in_process|multiprocess|both] [--key-prefix crm]
    [--only PATTERN] [--no-crowd]

Three connections to accounts on this machine are imported and synced automatically. Then it tries every asset alone,
every pair with `default_contact_list`, all assets, backfills, re-executions, also from failure, terminated runs,
connections that are unknown, paused, in draft, disconnected or forgotten, invalid configuration, and a downstream asset
in another code location. After each case, the list, the run's report, `status` and Dagster must agree, and an edit in
Pipedrive must arrive automatically. At the end, every list is compared with that of a fresh full sync in a separate
database.

It prints one line per case; the exit code is 1 if anything disagreed. It stops everything it started.
"""

from __future__ import annotations

import argparse
import re
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from benchmarks.servers import database
from wooxy_pipedrive_etl.sync.selection import Product
from wooxy_pipedrive_etl_tests.databases import PostgresDatabases
from wooxy_pipedrive_etl_tests.materialize import cases
from wooxy_pipedrive_etl_tests.materialize.cases import LIST, Outcome
from wooxy_pipedrive_etl_tests.materialize.hosts import PRODUCT, write_audience, write_host
from wooxy_pipedrive_etl_tests.materialize.world import NAMES, PRODUCTS, ROWS, World, running_world
from wooxy_pipedrive_etl_tests.scenario import connected, isolate

# Columns that legitimately differ between two lists.
_OF_THE_ROW = {"contact_id", "createdAt", "updatedAt"}


@dataclass(frozen=True)
class Case:
    """`name`: as printed. `follows`: the connection whose account is edited afterwards."""

    name: str
    try_it: Callable[[World], Outcome]
    follows: str = NAMES[0]


def main() -> None:
    chosen = _parser().parse_args()
    # Services must not outlive an interrupted benchmark.
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda *_: sys.exit("Stopped before the end."))
    executors = ["in_process", "multiprocess"] if chosen.executor == "both" else [chosen.executor]
    began = time.monotonic()
    disagreements = tried = 0
    for executor in executors:
        with _world(executor, chosen) as (world, audience):
            for case in _cases(audience, crowd=not chosen.no_crowd):
                if re.search(chosen.only, case.name):
                    disagreements += _try(world, case)
                    tried += 1
            disagreements += _compare(world)
    print(f"{tried} cases, {disagreements} disagreements, {time.monotonic() - began:.0f} s")
    sys.exit(1 if disagreements else 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--postgres", action="store_true", help="for the lists and for Dagster's storage")
    parser.add_argument("--executor", choices=["in_process", "multiprocess", "both"], default="both")
    parser.add_argument("--key-prefix", help="of the assets in the project with the multiprocess executor")
    parser.add_argument("--only", default="", metavar="PATTERN", help="the cases whose names have it")
    parser.add_argument("--no-crowd", action="store_true", help="leave out the backfill over 50 partitions")
    return parser


@contextmanager
def _world(executor: str, chosen: argparse.Namespace) -> Iterator[tuple[World, str]]:
    """A world with the chosen executor and databases, and the code location of the downstream asset."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="materialize-")))
        isolate(stack.enter_context(pytest.MonkeyPatch.context()), folder)
        prefix = () if executor == "in_process" or chosen.key_prefix is None else (chosen.key_prefix,)
        location = PRODUCT if executor == "in_process" else write_host(folder, key_prefix="".join(prefix))
        audience = write_audience(folder, [*prefix, LIST])
        storage = None
        list_url = f"sqlite:///{folder / 'list.db'}"
        if chosen.postgres:
            server, _ = stack.enter_context(database("postgresql", folder))
            databases = PostgresDatabases(server)
            list_url = databases.new()
            storage = databases.new().replace("+psycopg:", "+psycopg2:")
        print(f"\n{executor}, {'PostgreSQL' if chosen.postgres else 'SQLite'}", flush=True)
        world = stack.enter_context(
            running_world(
                folder, list_url, location=location, prefix=prefix, beside=[audience], storage_url=storage
            )
        )
        yield world, audience


def _cases(audience: str, *, crowd: bool) -> Iterator[Case]:
    acme, bolt, cord = NAMES
    for products in _selections():
        yield Case(" + ".join(products), partial(cases.selected, name=acme, products=products))
    yield Case("all assets", lambda world: cases.selected(world, bolt, PRODUCTS), bolt)
    yield Case("backfill over all connections", cases.backfilled, cord)
    yield Case("re-execute", lambda world: cases.reexecuted(world, acme))
    yield Case("re-execute from failure", lambda world: cases.reexecuted_from_failure(world, bolt), bolt)
    yield Case("mass deletion refused", lambda world: cases.refused_and_reexecuted(world, cord), cord)
    yield Case("an edit without a webhook", partial(cases.followed_without_a_webhook, name=acme))
    yield Case("terminate", lambda world: cases.terminated(world, acme))
    yield Case("two backfills at once", lambda world: cases.backfilled_twice_at_once(world, bolt), bolt)
    yield Case("downstream asset", lambda world: cases.with_a_downstream_asset(world, cord, audience), cord)
    yield Case("backfill with downstream asset", cases.backfilled_with_a_downstream_asset)
    yield Case("assets of two locations", lambda world: cases.of_two_locations(world, acme))
    for config, words in (
        ({"frobnicate": True}, "frobnicate"),
        ({"allow_mass_delete": -3}, "allow_mass_delete"),
        ({"only_changes": "perhaps"}, "only_changes"),
    ):
        yield Case(
            f"configuration {config}", partial(cases.configured, name=acme, config=config, words=words)
        )
    yield Case("unknown connection", cases.for_an_unknown_partition)
    yield Case("draft", cases.for_a_draft)
    yield Case("disconnected", cases.for_a_disconnected_one)
    yield Case("forgotten", cases.for_a_forgotten_one)
    yield Case("no connection chosen", cases.without_a_partition)
    yield Case("a range of connections in one run", cases.for_a_range)
    if crowd:
        yield Case("backfill over 50, 20 forgotten meanwhile", cases.backfilled_while_many_go, bolt)


def _selections() -> Iterator[Sequence[Product]]:
    for product in PRODUCTS:
        yield [product]
    for product in PRODUCTS:
        if product != LIST:
            yield [product, LIST]


def _try(world: World, case: Case) -> int:
    """Prints the result, and returns the number of problems."""
    began = time.monotonic()
    try:
        outcome = case.try_it(world)
    except Exception as error:
        outcome = Outcome("not to be judged", [f"{type(error).__name__}: {error}"])
    try:
        world.syncs_automatically(case.follows)
    except AssertionError as error:
        outcome.wrong.append(str(error))
    verdict = "right" if not outcome.wrong else "WRONG"
    print(f"{verdict}  {time.monotonic() - began:6.1f} s  {case.name:<42} {outcome.came_out}", flush=True)
    for each in outcome.wrong:
        print(f"         {each}", flush=True)
    return len(outcome.wrong)


def _compare(world: World) -> int:
    """Prints which lists differ from those of a fresh full sync, and returns how many."""
    wrong = 0
    for name, each in world.connections.items():
        with (
            tempfile.TemporaryDirectory() as folder,
            connected(f"sqlite:///{Path(folder) / 'list.db'}", each.account, name=name) as fresh,
        ):
            fresh.import_rows(ROWS)
            fresh.sync()
            if _values(fresh.contacts()) != _values(each.contacts()):
                print(f"WRONG  the list of {name} is another one than after a fresh full sync", flush=True)
                wrong += 1
    return wrong


def _values(contacts: Sequence[dict[str, object]]) -> list[list[tuple[str, str]]]:
    return sorted(
        [
            sorted((key, str(value)) for key, value in each.items() if key not in _OF_THE_ROW)
            for each in contacts
        ]
    )


if __name__ == "__main__":
    main()
