"""The Pipedrive variables of a connection."""

from __future__ import annotations

import sqlalchemy as sa

from wooxy_pipedrive_etl.mapping.variables import Variable, pipedrive_variables
from wooxy_pipedrive_etl.store.catalogue import read_fields
from wooxy_pipedrive_etl.store.connections import ConnectionRecord


def variables_of(db: sa.Connection, record: ConnectionRecord, *, gone: bool = False) -> list[Variable]:
    """The variables of the stored catalogue; `gone`: those of the fields that are no longer in it."""
    return pipedrive_variables(read_fields(db, record.id, gone=gone))
