"""The full walk: every person into the snapshot, and who is no longer there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wooxy_pipedrive_etl.pipedrive import optional_fields
from wooxy_pipedrive_etl.store import connections, reports
from wooxy_pipedrive_etl.store.catalogue import read_fields
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.store.snapshot import count_persons, land_persons, mark_gone, missing_persons

from .progress import report
from .run import SyncRun


@dataclass(frozen=True)
class WalkReport:
    """`fetched` persons, of which `changed` differ from what was known; `gone`: known persons that the walk and the
    second look did not have, or None where the walk can't tell; `odd`: what could not be taken for a person."""

    fetched: int
    changed: int
    gone: int | None
    odd: int
    left_out_fields: tuple[str, ...]


def fetch_persons(run: SyncRun) -> WalkReport:
    """Walks all persons into the snapshot, a page a transaction, and marks those that are gone.

    Raises PipedriveError; then no person is taken for gone.
    """
    engine, connection_id = run.store.engine, run.record.id
    with reading(engine) as connection:
        optional = optional_fields(read_fields(connection, connection_id))
        expected = count_persons(connection, connection_id) or None
    with engine.begin() as connection:
        # The walk says anew what can't be taken for a person.
        reports.drop_pending_issues(connection, connection_id)
    seen: list[np.ndarray] = []
    fetched = changed = odd = 0
    left_out: tuple[str, ...] = ()
    for page in run.client.walk_persons(include_fields=optional):
        with engine.begin() as connection:
            changed += land_persons(connection, connection_id, page.persons)
            reports.add_pending_issues(connection, connection_id, page.odd)
        seen.append(page.persons["person_id"].to_numpy())
        fetched += len(page.persons)
        odd += len(page.odd)
        left_out = page.left_out_fields
        report("Reading persons", fetched, expected)
    # An element without an id may be any person: then nobody can be taken for gone.
    gone = None if odd else _mark_gone(run, np.concatenate(seen) if seen else np.array([], dtype=np.int64))
    with engine.begin() as connection:
        connections.update_connection(connection, connection_id, left_out_fields=",".join(left_out))
        run.note(connection)
    return WalkReport(fetched, changed, gone, odd, left_out)


def _mark_gone(run: SyncRun, seen: np.ndarray) -> int:
    """Lists omit deleted persons, but a person missing from one walk is only taken for gone if asking for it by its
    id does not find it either."""
    engine, connection_id = run.store.engine, run.record.id
    with reading(engine) as connection:
        missing = missing_persons(connection, connection_id, seen)
        optional = optional_fields(read_fields(connection, connection_id))
    there: set[int] = set()
    unreadable = 0
    for page in run.client.persons_by_ids(missing, include_fields=optional):
        with engine.begin() as connection:
            land_persons(connection, connection_id, page.persons)
        there.update(page.persons["person_id"].tolist())
        unreadable += len(page.odd)
    gone = [] if unreadable else [person_id for person_id in missing if person_id not in there]
    with engine.begin() as connection:
        mark_gone(connection, connection_id, gone)
    return len(gone)
