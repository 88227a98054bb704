"""Brings the state's tables to the present shape, step by step (Alembic)."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from ..database import reading
from ..errors import StoreError

VERSION_TABLE = "sync_alembic_version"

# Two programs that start at once must not both migrate; the number is this program's alone.
_MIGRATION_LOCK = 7_036_871_204


class NewerDatabase(StoreError):
    """A newer version of this program has changed the tables."""


def upgrade(engine: sa.Engine) -> None:
    """Creates the state's tables, or brings them up to date. What is up to date is not touched, and waits for no
    writer. Raises NewerDatabase."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    head = ScriptDirectory.from_config(config).get_current_head()
    with reading(engine) as connection:
        present = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        if present.get_current_revision() == head:
            return
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError:
            raise NewerDatabase(
                "The database was last used by a newer version of wooxy-pipedrive; update the program."
            ) from None
