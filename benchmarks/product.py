"""The product's part of the cases: runs step by step, the walk, and the write path."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pandas as pd

from benchmarks.measuring import Figures, World, watched
from benchmarks.rows import changed, staged_rows
from benchmarks.servers import TOKEN
from wooxy_pipedrive_etl.connections import accounts
from wooxy_pipedrive_etl.contact_list import (
    ContactList,
    ListSettings,
    apply_plan,
    begin_stage,
    load_stage,
    make_plan,
)
from wooxy_pipedrive_etl.matching import view
from wooxy_pipedrive_etl.settings import WINDOWS_FROM_VARIABLE
from wooxy_pipedrive_etl.store import Store, connections, keys, runs, tables
from wooxy_pipedrive_etl.store.bulk import tell_of_new_rows
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.sync import catalogue, flow, persons, staging
from wooxy_pipedrive_etl.sync.run import SyncRun, begin
from wooxy_pipedrive_etl.sync.selection import Kind, Selection


def run(world: World, case: str, kind: Kind) -> list[Figures]:
    """A run of the connection `bench`, which is created with everything matched if it does not exist yet."""
    store = _opened(world, "bench")
    with (
        watched(world, case, "product") as figures,
        begin(store, "bench", case, Selection.of(kind)) as under_way,
    ):
        steps = flow.sync(under_way)
        while (timed := _timed(steps, under_way)) is not None:
            figures.steps[timed[0]] = timed[1]
    with reading(store.engine) as db:
        report = runs.get_run(db, under_way.record.id, case)
    assert report is not None
    figures.written = report.created + report.updated + report.deleted
    store.close()
    return [figures]


def walk(world: World, contestant: str) -> list[Figures]:
    """Reads every person into the snapshot of a separate connection: as "product" with the windowed walk, however few
    persons there are, and as "sequential" with the sequential walk."""
    os.environ[WINDOWS_FROM_VARIABLE] = "1" if contestant == "product" else str(world.persons * 10)
    name = f"walk-{contestant}"
    store = _opened(world, name)
    with begin(store, name, "walk") as under_way:
        catalogue.read_catalogue(under_way)
        with watched(world, "walk", contestant) as figures:
            persons.fetch_persons(under_way)
    store.close()
    return [figures]


def write(world: World) -> list[Figures]:
    """Writes the contacts of `bench` to the list of a separate connection: first all of them new, then again with one
    in a hundred changed."""
    os.environ["WOOXY_PIPEDRIVE_HOME"] = world.folder
    rows = staged_rows(world)
    store = _opened(world, "write")
    taken = []
    for case, these in (("write, new", rows), ("write, 1 % changed", changed(rows))):
        batches = [
            these.iloc[start : start + staging.BATCH_SIZE].reset_index(drop=True)
            for start in range(0, len(these), staging.BATCH_SIZE)
        ]
        with watched(world, case, "product") as figures:
            figures.written = _write(store, batches, case)
        # As a run does after creating this many.
        tell_of_new_rows(store.engine, tables.links)
        taken.append(figures)
    store.close()
    return taken


def _write(store: Store, batches: list[pd.DataFrame], run_id: str) -> int:
    settings = ListSettings()
    with store.engine.begin() as db:
        record = connections.get_connection(db, "write")
        contact_list = ContactList.of_domain(db, record.domain)
        begin_stage(db, contact_list.view(db), record.id, list(batches[0].columns[3:]))
        for batch in batches:
            load_stage(db, record.id, batch, [run_id] * len(batch), run_id)
    with store.engine.begin() as db:
        make_plan(db, contact_list.view(db), record.id, settings)
    with store.engine.begin() as db:
        now = datetime.now(UTC)
        hash_key = keys.hash_key(db, store.secrets)
        applied = apply_plan(db, contact_list, record.id, settings, hash_key, run_id, now)
    return applied.created + applied.updated + applied.deleted


def _opened(world: World, name: str) -> Store:
    """The store with this connection, with everything matched and confirmed."""
    os.environ["WOOXY_PIPEDRIVE_HOME"] = world.folder
    store = Store.open(world.database_url)
    with reading(store.engine) as db:
        known = {each.name for each in connections.list_connections(db)}
    if name not in known:
        domain = f"{name}.example.com"
        accounts.connect(store, name=name, domain=domain, api_url=world.url, api_token=TOKEN)
        view.suggest_matching(store, name)
        view.import_matching(store, name, view.export_matching(store, name))
    return store


def _timed(steps: Iterator[flow.Done], under_way: SyncRun) -> tuple[str, tuple[float, float, int]] | None:
    """The next product, and the seconds, CPU seconds and requests that it took; None after the last one."""
    requests, wall, cpu = under_way.client.usage.requests, time.perf_counter(), time.process_time()
    done = next(steps, None)
    if done is None:
        return None
    return done.product, (
        time.perf_counter() - wall,
        time.process_time() - cpu,
        under_way.client.usage.requests - requests,
    )
