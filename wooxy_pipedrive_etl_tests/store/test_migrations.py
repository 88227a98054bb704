from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from wooxy_pipedrive_etl.store import migrations, tables
from wooxy_pipedrive_etl.store.database import open_database
from wooxy_pipedrive_etl.store.migrations import VERSION_TABLE, NewerDatabase, newest_revision, upgrade

from .conftest import new_connection
from .programs import program, read_line, say


def test_migrations_give_the_tables_that_the_code_names(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "version_table": VERSION_TABLE,
                "compare_type": True,
                "compare_server_default": True,
                # The database may hold other things as well.
                "include_name": lambda name, kind, _parents: kind != "table" or name.startswith("sync_"),
            },
        )
        assert compare_metadata(context, tables.metadata) == []


def test_constraints_are_the_same_as_those_that_the_code_names(engine: sa.Engine) -> None:
    """What Alembic does not compare: primary keys, what a deletion takes along, and required columns."""
    found = sa.inspect(engine)
    for table in tables.metadata.tables.values():
        assert found.get_pk_constraint(table.name)["constrained_columns"] == [
            column.name for column in table.primary_key.columns
        ]
        on_delete = {
            key["constrained_columns"][0]: key["options"] for key in found.get_foreign_keys(table.name)
        }
        assert on_delete == {
            key.parent.name: {"ondelete": key.ondelete} if key.ondelete else {} for key in table.foreign_keys
        }


def test_the_newest_step_is_known_without_alembic() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.set_main_option("path_separator", "os")
    steps = ScriptDirectory.from_config(config)
    assert newest_revision() == steps.get_current_head()
    # The names of their files say which comes last.
    files = [Path(step.path).name for step in steps.walk_revisions()]
    assert files == sorted(files, reverse=True)
    assert [name.partition("_")[0] for name in files] == [step.revision for step in steps.walk_revisions()]


def test_upgrading_again_touches_nothing(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        new_connection(connection, "acme", "shop.example.com")
    upgrade(engine)
    with engine.connect() as connection:
        assert connection.execute(sa.select(tables.connections.c.name)).scalars().all() == ["acme"]


def test_other_things_in_the_database_stay(database_url: str) -> None:
    engine = open_database(database_url)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE alembic_version (version_num TEXT)"))
        connection.execute(sa.text("INSERT INTO alembic_version VALUES ('of another program')"))
    upgrade(engine)
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar() == (
            "of another program"
        )
    engine.dispose()


def test_database_of_a_newer_version_is_refused(database_url: str) -> None:
    engine = open_database(database_url)
    upgrade(engine)
    with engine.begin() as connection:
        connection.execute(sa.text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))  # noqa: S608
    with pytest.raises(NewerDatabase, match="update the program"):
        upgrade(engine)
    engine.dispose()


_UPGRADE = """
import sys
from wooxy_pipedrive_etl.store.database import open_database
from wooxy_pipedrive_etl.store.migrations import upgrade
print("ready", flush=True)
input()
upgrade(open_database(sys.argv[1]))
print("done", flush=True)
"""


def test_programs_that_start_at_once_upgrade_once(database_url: str) -> None:
    with (
        program(_UPGRADE, database_url) as first,
        program(_UPGRADE, database_url) as second,
    ):
        started = [first, second]
        assert [read_line(process) for process in started] == ["ready"] * 2
        for process in started:
            say(process)
        assert [read_line(process) for process in started] == ["done"] * 2, [
            process.communicate()[1] for process in started
        ]
