from __future__ import annotations

from datetime import datetime, timedelta
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
from wooxy_pipedrive_etl.store.budgets import Budget
from wooxy_pipedrive_etl.store.connections import get_connection, list_connections
from wooxy_pipedrive_etl.store.credentials import StoredCredentials
from wooxy_pipedrive_etl.store.database import open_database
from wooxy_pipedrive_etl.store.migrations import VERSION_TABLE, NewerDatabase, newest_revision, upgrade
from wooxy_pipedrive_etl.store.polls import Polls
from wooxy_pipedrive_etl.store.sync_state import SyncState
from wooxy_pipedrive_etl.store.walks import unfinished_walk
from wooxy_pipedrive_etl.store.webhooks import NO_WEBHOOK, StoredWebhook

from .conftest import new_connection
from .programs import program, read_line, say


def test_migrations_create_the_tables_of_the_code(engine: sa.Engine) -> None:
    with engine.connect() as db:
        context = MigrationContext.configure(
            db,
            opts={
                "version_table": VERSION_TABLE,
                "compare_type": True,
                "compare_server_default": True,
                # The database may contain other things too.
                "include_name": lambda name, kind, _parents: kind != "table" or name.startswith("sync_"),
            },
        )
        assert compare_metadata(context, tables.metadata) == []


def test_constraints_match_those_in_the_code(engine: sa.Engine) -> None:
    """What Alembic does not compare: primary keys, cascading deletes, and required columns."""
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
    # Their file names show which comes last.
    files = [Path(step.path).name for step in steps.walk_revisions()]
    assert files == sorted(files, reverse=True)
    assert [name.partition("_")[0] for name in files] == [step.revision for step in steps.walk_revisions()]


def test_upgrading_again_changes_nothing(engine: sa.Engine) -> None:
    with engine.begin() as db:
        new_connection(db, "acme", "shop.example.com")
    upgrade(engine)
    with engine.connect() as db:
        assert db.execute(sa.select(tables.connections.c.name)).scalars().all() == ["acme"]


def test_other_tables_in_the_database_stay(database_url: str) -> None:
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


def test_programs_starting_together_upgrade_once(database_url: str) -> None:
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


def _old_connection(db: sa.Connection, number: int, **values: object) -> int:
    """A connection (and its domain, numbered separately) as versions before 0010 stored it; returns its id."""
    db.execute(
        sa.text("INSERT INTO sync_domains (id, name, list_table) VALUES (:id, :name, 't')"),
        {"id": number + 10, "name": f"d{number}"},
    )
    row: dict[str, object] = {
        "id": number,
        "name": f"c{number}",
        "domain_id": number + 10,
        "state": "active",
        "api_url": "u",
        "encrypted_api_token": "",
        "company_id": 1,
        "consent": "respect",
        "on_delete": "delete",
        "created_at": datetime(2026, 1, 1),
        "unapplied": False,
        "paused": False,
        **values,
    }
    table = sa.table("sync_connections", *map(sa.column, row))
    db.execute(table.insert().values(row))
    return number


def test_guards_and_owners_move_from_sentences_to_columns(database_url: str) -> None:
    """A database of the version that had guards and owners in sentences only."""
    engine = open_database(database_url)
    _upgrade_to(engine, "0006")
    with engine.begin() as db:
        record = _old_connection(
            db,
            1,
            requested_run=(
                '{"kind": "full", "dry_run": false, "allow_mass_delete": true, "use_reserve": true, '
                '"requested_at": "2026-11-01T00:00:00+00:00", "key": "k"}'
            ),
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
        request = requested_run(get_connection(db, "c1"))
        assert request is not None
        # Which deletions were meant is no longer known.
        assert request.permissions == Permissions(reserve=True)
    engine.dispose()


def test_old_opt_outs_are_migrated_to_domains(database_url: str) -> None:
    engine = open_database(database_url)
    _upgrade_to(engine, "0006")
    with engine.begin() as db:
        for number in (1, 2):
            _old_connection(db, number)
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


def test_the_wide_connection_table_is_split_up(database_url: str) -> None:
    """Nothing in the wide table is lost; of a company's budgets, the latest stays."""
    engine = open_database(database_url)
    _upgrade_to(engine, "0009")
    moment = datetime(2026, 11, 1, 12, 30, 1)
    request = (
        '{"kind": "full", "dry_run": false, "permissions": {"reserve": true}, '
        '"requested_at": "2026-11-01T00:00:00+00:00", "key": "k"}'
    )
    with engine.begin() as db:
        _old_connection(
            db,
            1,
            state="disconnected",
            company_id=7,
            default_region="FI",
            consent="require",
            on_delete="keep",
            paused=True,
            watermark=2**53 + 1,
            left_out_fields="a,b",
            applied_revision=3,
            names_watermark=4,
            null_update_times=False,
            mapped_with="hash",
            unapplied=True,
            plain_walk_began=5,
            windows_refused_at=6,
            walk_began=8,
            walk_fields=None,
            polled_persons_at=moment,
            polled_fields_at=None,
            webhook_id=9,
            webhook_url="https://w",
            encrypted_webhook_password="p",
            encrypted_oauth_tokens="tokens",
            oauth_expires_at=moment,
            oauth_scopes="base",
            oauth_user_id=10,
            access_lost="revoked",
            requested_run=request,
            daily_token_limit=100,
            daily_tokens_left=20,
            budget_noted_at=moment,
        )
        _old_connection(
            db,
            2,
            encrypted_api_token="token",
            company_id=7,
            daily_token_limit=100,
            daily_tokens_left=10,
            budget_noted_at=moment + timedelta(seconds=1),
        )
        _old_connection(db, 3, company_id=7, daily_tokens_left=30)
        _old_connection(db, 4, company_id=8)
        db.exec_driver_sql("CREATE TABLE sync_leaving_1 (contact_id int)")
        db.execute(
            tables.walk_pages.insert().values(connection_id=1, number=0, next_cursor="c", person_ids=b"")
        )
    upgrade(engine)
    with engine.connect() as db:
        first, second, _, fourth = list_connections(db)
        assert (first.state, first.paused, first.company_id) == ("disconnected", True, 7)
        assert (first.default_region, first.consent, first.on_delete) == ("FI", "require", "keep")
        assert first.sync_state == SyncState(2**53 + 1, 4, "a,b", False, 3, "hash", True, 5, 6)
        assert first.polls == Polls(moment, None)
        assert first.webhook == StoredWebhook(9, "https://w", "p")
        assert first.credentials == StoredCredentials("", "tokens", moment, "base", 10, "revoked")
        assert first.requested_run == request
        walk = unfinished_walk(db, 1)
        assert walk is not None
        assert (walk.began, walk.fields, walk.next_cursor) == (8, [], "c")
        assert second.credentials == StoredCredentials("token")
        assert second.sync_state == SyncState(None, None, None, None, None, None, False, None, None)
        assert (second.webhook, second.polls, second.requested_run) == (NO_WEBHOOK, Polls(), None)
        assert unfinished_walk(db, 2) is None
        assert first.budget == second.budget == Budget(100, 10, moment + timedelta(seconds=1))
        assert fourth.budget == Budget()
        assert not sa.inspect(db).has_table("sync_leaving_1")
    engine.dispose()
