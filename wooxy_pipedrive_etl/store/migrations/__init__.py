"""Migrates the state's tables to the current schema, step by step (Alembic)."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from ..database import reading
from ..errors import StoreError

VERSION_TABLE = "sync_alembic_version"

# Two programs that start at once must not both migrate; the number is this program's alone.
_MIGRATION_LOCK = 7_036_871_204

_FOLDER = Path(__file__).parent


class NewerDatabase(StoreError):
    """A newer version of this program has migrated the tables."""


def upgrade(engine: sa.Engine) -> None:
    """Creates the state's tables, or migrates them. If they are up to date, changes nothing and waits for no writer.
    Raises NewerDatabase."""
    if _is_current(engine):
        return
    # Almost always there is nothing to do, so that nobody need load Alembic for it.
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    with engine.begin() as db:
        if db.dialect.name == "postgresql":
            db.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
        config.attributes["connection"] = db
        try:
            command.upgrade(config, "head")
        except CommandError:
            raise NewerDatabase(
                "The database was last used by a newer version of wooxy-pipedrive; update the program."
            ) from None


def newest_revision() -> str:
    """The newest revision. The files of the steps are named after their revisions."""
    return max(step.name for step in (_FOLDER / "versions").glob("[0-9]*.py")).partition("_")[0]


def _is_current(engine: sa.Engine) -> bool:
    """A quick check; Alembic handles every case that it can't decide."""
    version = sa.table(VERSION_TABLE, sa.column("version_num"))
    try:
        with reading(engine) as db:
            return db.execute(sa.select(version.c.version_num)).scalars().all() == [newest_revision()]
    except DBAPIError:
        # There is no such table yet.
        return False
