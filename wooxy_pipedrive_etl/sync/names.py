"""The names of the organisations, users and persons that matched variables show, each read once."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
import sqlalchemy as sa

from wooxy_pipedrive_etl.contact_list.stage import outdate
from wooxy_pipedrive_etl.mapping.transform import FeedPlan
from wooxy_pipedrive_etl.pipedrive.endpoints import USERS
from wooxy_pipedrive_etl.store import mapped, sync_state
from wooxy_pipedrive_etl.store.catalogue import forget_names, read_names, save_names
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.store.snapshot import departed_persons, read_persons

from .run import SyncRun, microseconds, read_again_since
from .staging import BATCH_SIZE, prepare_stage


def read_referenced_names(run: SyncRun, feeds: FeedPlan) -> dict[str, int]:
    """Makes the names available that persons refer to in matched variables, and has the persons with a changed name
    mapped again; returns how many of each kind (org, user, person) are referred to.

    If the run's selection has `referenced_names`, the names are brought up to date: a run of changes reads the
    organisations updated since the last time, other runs read all that are referred to. Otherwise it reads only names
    that were never read, for the persons to be mapped, because an empty value would be wrong. Names that the app may
    not see are not requested. A name that can no longer be read stays as it was, unless its person was deleted.
    """
    engine, connection_id = run.store.engine, run.record.id
    refresh = "referenced_names" in run.selection
    # Otherwise the run requests what a run of changes requests, except for the updated organisations.
    only_new = run.kind == "changes" or not refresh
    to_map = prepare_stage(run, feeds)
    with reading(engine) as db:
        wanted = mapped.referenced_entities(db, connection_id)
        known = read_names(db, connection_id)
        # Names that could not be read before are requested again only by full runs, or when a newly mapped person
        # refers to them.
        comers: list[int] = to_map.tolist() if only_new else []
        referred = mapped.entities_referenced_by(db, connection_id, comers)
        new = {kind: ids - known[kind].keys() for kind, ids in referred.items()}
        named = wanted["person"]
        if only_new:
            # A person's name is in the snapshot, so it can have changed only if that person is to be mapped again.
            named = new["person"] | wanted["person"].intersection(comers)
        # Nothing of a deleted person is kept, not even its name in others' fields.
        gone = departed_persons(db, connection_id, sorted(wanted["person"].union(known["person"])))
        persons_named = _person_names(db, connection_id, sorted(named.difference(gone)))
    if refresh:
        looked_at = microseconds(run.client.server_time()) if wanted["org"] else None
        organisations = _organization_names(run, wanted["org"], new["org"])
        users_wanted = wanted["user"]
    else:
        looked_at = run.record.sync_state.names_watermark
        organisations = run.client.organization_names(new["org"]) if new["org"] else {}
        users_wanted = new["user"]
    names = {
        "org": organisations,
        "user": run.client.user_names()
        if users_wanted and run.record.credentials.allows(USERS.scope)
        else {},
        "person": persons_named,
    }
    with run.writing() as db:
        forget_names(db, connection_id, "person", known["person"].keys() & set(gone))
        _outdate(db, run, "person", known["person"].keys() & set(gone))
        for kind, found in names.items():
            if wanted[kind] or kind == "person":
                # A name that nobody refers to is not kept up to date, so it must be read again once somebody does.
                # Previews show names of organisations and users even if nothing is matched with them.
                forget_names(db, connection_id, kind, known[kind].keys() - wanted[kind])
            changed = save_names(db, connection_id, kind, _among(found, wanted[kind]))
            _outdate(db, run, kind, changed)
        sync_state.advance(db, connection_id, names_watermark=looked_at)
    return {kind: len(ids) for kind, ids in wanted.items()}


def _outdate(db: sa.Connection, run: SyncRun, kind: str, entity_ids: Collection[int]) -> None:
    """Has the persons that show these names mapped again."""
    if entity_ids:
        referring = mapped.referring_persons(db, run.record.id, kind, entity_ids)
        outdate(db, run.record.id, referring)
        sync_state.fall_behind(db, run.record.id)


def _organization_names(run: SyncRun, wanted: set[int], new: set[int]) -> Mapping[int, str]:
    if not wanted:
        return {}
    watermark = run.record.sync_state.names_watermark
    if run.kind != "changes" or watermark is None:
        return run.client.organization_names(wanted)
    names = run.client.organization_names_since(read_again_since(watermark, run.client.server_time()))
    return {**names, **run.client.organization_names(new - names.keys())}


def _among(names: Mapping[int, str], wanted: Iterable[int]) -> dict[int, str]:
    return {entity_id: names[entity_id] for entity_id in wanted if entity_id in names}


def _person_names(db: sa.Connection, connection_id: int, person_ids: Sequence[int]) -> dict[int, str]:
    """`person_ids` ascending. Batch by batch: there may be as many as all persons, and only the name of each is
    kept."""
    names = {}
    for persons in read_persons(db, connection_id, np.array(person_ids, dtype=np.int64), BATCH_SIZE):
        for person_id, raw in zip(persons["person_id"].tolist(), persons["raw"], strict=True):
            name = json.loads(raw).get("name")
            if isinstance(name, str):
                names[person_id] = name
    return names
