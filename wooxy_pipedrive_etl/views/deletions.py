"""Contacts that would be deleted: those listed by a refused run or a dry run, as users see them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from wooxy_pipedrive_etl.contact_list import ContactList
from wooxy_pipedrive_etl.errors import SyncError
from wooxy_pipedrive_etl.store import Store, connections, planned_deletions, runs, tables
from wooxy_pipedrive_etl.store.bulk import among
from wooxy_pipedrive_etl.store.connections import ConnectionRecord
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.store.runs import RunReport

PAGE = 50
_BATCH = 1_000


class DeletionsGone(SyncError):
    """It is no longer known which contacts the run would have deleted."""


@dataclass(frozen=True)
class Going:
    """A contact that would be deleted, and its owner. `why`: in words. Everything except the id is None for a contact
    that has left the list since."""

    contact_id: int
    name: str | None
    email: str | None
    phone_number: str | None
    person_id: int | None
    why: str | None


FIELDS = tuple(Going.__dataclass_fields__)


@dataclass(frozen=True)
class DeletionsView:
    """One page, of `pages`, numbered from 1, of the contacts that the run `run` (its report) would delete, `count` in
    all. `may_allow`: the run was refused because of them, and nothing has run since."""

    run: RunReport
    going: list[Going]
    count: int
    page: int
    pages: int
    may_allow: bool


def view_deletions(store: Store, name: str, run_id: str, page: int = 1) -> DeletionsView:
    """Raises UnknownConnection, DeletionsGone."""
    with reading(store.engine) as db:
        record = connections.get_connection(db, name)
        run, count = _run(db, record, run_id)
        pages = -(-count // PAGE)
        page = min(max(1, page), pages)
        ids = planned_deletions.contact_ids(db, record.id, run_id, limit=PAGE, offset=(page - 1) * PAGE)
        newest = runs.newest_run_id(db, record.id)
        may_allow = run.refused_by == "mass_delete" and newest == run_id
        return DeletionsView(run, _going(db, record, list(ids)), count, page, pages, may_allow)


def read_deletions(store: Store, name: str, run_id: str) -> Iterator[dict[str, Any]]:
    """All of them, as rows of FIELDS. Raises UnknownConnection, DeletionsGone."""
    with reading(store.engine) as db:
        record = connections.get_connection(db, name)
        _run(db, record, run_id)
        ids = planned_deletions.contact_ids(db, record.id, run_id)
        for start in range(0, len(ids), _BATCH):
            yield from map(asdict, _going(db, record, list(ids[start : start + _BATCH])))


def _run(db: sa.Connection, record: ConnectionRecord, run_id: str) -> tuple[RunReport, int]:
    run = runs.get_run(db, record.id, run_id)
    count = planned_deletions.count(db, record.id, run_id)
    if run is None or not count:
        raise DeletionsGone(
            "That run no longer waits to delete anybody: a later run has written the list, or made a list of its "
            "own. See the latest run."
        )
    return run, count


def _going(db: sa.Connection, record: ConnectionRecord, ids: list[int]) -> list[Going]:
    contact_list = ContactList.of_domain(db, record.domain)
    listed = contact_list.table(contact_list.stored(db))
    links, snapshot = tables.links, tables.snapshot
    query = (
        sa.select(
            listed.c.contact_id,
            listed.c.name,
            listed.c.email,
            listed.c.phoneNumber,
            links.c.person_id,
            sa.or_(snapshot.c.person_id.is_(None), snapshot.c.gone).label("is_gone"),
        )
        .select_from(listed)
        .outerjoin(
            links, sa.and_(links.c.connection_id == record.id, links.c.contact_id == listed.c.contact_id)
        )
        .outerjoin(
            snapshot,
            sa.and_(snapshot.c.connection_id == record.id, snapshot.c.person_id == links.c.person_id),
        )
        .where(among(db, listed.c.contact_id, ids))
    )
    found = {row.contact_id: row for row in db.execute(query)}
    return [
        Going(contact_id, None, None, None, None, None)
        if (row := found.get(contact_id)) is None
        else Going(contact_id, row.name, row.email, row.phoneNumber, row.person_id, _why(row))
        for contact_id in ids
    ]


def _why(row: Any) -> str:
    if row.is_gone:
        return "deleted in Pipedrive, or hidden from the token's user"
    return "no longer has a contact of its own (see Issues)"
