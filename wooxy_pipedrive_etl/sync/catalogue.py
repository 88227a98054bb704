"""The first step of every run: the field catalogue."""

from __future__ import annotations

from wooxy_pipedrive_etl.connections.catalogue import CatalogueReport, read_and_store

from .run import SyncRun


def read_catalogue(run: SyncRun) -> CatalogueReport:
    """Reads Pipedrive's catalogue into the store. Raises BrokenCatalogue if it can't be complete, ApiError."""
    return read_and_store(run.store, run.record, run.client, run.writing, run.allowed.lost_fields)
