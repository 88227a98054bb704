"""What was not written and why, as a page shows it: with the person's name, its page in Pipedrive and its contact."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import sqlalchemy as sa

from wooxy_pipedrive_etl.connections.variables import variables_of
from wooxy_pipedrive_etl.errors import SyncError
from wooxy_pipedrive_etl.store import Store, connections, runs, tables
from wooxy_pipedrive_etl.store.bulk import among
from wooxy_pipedrive_etl.store.connections import ConnectionRecord
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.store.issues import issues_by_reason, read_issues

from .contacts import Person, persons

PAGE = 50


class RunGone(SyncError):
    """It is no longer known what the run found."""


@dataclass(frozen=True)
class Issue:
    """`person`: None for a malformed record. `contact_id`: the contact that the person owns. `label`: the current label
    of the Pipedrive variable concerned, or its key."""

    person: Person | None
    contact_id: int | None
    kind: str
    reason: str
    label: str | None
    message: str


@dataclass(frozen=True)
class IssuesView:
    """One page, of `pages`, numbered from 1. `count`: of the filtered issues; `counts`: of all, by (kind, reason)."""

    issues: list[Issue]
    counts: dict[tuple[str, str], int]
    count: int
    page: int
    pages: int


def view_issues(
    store: Store,
    name: str,
    *,
    kind: str | None = None,
    reason: str | None = None,
    run_id: str | None = None,
    page: int = 1,
) -> IssuesView:
    """The issues since the last run or, given `run_id`, those that a run found but that were not applied.

    Raises UnknownConnection, RunGone.
    """
    with reading(store.engine) as db:
        record = connections.get_connection(db, name)
        pending = run_id is not None and _is_pending(db, record, run_id)
        counts = issues_by_reason(db, record.id, pending=pending)
        count = sum(number for (k, r), number in counts.items() if kind in (None, k) and reason in (None, r))
        pages = max(1, -(-count // PAGE))
        page = min(max(1, page), pages)
        rows = read_issues(
            db,
            record.id,
            pending=pending,
            kind=kind,
            reason=reason,
            limit=PAGE,
            offset=(page - 1) * PAGE,
        )
        ids = sorted({row["person_id"] for row in rows if row["person_id"] is not None})
        people = persons(db, record, ids)
        owned = _contacts_of(db, record, ids)
        labels = {variable.key: variable.label for variable in variables_of(db, record)}
        issues = [
            Issue(
                person=people.get(row["person_id"]),
                contact_id=owned.get(row["person_id"]),
                kind=row["kind"],
                reason=row["reason"],
                label=labels.get(row["variable"], row["variable"]),
                message=row["message"],
            )
            for row in rows
        ]
        return IssuesView(issues, counts, count, page, pages)


def _is_pending(db: sa.Connection, record: ConnectionRecord, run_id: str) -> bool:
    """Whether the run's issues are pending (not applied) or current. Raises RunGone if they are neither."""
    report = runs.get_run(db, record.id, run_id)
    # The next run replaces what a run has found.
    if report is None or runs.newest_run_id(db, record.id) != run_id:
        raise RunGone(
            "What that run found is no longer kept, because a newer run replaced it; look at what stands since the "
            "last run, or make another dry run."
        )
    return report.state != "success"


def _contacts_of(db: sa.Connection, record: ConnectionRecord, person_ids: Collection[int]) -> dict[int, int]:
    links = tables.links
    rows = db.execute(
        sa.select(links.c.person_id, links.c.contact_id).where(
            links.c.connection_id == record.id, among(db, links.c.person_id, list(person_ids))
        )
    )
    return {row.person_id: row.contact_id for row in rows}
