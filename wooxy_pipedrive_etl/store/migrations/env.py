"""Alembic's entry point: migrates over the connection that `upgrade` passes in."""

from __future__ import annotations

from alembic import context

from wooxy_pipedrive_etl.store.migrations import VERSION_TABLE
from wooxy_pipedrive_etl.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
