"""What a person should look at in the matching in force. On plain rows, so that the status need not wait for pandas."""

from __future__ import annotations

import sqlalchemy as sa

from wooxy_pipedrive_etl.contact_list import ContactList
from wooxy_pipedrive_etl.mapping.match_rules import Row, Rules, table_rows
from wooxy_pipedrive_etl.mapping.variables import VariableRow, variable_rows
from wooxy_pipedrive_etl.store.catalogue import field_rows
from wooxy_pipedrive_etl.store.connections import ConnectionRecord
from wooxy_pipedrive_etl.store.matchings import StoredMatching


def waiting_and_red(
    connection: sa.Connection, record: ConnectionRecord, in_force: StoredMatching | None
) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """The variables that the matching in force does not have yet ({pipedrive, label}), and its red rows ({pipedrive,
    label, reason}). Without an Import there is none of either."""
    if in_force is None:
        return [], []
    targets = ContactList.of_domain(connection, record.domain).variable_rows(connection)
    rules = Rules(
        [variable._asdict() for variable in variables_of(connection, record)],
        [target._asdict() for target in targets],
    )
    rows = table_rows(rules, [Row(*row) for row in in_force.rows], confirmed=True)
    return (
        [{"pipedrive": row["pipedrive"], "label": row["label"]} for row in rows if row["new"]],
        [
            {"pipedrive": row["pipedrive"], "label": row["label"], "reason": row["reason"]}
            for row in rows
            if row["status"] == "red"
        ],
    )


def variables_of(connection: sa.Connection, record: ConnectionRecord) -> list[VariableRow]:
    """The variables that the stored catalogue yields."""
    fields = field_rows(connection, record.id)
    return variable_rows(
        (each.field_code, each.field_name, each.field_type, each.is_custom_field, each.options)
        for each in fields
    )
