"""The field catalogue: read, judged, stored, and compared with the last one. The first step of every run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import pandas as pd
import sqlalchemy as sa

from wooxy_pipedrive_etl.pipedrive import PipedriveClient
from wooxy_pipedrive_etl.store import Store
from wooxy_pipedrive_etl.store.catalogue import SchemaChange, read_fields, save_fields
from wooxy_pipedrive_etl.store.connections import ConnectionRecord
from wooxy_pipedrive_etl.store.database import reading

from .accounts import check_account
from .errors import ALLOW_MASS_DELETE
from .run import SyncRun
from .whole_catalogue import read_whole_catalogue


@dataclass(frozen=True)
class CatalogueReport:
    """`fields`: as `store.catalogue.read_fields` gives them."""

    fields: pd.DataFrame
    changes: list[SchemaChange]


def read_catalogue(run: SyncRun) -> CatalogueReport:
    """Reads Pipedrive's catalogue into the store. Raises BrokenCatalogue if it can't be right, PipedriveError."""
    return _store(run.store, run.record, run.client, run.writing, run.allow_mass_delete)


def store_catalogue(
    store: Store, record: ConnectionRecord, client: PipedriveClient, *, allow_lost_fields: bool = False
) -> CatalogueReport:
    """The same outside of a run, whose hold on the connection it does not need; checks the account first.

    12 tokens, and 10 for each 500 fields more or for a second look, which the caller notes (`client.usage`).
    `allow_lost_fields`: a person says that many fields may be gone at once.
    Raises WrongAccount, BrokenCatalogue and PipedriveError; then nothing is stored.
    """
    check_account(client, record)
    return _store(store, record, client, store.engine.begin, allow_lost_fields)


def _store(
    store: Store,
    record: ConnectionRecord,
    client: PipedriveClient,
    writing: Callable[[], AbstractContextManager[sa.Connection]],
    allow_lost_fields: bool,
) -> CatalogueReport:
    with reading(store.engine) as connection:
        known = read_fields(connection, record.id)
    fields = read_whole_catalogue(
        client,
        known,
        f"wooxy-pipedrive sync {record.name} {ALLOW_MASS_DELETE}",
        allow_lost_fields=allow_lost_fields,
    )
    with writing() as connection:
        changes = save_fields(connection, record.id, fields)
        return CatalogueReport(read_fields(connection, record.id), changes)
