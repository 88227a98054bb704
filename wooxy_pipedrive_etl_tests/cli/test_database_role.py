"""The privileges in docs/production.md are enough for everything; if one is missing, the command names it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from wooxy_pipedrive_etl_tests.cli.command_line import CommandLine

PAGE = Path(__file__).parents[2] / "docs" / "production.md"
ROLE, OWN_DATABASE, SHARED_DATABASE = "wooxy", "wooxy", "shared"


class _Server:
    """A real PostgreSQL server, as its administrator sees it."""

    def __init__(self, uri: str) -> None:
        self.uri = uri

    def run(self, script: str, database: str = "postgres") -> None:
        with psycopg.connect(self.uri.replace("/postgres?", f"/{database}?"), autocommit=True) as db:
            for statement in filter(str.strip, script.split(";")):
                db.execute(statement.strip().encode())

    def url(self, database: str) -> str:
        """The database URL for the role."""
        return self.uri.replace("postgres:@", f"{ROLE}:@").replace("/postgres?", f"/{database}?")


@pytest.fixture
def server(postgres_server: str) -> Iterator[_Server]:
    """A server with a database that others use too."""
    server = _Server(postgres_server)
    server.run(f"CREATE DATABASE {SHARED_DATABASE}")
    # The default from PostgreSQL 15 on, and not everyone may connect.
    server.run("REVOKE CREATE ON SCHEMA public FROM PUBLIC", SHARED_DATABASE)
    server.run(f"REVOKE CONNECT ON DATABASE {SHARED_DATABASE} FROM PUBLIC")
    yield server
    for database in (OWN_DATABASE, SHARED_DATABASE):
        server.run(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
    server.run(f"DROP ROLE IF EXISTS {ROLE}")


@pytest.fixture
def scripts() -> list[str]:
    """The scripts the page gives an administrator: a database of its own, a shared one, a table to adopt."""
    text = PAGE.read_text("utf-8")
    return [found[1] for found in re.finditer(r"^ *```sql\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)]


def _go_all_the_way(program: CommandLine, tmp_path: Path) -> None:
    ended = program.connect()
    assert (ended.code, ended.err) == (0, "")
    file = str(tmp_path / "matching.yaml")
    assert program("match", "acme", "--suggest").code == 0
    assert program("match", "acme", "--export", file).code == 0
    ended = program("match", "acme", "--import", file)
    assert (ended.code, ended.err) == (0, "")
    program.run_steps()
    assert len(program("contacts", "acme", "--format", "json").json) == 3


def test_owner_of_the_database_may_do_everything(
    program: CommandLine, server: _Server, scripts: list[str], tmp_path: Path
) -> None:
    server.run(scripts[0])
    program.variables["WOOXY_PIPEDRIVE_DATABASE_URL"] = server.url(OWN_DATABASE)
    _go_all_the_way(program, tmp_path)


def test_privileges_for_a_shared_database_are_enough(
    program: CommandLine, server: _Server, scripts: list[str], tmp_path: Path
) -> None:
    role = scripts[0].partition(";")[0]
    server.run(role)
    program.variables["WOOXY_PIPEDRIVE_DATABASE_URL"] = server.url(SHARED_DATABASE)
    ended = program("status")
    assert (ended.code, ended.out) == (1, "")
    assert 'permission denied for database "shared"' in ended.err
    server.run(f"GRANT CONNECT ON DATABASE {SHARED_DATABASE} TO {ROLE}")
    ended = program("status")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == (
        "The role wooxy lacks privileges on the schema public in the list's database (42501); "
        "have an administrator run: GRANT USAGE, CREATE ON SCHEMA public TO wooxy; then try again.\n"
    )
    server.run(scripts[1], SHARED_DATABASE)
    _go_all_the_way(program, tmp_path)


def test_another_roles_table_is_adopted_once_owned(
    program: CommandLine, server: _Server, scripts: list[str], tmp_path: Path
) -> None:
    server.run(scripts[0].partition(";")[0])
    server.run(scripts[1], SHARED_DATABASE)
    server.run(
        "CREATE SCHEMA shop_example_com;"
        "CREATE TABLE shop_example_com.default_contact_list (contact_id bigint PRIMARY KEY, email text)",
        SHARED_DATABASE,
    )
    program.variables["WOOXY_PIPEDRIVE_DATABASE_URL"] = server.url(SHARED_DATABASE)
    ended = program.connect()
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith(
        "The role wooxy lacks privileges on the schema shop_example_com in the list's"
    )
    server.run(scripts[2], SHARED_DATABASE)
    _go_all_the_way(program, tmp_path)
