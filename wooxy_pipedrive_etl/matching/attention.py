"""What in the matching in force needs a user's attention."""

from __future__ import annotations

from typing import NamedTuple

import sqlalchemy as sa

from wooxy_pipedrive_etl.connections.variables import variables_of
from wooxy_pipedrive_etl.contact_list import ContactList
from wooxy_pipedrive_etl.mapping.match_rules import Rules, table_rows
from wooxy_pipedrive_etl.store.connections import ConnectionRecord
from wooxy_pipedrive_etl.store.matchings import StoredMatching


class WaitingField(NamedTuple):
    """A variable of Pipedrive that the matching in force does not have yet."""

    pipedrive: str
    label: str


class RedRow(NamedTuple):
    """A row of the matching in force that feeds nothing."""

    pipedrive: str
    label: str
    reason: str | None


def waiting_and_red(
    db: sa.Connection, record: ConnectionRecord, in_force: StoredMatching | None
) -> tuple[list[WaitingField], list[RedRow]]:
    """Without an Import there is none of either."""
    if in_force is None:
        return [], []
    variables = variables_of(db, record)
    targets = ContactList.of_domain(db, record.domain).variables(db)
    rules = Rules(variables, targets)
    # A deleted field is shown under its latest name.
    gone = variables_of(db, record, gone=True)
    labels = {each.key: each.label for each in [*gone, *variables]}
    known = [row._replace(label=labels.get(row.pipedrive, row.label)) for row in in_force.rows]
    rows = table_rows(rules, known, in_force=known)
    return (
        [WaitingField(row.pipedrive, row.label) for row in rows if row.new],
        [RedRow(row.pipedrive, row.label, row.reason) for row in rows if row.status == "red"],
    )
