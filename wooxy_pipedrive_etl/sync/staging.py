"""Keeps the stage in step with the snapshot: finds the persons that must be mapped again, and maps them.

What a person is mapped to depends on its text, on the matching with everything that it uses, and on the names that it
refers to. A person is mapped again when one of these changes; all persons are when the matching does, and in a re-map.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from importlib.metadata import version
from importlib.resources import files

import numpy as np
import sqlalchemy as sa

from wooxy_pipedrive_etl import mapping
from wooxy_pipedrive_etl.contact_list.stage import (
    begin_stage,
    count_staged,
    is_stage_empty,
    load_stage,
    note_read,
    persons_to_map,
    stage_fits,
    unload_departed,
    unload_stage,
)
from wooxy_pipedrive_etl.errors import SyncError
from wooxy_pipedrive_etl.mapping.transform import FeedPlan, read_batch, references, transform
from wooxy_pipedrive_etl.store import connections, mapped, sync_state
from wooxy_pipedrive_etl.store.catalogue import read_names
from wooxy_pipedrive_etl.store.snapshot import count_persons, read_persons

from .memory import without_cycle_search
from .persons import WalkReport
from .progress import report
from .run import SyncRun

# Persons in memory at a time: about ten MB, and enough to make working by columns worthwhile.
BATCH_SIZE = 2_500


@dataclass(frozen=True)
class MappingReport:
    """`persons` mapped by this run; `dropped_values` that did not fit, each listed as an issue: in a run of changes
    those of these persons, otherwise all; `fed`: the list's variables."""

    persons: int
    dropped_values: int
    fed: list[str]


def prepare_stage(run: SyncRun, plan: FeedPlan) -> np.ndarray:
    """Removes outdated rows from the stage, and records which names the persons to be mapped refer to.

    Returns the ids of these persons (int64, ascending). Raises ListError if the list lacks a fed variable.
    """
    connection_id = run.record.id
    with without_cycle_search(), run.writing() as db:
        empty = _open_stage(db, run, plan)
        to_map = persons_to_map(db, connection_id)
        naming = FeedPlan(tuple(feed for feed in plan.feeds if feed.kind.is_reference), None)
        if naming.feeds:
            for persons in read_persons(db, connection_id, to_map, BATCH_SIZE):
                referred = references(read_batch(persons, naming))
                before = [] if empty else persons["person_id"].tolist()
                mapped.save_references(db, connection_id, before, referred)
    return to_map


def map_contacts(run: SyncRun, plan: FeedPlan, walk: WalkReport | None) -> MappingReport:
    """Applies the matching to the persons of the snapshot whose row in the stage is missing or outdated, batch by
    batch.

    `plan`: what the matching feeds. `walk`: what the run has read, if it read persons.
    """
    connection_id = run.record.id
    persons_count = dropped = 0
    with without_cycle_search(), run.writing() as db:
        names = read_names(db, connection_id)
        to_map = persons_to_map(db, connection_id)
        empty = is_stage_empty(db, connection_id)
        report("Mapping persons", 0, len(to_map))
        for persons in read_persons(db, connection_id, to_map, BATCH_SIZE):
            contacts, issues = transform(read_batch(persons, plan), names)
            before = [] if empty else persons["person_id"].tolist()
            unload_stage(db, connection_id, before)
            load_stage(db, connection_id, contacts, persons["fingerprint"].tolist(), run.run_id)
            mapped.save_mapping_issues(db, connection_id, before, issues)
            persons_count += len(persons)
            dropped += len(issues)
            report("Mapping persons", persons_count, len(to_map))
        if run.kind == "changes" and walk is not None:
            note_read(db, connection_id, sorted(walk.read_ids), run.run_id)
        else:
            dropped = mapped.count_mapping_issues(db, connection_id)
        if count_staged(db, connection_id) != count_persons(db, connection_id):
            raise SyncError(
                f"The stage of the connection {run.record.name} does not have the persons that the snapshot has, so "
                "nothing was written; report this as a defect."
            )
        run.note(db, dropped_values=dropped)
    return MappingReport(persons_count, dropped, [feed.wooxy for feed in plan.feeds])


def mapping_key(plan: FeedPlan) -> str:
    """The same for plans, and programs, that map every person in the same way."""
    return blake2b(
        f"{_program()} {plan.default_region} {plan.feeds!r}".encode("utf-8", "backslashreplace"),
        digest_size=16,
    ).hexdigest()


@cache
def _program() -> str:
    """The code that maps, and the data that it uses: a newer release may map a person differently."""
    digest = blake2b(digest_size=16)
    for module in sorted(files(mapping).iterdir(), key=lambda each: each.name):
        if module.name.endswith(".py"):
            digest.update(module.read_bytes())
    libraries = [f"{name} {version(name)}" for name in ("phonenumbers", "idna", "tzdata", "msgspec")]
    return " ".join([digest.hexdigest(), *libraries])


def _open_stage(db: sa.Connection, run: SyncRun, plan: FeedPlan) -> bool:
    """Returns whether the stage is empty, because it is new or was emptied in a crash."""
    connection_id, view = run.record.id, run.list_view(db)
    fed = [feed.wooxy for feed in plan.feeds]
    key = mapping_key(plan)
    mapped_with = connections.get_connection(db, run.record.name).sync_state.mapped_with
    # A list alone is made from what was mapped before, as far as that is up to date.
    maps_everybody = run.kind == "re-map" and "mapped_contacts" in run.selection
    if not maps_everybody and mapped_with == key and stage_fits(db, view, connection_id, fed):
        unload_departed(db, connection_id)
        if not is_stage_empty(db, connection_id):
            mapped.forget_departed(db, connection_id)
            return False
    else:
        begin_stage(db, view, connection_id, fed)
        # If the run leaves the list out, the list falls behind the stage; `automation.due` must still see that.
        sync_state.advance(db, connection_id, mapped_with=key if run.selection.writes else None)
    mapped.forget_all(db, connection_id)
    return True
