"""What was not written and why, as a page shows it: with the person's name, its page in Pipedrive and its contact."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import sqlalchemy as sa

from wooxy_pipedrive_etl.mapping.variables import pipedrive_variables
from wooxy_pipedrive_etl.store import Store, connections, reports, tables
from wooxy_pipedrive_etl.store.bulk import among
from wooxy_pipedrive_etl.store.catalogue import read_fields
from wooxy_pipedrive_etl.store.connections import ConnectionRecord
from wooxy_pipedrive_etl.store.database import reading

from .contacts_view import Person, persons
from .errors import SyncError

PAGE = 50


class RunGone(SyncError):
    """What a run found is not known any more."""


@dataclass(frozen=True)
class Issue:
    """`person`: None for an element that could not be taken for one. `contact_id`: the contact that the person owns.
    `label`: the Pipedrive variable that it is about, as it is called now, or its key."""

    person: Person | None
    contact_id: int | None
    kind: str
    reason: str
    label: str | None
    message: str


@dataclass(frozen=True)
class IssuesView:
    """One page of them, of `pages`, numbered from 1. `count`: of those that are looked at; `counts`: of all, by (kind,
    reason)."""

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
    """What stands since the last run or, given `run_id`, what a run found that was not applied.

    Raises UnknownConnection, RunGone.
    """
    with reading(store.engine) as connection:
        record = connections.get_connection(connection, name)
        pending = run_id is not None and _is_pending(connection, record, run_id)
        counts = reports.issues_by_reason(connection, record.id, pending=pending)
        count = sum(number for (k, r), number in counts.items() if kind in (None, k) and reason in (None, r))
        pages = max(1, -(-count // PAGE))
        page = min(max(1, page), pages)
        rows = reports.read_issues(
            connection,
            record.id,
            pending=pending,
            kind=kind,
            reason=reason,
            limit=PAGE,
            offset=(page - 1) * PAGE,
        )
        ids = sorted({row["person_id"] for row in rows if row["person_id"] is not None})
        people = persons(connection, record, ids)
        owned = _contacts_of(connection, record, ids)
        variables = pipedrive_variables(read_fields(connection, record.id))
        labels = dict(zip(variables["key"], variables["label"], strict=True))
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


def _is_pending(connection: sa.Connection, record: ConnectionRecord, run_id: str) -> bool:
    """Whether what the run found waits to be applied, or else stands. Raises RunGone if it is neither."""
    report = reports.get_run(connection, record.id, run_id)
    # The next run takes the place of what one has found.
    if report is None or reports.newest_run_id(connection, record.id) != run_id:
        raise RunGone(
            "What that run found is not kept any more, since another one came after it; look at what stands since the "
            "last run, or make another dry run."
        )
    return bool(report["state"] != "success")


def _contacts_of(
    connection: sa.Connection, record: ConnectionRecord, person_ids: Collection[int]
) -> dict[int, int]:
    links = tables.links
    rows = connection.execute(
        sa.select(links.c.person_id, links.c.contact_id).where(
            links.c.connection_id == record.id, among(connection, links.c.person_id, list(person_ids))
        )
    )
    return {row.person_id: row.contact_id for row in rows}
