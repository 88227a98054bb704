"""The first step of every run: read the field catalogue and tell what changed in it."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from wooxy_pipedrive_etl.store.catalogue import SchemaChange, read_fields, save_fields

from .accounts import check_catalogue
from .run import SyncRun


@dataclass(frozen=True)
class CatalogueReport:
    """`fields`: as `store.catalogue.read_fields` gives them."""

    fields: pd.DataFrame
    changes: list[SchemaChange]


def read_catalogue(run: SyncRun) -> CatalogueReport:
    """Reads Pipedrive's catalogue into the store. Raises BrokenCatalogue if it can't be right, PipedriveError."""
    fields = run.client.person_fields()
    check_catalogue(fields["field_code"].tolist())
    with run.store.engine.begin() as connection:
        changes = save_fields(connection, run.record.id, fields)
        run.note(connection)
        return CatalogueReport(read_fields(connection, run.record.id), changes)
