from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from wooxy_pipedrive_etl.connections.run_requests import requested_run
from wooxy_pipedrive_etl.guards import Permissions
from wooxy_pipedrive_etl.store import migrations, tables
from wooxy_pipedrive_etl.store.connections import get_connection
from wooxy_pipedrive_etl.store.database import open_database
from wooxy_pipedrive_etl.store.migrations import VERSION_TABLE, NewerDatabase, newest_revision, upgrade

from .conftest import new_connection
from .programs import program, read_line, say


def test_migrations_give_the_tables_that_the_code_names(engine: sa.Engine) -> None:
    with engine.connect() as db:
        context = MigrationContext.configure(
            db,
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
    with engine.begin() as db:
        new_connection(db, "acme", "shop.example.com")
    upgrade(engine)
    with engine.connect() as db:
        assert db.execute(sa.select(tables.connections.c.name)).scalars().all() == ["acme"]


def test_other_things_in_the_database_stay(database_url: str) -> None:
    engine = open_database(database_url)
    with engine.begin() as db:
        db.execute(sa.text("CREATE TABLE alembic_version (version_num TEXT)"))
        db.execute(sa.text("INSERT INTO alembic_version VALUES ('of another program')"))
    upgrade(engine)
    with engine.connect() as db:
        assert db.execute(sa.text("SELECT version_num FROM alembic_version")).scalar() == (
            "of another program"
        )
    engine.dispose()


def test_database_of_a_newer_version_is_refused(database_url: str) -> None:
    engine = open_database(database_url)
    upgrade(engine)
    with engine.begin() as db:
        db.execute(sa.text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))  # noqa: S608
    with pytest.raises(NewerDatabase, match="update the program"):
        upgrade(engine)
    engine.dispose()


_UPGRADE = """
import sys
from wooxy_pipedrive_etl.store.connections import get_connection
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


def _upgrade_to(engine: sa.Engine, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.set_main_option("path_separator", "os")
    with engine.begin() as db:
        config.attributes["connection"] = db
        command.upgrade(config, revision)


def test_what_sentences_said_becomes_columns(database_url: str) -> None:
    """A database of the version in which guards and owners were in sentences alone."""
    engine = open_database(database_url)
    _upgrade_to(engine, "0006")
    with engine.begin() as db:
        record = new_connection(db, "acme", "shop.example.com").id
        db.execute(
            sa.text("UPDATE sync_connections SET requested_run = :request"),
            {
                "request": '{"kind": "full", "dry_run": false, "allow_mass_delete": true, "use_reserve": true, '
                '"requested_at": "2026-11-01T00:00:00+00:00", "key": "k"}'
            },
        )
        messages = {
            "a": "35 of the 241 contacts would be deleted at once, so nothing was written; see whether the token's "
            "user still sees all persons, and if the deletions are right, run: wooxy-pipedrive sync acme --full "
            "--allow-mass-delete",
            "b": "Pipedrive's field catalogue lacks 13 of the 60 known fields, so it was not used and nothing was "
            "changed; see whether …, run: wooxy-pipedrive sync acme --allow-mass-delete",
            "c": "The run would use about 900 tokens, … let this run use the reserve: wooxy-pipedrive sync acme "
            "--use-reserve (use_reserve in the launchpad).",
            "d": "GET /api/v1/users/me failed 6 times, at last because the connection failed; run again later.",
        }
        for run_id, message in messages.items():
            db.execute(
                sa.text(
                    "INSERT INTO sync_runs (connection_id, run_id, kind, state, started_at, message, fetched, created, "
                    "updated, unchanged, deleted, rejected, duplicates, conflicts, dropped_values, tokens_used, "
                    "requests) "
                    "VALUES (:connection, :run, 'full', 'failed', '2026-11-01', :message, "
                    "0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)"
                ),
                {"connection": record, "run": run_id, "message": message},
            )
        for reason, message in (
            (
                "duplicate_of",
                "Person 7 shares an identifier with person 12, which was updated more recently and owns the contact.",
            ),
            ("no_identifier", "Person 8 has no valid e-mail address, phone number or user id."),
        ):
            db.execute(
                sa.text(
                    "INSERT INTO sync_issues (connection_id, person_id, kind, reason, message, pending, found_at) "
                    "VALUES (:connection, 7, 'duplicate', :reason, :message, :no, '2026-11-01')"
                ),
                {"connection": record, "reason": reason, "message": message, "no": False},
            )
    upgrade(engine)
    with engine.connect() as db:
        refused = db.execute(sa.text("SELECT run_id, refused_by FROM sync_runs ORDER BY run_id")).all()
        assert [tuple(row) for row in refused] == [
            ("a", "mass_delete"),
            ("b", "lost_fields"),
            ("c", "reserve"),
            ("d", None),
        ]
        owners = db.execute(sa.text("SELECT reason, owner_id FROM sync_issues ORDER BY reason")).all()
        assert [tuple(row) for row in owners] == [("duplicate_of", 12), ("no_identifier", None)]
        request = requested_run(get_connection(db, "acme"))
        assert request is not None
        # Which deletions were meant nobody knows any more.
        assert request.permissions == Permissions(reserve=True)
    engine.dispose()


def test_opt_outs_of_an_earlier_version_belong_to_their_domains(database_url: str) -> None:
    engine = open_database(database_url)
    _upgrade_to(engine, "0006")
    with engine.begin() as db:
        for number in (1, 2):
            # Connections and domains are numbered apart.
            db.exec_driver_sql(
                f"INSERT INTO sync_domains (id, name, list_table) VALUES ({number + 10}, 'd{number}', 't')"  # noqa: S608
            )
            db.exec_driver_sql(
                "INSERT INTO sync_connections (id, name, domain_id, state, api_url, encrypted_api_token, company_id, "  # noqa: S608
                f"consent, on_delete, created_at) VALUES ({number}, 'c{number}', {number + 10}, 'active', 'u', '', 1, "
                "'respect', 'delete', '2026-01-01')"
            )
            db.exec_driver_sql(
                f"INSERT INTO sync_opt_outs VALUES ({number}, 'hash{number}', 'smsSubscribe')"  # noqa: S608
            )
    upgrade(engine)
    with engine.connect() as db:
        kept = db.execute(sa.select(tables.opt_outs).order_by(tables.opt_outs.c.domain_id)).all()
        assert [tuple(row) for row in kept] == [
            (11, "hash1", "smsSubscribe", None),
            (12, "hash2", "smsSubscribe", None),
        ]
        assert not sa.inspect(db).has_table("sync_opt_outs_before")
    engine.dispose()
