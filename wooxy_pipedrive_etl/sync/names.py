"""The names of the organisations, users and persons that matched variables show, each asked for once."""

from __future__ import annotations

import json

import pandas as pd

from wooxy_pipedrive_etl.mapping.transform import FeedPlan, read_batch, referenced_ids
from wooxy_pipedrive_etl.store.catalogue import save_names
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.store.snapshot import persons_of, read_persons

from .matching import feed_plan_of
from .memory import without_cycle_search
from .run import SyncRun


def read_referenced_names(run: SyncRun) -> dict[str, int]:
    """Brings the names that the snapshot refers to up to date, for variables that are matched; returns how many of
    each kind (org, user, person) are referred to. A name that can't be read any more keeps its last one.
    """
    engine, connection_id = run.store.engine, run.record.id
    wanted: dict[str, set[int]] = {"org": set(), "user": set(), "person": set()}
    with without_cycle_search(), reading(engine) as connection:
        feeds = feed_plan_of(connection, run).feeds
        naming = FeedPlan(tuple(feed for feed in feeds if feed.kind in wanted), None)
        if naming.feeds:
            for persons in read_persons(connection, connection_id):
                for kind, ids in referenced_ids(read_batch(persons, naming)).items():
                    wanted[kind] |= ids
        persons_named = _person_names(persons_of(connection, connection_id, sorted(wanted["person"])))
    names = {
        "org": run.client.organization_names(wanted["org"]) if wanted["org"] else {},
        "user": run.client.user_names() if wanted["user"] else {},
        "person": persons_named,
    }
    with engine.begin() as connection:
        for kind, found in names.items():
            save_names(connection, connection_id, kind, found)
        run.note(connection)
    return {kind: len(ids) for kind, ids in wanted.items()}


def _person_names(persons: pd.DataFrame) -> dict[int, str]:
    names = {}
    for person_id, raw in zip(persons["person_id"].tolist(), persons["raw"], strict=True):
        name = json.loads(raw).get("name")
        if isinstance(name, str):
            names[person_id] = name
    return names
