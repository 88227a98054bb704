"""The field catalogue of a connection: read, checked, stored, and compared with the previous one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import sqlalchemy as sa

from wooxy_pipedrive_etl.person_fields import PersonField
from wooxy_pipedrive_etl.pipedrive import PipedriveClient
from wooxy_pipedrive_etl.store import Store
from wooxy_pipedrive_etl.store.catalogue import SchemaChange, read_fields, save_fields
from wooxy_pipedrive_etl.store.connections import ConnectionRecord
from wooxy_pipedrive_etl.store.database import reading

from .accounts import check_account
from .whole_catalogue import read_whole_catalogue


@dataclass(frozen=True)
class CatalogueReport:
    """`fields` as stored."""

    fields: list[PersonField]
    changes: list[SchemaChange]


def store_catalogue(store: Store, record: ConnectionRecord, client: PipedriveClient) -> CatalogueReport:
    """Reads and stores the catalogue outside of a run, without the connection's lock; checks the account first.

    Costs 12 tokens, and 10 for every further 500 fields or for a second reading; the caller records them
    (`client.usage`). Raises WrongAccount, BrokenCatalogue and ApiError; then nothing is stored.
    """
    check_account(client, record)
    return read_and_store(store, record, client, store.engine.begin, False)


def read_and_store(
    store: Store,
    record: ConnectionRecord,
    client: PipedriveClient,
    writing: Callable[[], AbstractContextManager[sa.Connection]],
    allow_lost_fields: bool,
) -> CatalogueReport:
    """Reads the catalogue, and stores it in a transaction from `writing`. Raises BrokenCatalogue, ApiError."""
    with reading(store.engine) as db:
        known = read_fields(db, record.id)
    fields = read_whole_catalogue(client, known, allow_lost_fields=allow_lost_fields)
    with writing() as db:
        changes = save_fields(db, record.id, fields)
        return CatalogueReport(read_fields(db, record.id), changes)
