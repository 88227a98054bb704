"""Brings the state's tables to the present shape, step by step (Alembic)."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

VERSION_TABLE = "sync_alembic_version"

# Two programs that start at once must not both migrate; the number is this program's alone.
_MIGRATION_LOCK = 7_036_871_204


def upgrade(engine: sa.Engine) -> None:
    """Creates the state's tables, or brings them up to date. What is up to date is not touched."""
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(Path(__file__).parent))
        config.set_main_option("path_separator", "os")
        command.upgrade(config, "head")
