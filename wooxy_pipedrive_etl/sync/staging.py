"""Keeps the stage in step with the snapshot: which persons must be mapped anew, and their mapping.

What a person becomes depends on its text, on the matching with all that it looks at, and on the names of what it refers
to. A person is mapped anew when one of these changed; everybody is when the matching did, and in a re-map.
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
from wooxy_pipedrive_etl.mapping.values import UNSEEN
from wooxy_pipedrive_etl.store import connections, mapped
from wooxy_pipedrive_etl.store.catalogue import read_names
from wooxy_pipedrive_etl.store.snapshot import count_persons, read_persons

from .memory import without_cycle_search
from .persons import WalkReport
from .progress import report
from .run import SyncRun

# Persons in memory at a time: some ten MB, and enough for columns to be worth while.
BATCH_SIZE = 2_500


@dataclass(frozen=True)
class MappingReport:
    """`persons` mapped anew; `dropped_values` that did not fit, each listed as an issue: of these persons in a run of
    changes, else of all; `fed`: the list's variables."""

    persons: int
    dropped_values: int
    fed: list[str]


def prepare_stage(run: SyncRun, plan: FeedPlan) -> np.ndarray:
    """Takes out of the stage what does not fit any more, and notes to what the persons that must be mapped anew refer.

    Returns the ids of these persons (int64, ascending). Raises ListError if the list lacks a fed variable.
    """
    connection_id = run.record.id
    with without_cycle_search(), run.writing() as db:
        empty = _open_stage(db, run, plan)
        to_map = persons_to_map(db, connection_id)
        naming = FeedPlan(tuple(feed for feed in plan.feeds if feed.kind in UNSEEN), None)
        if naming.feeds:
            for persons in read_persons(db, connection_id, to_map, BATCH_SIZE):
                referred = references(read_batch(persons, naming))
                before = [] if empty else persons["person_id"].tolist()
                mapped.save_references(db, connection_id, before, referred)
    return to_map


def map_contacts(run: SyncRun, plan: FeedPlan, walk: WalkReport | None) -> MappingReport:
    """Applies the matching to the persons of the snapshot that the stage does not have as they are, batch by batch.

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
    """The same for plans, and programs, that make the same of every person."""
    return blake2b(
        f"{_program()} {plan.default_region} {plan.feeds!r}".encode("utf-8", "backslashreplace"),
        digest_size=16,
    ).hexdigest()


@cache
def _program() -> str:
    """The code that maps, and what it looks things up in: a newer release may make something else of a person."""
    digest = blake2b(digest_size=16)
    for module in sorted(files(mapping).iterdir(), key=lambda each: each.name):
        if module.name.endswith(".py"):
            digest.update(module.read_bytes())
    libraries = [f"{name} {version(name)}" for name in ("phonenumbers", "idna", "tzdata", "msgspec")]
    return " ".join([digest.hexdigest(), *libraries])


def _open_stage(db: sa.Connection, run: SyncRun, plan: FeedPlan) -> bool:
    """Whether nobody is in it, as when it was made anew, or emptied in a crash."""
    connection_id, view = run.record.id, run.list_view(db)
    fed = [feed.wooxy for feed in plan.feeds]
    key = mapping_key(plan)
    mapped_with = connections.get_connection(db, run.record.name).mapped_with
    # A list alone is made of what was mapped before, as far as that still fits.
    maps_everybody = run.kind == "re-map" and "mapped_contacts" in run.selection
    if not maps_everybody and mapped_with == key and stage_fits(db, view, connection_id, fed):
        unload_departed(db, connection_id)
        if not is_stage_empty(db, connection_id):
            mapped.forget_departed(db, connection_id)
            return False
    else:
        begin_stage(db, view, connection_id, fed)
        # What does not reach the list by this run leaves it behind, which `automation.due` must still see.
        connections.update_connection(db, connection_id, mapped_with=key if run.selection.writes else None)
    mapped.forget_all(db, connection_id)
    return True
