"""What users are told when a database refuses: who is responsible, the cause, and what to do. All errors are real."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import dagster as dg
import psycopg
import pytest
import sqlalchemy as sa

from wooxy_pipedrive_etl.contact_list import ContactList
from wooxy_pipedrive_etl.store.database import open_database
from wooxy_pipedrive_etl.store.errors import DATABASE_ERRORS
from wooxy_pipedrive_etl.store.migrations import upgrade
from wooxy_pipedrive_etl.store.sentences import database_sentence

PERSON = "Aino Virtanen"


def _sentence(act: Callable[[], object]) -> str:
    """The sentence for the error that `act` raises: one line that shows no value."""
    with pytest.raises(DATABASE_ERRORS) as refused:
        act()
    sentence = database_sentence(refused.value)
    assert "\n" not in sentence
    assert PERSON not in sentence
    assert sentence.endswith(".")
    return sentence


def _execute(engine: sa.Engine, *statements: str) -> None:
    with engine.begin() as db:
        for statement in statements:
            db.exec_driver_sql(statement)


# What PostgreSQL can be made to say without breaking it: the test raises the code itself.
POSTGRES = {
    "08006": ["can't be reached or ended the connection", "try again"],
    "25006": ["is read-only", "name the primary server in WOOXY_PIPEDRIVE_DATABASE_URL"],
    "26000": ["behind a pooler in transaction mode", "a pooler in session mode"],
    "28P01": ["refused the sign-in", "the user and the password in WOOXY_PIPEDRIVE_DATABASE_URL"],
    "34000": ["behind a pooler in transaction mode"],
    "3D000": ["does not exist", "create it or check its name"],
    "40001": ["another program was changing the same rows", "try again"],
    "40P01": ["another program was changing the same rows", "try again"],
    "42P05": ["behind a pooler in transaction mode", "connect to PostgreSQL itself", "try again"],
    "53100": ["no space left on its disk", "make room, then try again"],
    "53200": ["run out of memory", "try again"],
    "53300": ["no connections left", "raise the limit", "try again"],
    "53400": ["run out of a resource", "try again"],
    "55006": ["locked by another program", "try again"],
    "55P03": ["locked by another program", "try again"],
    "57014": ["cancelled a statement", "statement_timeout", "try again"],
    "57P01": ["shutting down, starting or restarting", "try again"],
    "57P02": ["shutting down, starting or restarting", "try again"],
    "57P03": ["shutting down, starting or restarting", "try again"],
    "57P04": ["was dropped", "restore it"],
    "58030": ["can't read or write its files", "the server's log"],
    "P0001": ["has a trigger that refused a change", "try again"],
    "XX001": ["damaged data or an internal error", "the server's log"],
}
# Errors that only our own statements can cause.
DEFECTS = [
    "0A000",
    "22001",
    "22P02",
    "23000",
    "23505",
    "25P02",
    "42601",
    "42703",
    "42804",
    "42883",
    "42P01",
    "54011",
]


@pytest.mark.parametrize("code", POSTGRES)
def test_the_sqlstate_determines_the_sentence(postgres_state: sa.Engine, code: str) -> None:
    sentence = _sentence(lambda: _raise(postgres_state, code))
    assert sentence.startswith("The list's database ")
    assert f"({code})" in sentence
    for words in POSTGRES[code]:
        assert words in sentence
    assert "defect" not in sentence


@pytest.mark.parametrize("code", DEFECTS)
def test_our_defects_are_not_blamed_on_the_database(postgres_state: sa.Engine, code: str) -> None:
    sentence = _sentence(lambda: _raise(postgres_state, code))
    assert "a defect of wooxy-pipedrive, not of the database; report it" in sentence
    assert f" {code})" in sentence
    assert "try again" not in sentence


def _raise(engine: sa.Engine, code: str) -> None:
    raising = f"RAISE EXCEPTION '{PERSON}' USING ERRCODE = '{code}'"
    _execute(engine, f"DO $$ BEGIN {raising}; END $$")


def test_missing_table_or_column_is_our_defect(engine: sa.Engine) -> None:
    for statement in ("SELECT * FROM nowhere", "SELECT nothing FROM sync_domains", "SELEC"):
        sentence = _sentence(partial(_execute, engine, statement))
        assert "a defect of wooxy-pipedrive, not of the database" in sentence


@pytest.fixture
def role(postgres_url: str) -> Iterator[str]:
    """A role that may connect to the database of `postgres_url`, and nothing more."""
    name = f"Role {uuid.uuid4().hex[:8]}"
    owner = open_database(postgres_url)
    # The default since PostgreSQL 15.
    _execute(owner, f'CREATE ROLE "{name}" LOGIN', "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    yield name
    _execute(owner, f'DROP OWNED BY "{name}" CASCADE', f'DROP ROLE "{name}"')
    owner.dispose()


@pytest.fixture
def owner(postgres_url: str, role: str) -> Iterator[sa.Engine]:
    engine = open_database(postgres_url)
    yield engine
    engine.dispose()


@pytest.fixture
def restricted(postgres_url: str, role: str) -> Iterator[sa.Engine]:
    """The same database as `role` sees it."""
    engine = open_database(postgres_url.replace("postgres:@", f"{role.replace(' ', '%20')}:@"))
    yield engine
    engine.dispose()


def _grant_in(sentence: str) -> str:
    _, _, statement = sentence.partition("administrator run: ")
    return statement.partition(";")[0]


def test_each_missing_privilege_names_the_needed_grant(
    owner: sa.Engine, restricted: sa.Engine, role: str
) -> None:
    """The statements in the sentences are all that a role needs to get from nothing to a list."""

    def connect() -> None:
        upgrade(restricted)
        with restricted.begin() as db:
            ContactList.of_domain(db, "shop.example.com")

    database = owner.url.database
    told = []
    for _ in range(2):
        sentence = _sentence(connect)
        assert "(42501)" in sentence
        assert sentence.endswith("then try again.")
        told.append(_grant_in(sentence))
        _execute(owner, told[-1])
    assert told == [
        f'GRANT USAGE, CREATE ON SCHEMA public TO "{role}"',
        f'GRANT CREATE ON DATABASE {database} TO "{role}"',
    ]
    connect()


def test_a_role_without_a_schema_gets_instructions(
    owner: sa.Engine, restricted: sa.Engine, role: str
) -> None:
    _execute(owner, "REVOKE USAGE ON SCHEMA public FROM PUBLIC")
    sentence = _sentence(lambda: upgrade(restricted))
    assert "has no schema for new tables" in sentence
    statement = _grant_in(sentence)
    assert statement == f'CREATE SCHEMA AUTHORIZATION "{role}"'
    _execute(owner, statement)
    upgrade(restricted)


@pytest.mark.parametrize(
    ("made", "asked", "told"),
    [
        (
            "CREATE SCHEMA shop; CREATE TABLE shop.t (a int); GRANT USAGE ON SCHEMA shop TO {role}",
            "INSERT INTO shop.t VALUES (1)",
            "GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE shop.t TO {role}",
        ),
        (
            "CREATE SCHEMA shop; CREATE SEQUENCE shop.s; GRANT USAGE ON SCHEMA shop TO {role}",
            "SELECT nextval('shop.s')",
            "GRANT USAGE, SELECT, UPDATE ON SEQUENCE shop.s TO {role}",
        ),
        (
            "CREATE SCHEMA shop; CREATE TABLE shop.t (a int); GRANT USAGE ON SCHEMA shop TO {role}",
            "ALTER TABLE shop.t ADD COLUMN b int",
            "ALTER TABLE shop.t OWNER TO {role}",
        ),
        (
            "CREATE SCHEMA shop",
            "CREATE TABLE shop.t (a int)",
            "GRANT USAGE, CREATE ON SCHEMA shop TO {role}",
        ),
    ],
)
def test_the_suggested_statement_is_enough(
    owner: sa.Engine, restricted: sa.Engine, role: str, made: str, asked: str, told: str
) -> None:
    quoted = f'"{role}"'
    _execute(owner, *made.format(role=quoted).split("; "))
    sentence = _sentence(lambda: _execute(restricted, asked))
    assert _grant_in(sentence) == told.format(role=quoted)
    _execute(owner, _grant_in(sentence))
    _execute(restricted, asked)


def test_privileges_without_a_grant_point_to_docs(restricted: sa.Engine, role: str) -> None:
    sentence = _sentence(lambda: _execute(restricted, "CREATE ROLE another"))
    assert sentence.startswith(f'The role "{role}" lacks a privilege in the list\'s database (42501)')
    assert "docs/production.md" in sentence


def test_another_roles_table_is_named(owner: sa.Engine, restricted: sa.Engine, role: str) -> None:
    _execute(
        owner,
        f'GRANT CREATE, USAGE ON SCHEMA public TO "{role}"',
        "CREATE TABLE sync_connections (a int)",
        "CREATE SCHEMA shop_example_com",
        f'GRANT CREATE, USAGE ON SCHEMA shop_example_com TO "{role}"',
        "CREATE TABLE shop_example_com.default_contact_list (contact_id bigint)",
    )
    sentence = _sentence(lambda: upgrade(restricted))
    assert "a table sync_connections in the schema public" in sentence
    assert f'CREATE SCHEMA AUTHORIZATION "{role}"' in sentence
    _execute(owner, f'CREATE SCHEMA AUTHORIZATION "{role}"')
    restricted.dispose()
    upgrade(restricted)

    def connect() -> None:
        with restricted.begin() as db:
            ContactList.of_domain(db, "shop.example.com")

    statement = f'ALTER TABLE shop_example_com.default_contact_list OWNER TO "{role}"'
    assert statement in _sentence(connect)
    _execute(owner, statement)
    connect()


def test_a_view_replacing_a_table_is_named(postgres_url: str) -> None:
    engine = open_database(postgres_url)
    _execute(engine, "CREATE VIEW shown AS SELECT 1 AS a")
    sentence = _sentence(lambda: _execute(engine, "ALTER TABLE shown ADD COLUMN b int"))
    assert "has a view or another object in place of a table (42809" in sentence
    assert '"shown"' in sentence
    engine.dispose()


def test_refusing_columns_and_constraints_are_named(database_url: str) -> None:
    engine = open_database(database_url)
    _execute(
        engine,
        'CREATE TABLE listed (a text, "reference number" text NOT NULL, CONSTRAINT one_a UNIQUE (a))',
        "INSERT INTO listed VALUES ('x', 'x')",
    )
    sentence = _sentence(lambda: _execute(engine, "INSERT INTO listed (a) VALUES ('y')"))
    assert sentence.startswith("The column reference number of ")
    assert "listed is NOT NULL" in sentence
    sentence = _sentence(lambda: _execute(engine, "INSERT INTO listed VALUES ('x', 'y')"))
    assert sentence.startswith("The table ")
    assert "listed has a constraint (" in sentence
    assert sentence.endswith("drop it, then try again.")
    engine.dispose()


def test_constraint_of_our_own_table_is_our_defect(engine: sa.Engine) -> None:
    insert = "INSERT INTO sync_domains (name, list_table) VALUES "
    for values in ("('a', NULL)", "('a', 'a'), ('a', 'a')"):
        sentence = _sentence(partial(_execute, engine, insert + values))
        assert "a defect of wooxy-pipedrive" in sentence


def test_trigger_messages_about_rows_are_hidden(postgres_state: sa.Engine) -> None:
    with pytest.raises(sa.exc.DBAPIError) as refused:
        _raise(postgres_state, "P0001")
    # The statement, which the test wrote the name into, is none of the server's words.
    assert PERSON not in str(refused.value.args)
    assert PERSON not in str(refused.value.orig)


def test_a_foreign_trigger_is_named_as_the_cause(sqlite_url: str) -> None:
    engine = open_database(sqlite_url)
    _execute(
        engine,
        "CREATE TABLE listed (a text)",
        f"CREATE TRIGGER t BEFORE INSERT ON listed BEGIN SELECT RAISE(ABORT, '{PERSON}'); END",
    )
    sentence = _sentence(lambda: _execute(engine, "INSERT INTO listed VALUES ('x')"))
    assert "has a trigger that refused a change" in sentence
    engine.dispose()


def test_a_lost_connection_is_explained(postgres_url: str) -> None:
    engine = open_database(postgres_url)
    with engine.connect() as db, engine.connect() as other:
        victim = db.scalar(sa.text("SELECT pg_backend_pid()"))
        other.execute(sa.text("SELECT pg_terminate_backend(:victim)"), {"victim": victim})
        sentence = _sentence(lambda: db.execute(sa.text("SELECT 1")))
        assert "is shutting down, starting or restarting (57P01)" in sentence
    engine.dispose()


def test_a_refused_connection_gives_the_servers_reason(
    owner: sa.Engine, restricted: sa.Engine, role: str
) -> None:
    restricted.dispose()
    _execute(owner, f'ALTER ROLE "{role}" CONNECTION LIMIT 0')
    sentence = _sentence(restricted.connect)
    assert f'can\'t be reached or ended the connection (too many connections for role "{role}")' in sentence
    assert sentence.endswith("then try again.")


def test_a_lock_is_explained(postgres_url: str) -> None:
    engine = open_database(postgres_url)
    _execute(engine, "CREATE TABLE t (a int)")
    with engine.begin() as db:
        db.exec_driver_sql("LOCK TABLE t")
        sentence = _sentence(lambda: _execute(engine, "SET lock_timeout = 1", "SELECT * FROM t"))
    assert "locked by another program (55P03)" in sentence
    engine.dispose()


def test_foreign_prepared_statements_are_blamed_on_the_pooler(postgres_url: str) -> None:
    """As behind a pooler that switches a client between sessions."""
    engine = open_database(postgres_url)
    with engine.connect() as db:
        db.exec_driver_sql("PREPARE _pg3_0 AS SELECT 1")
        sentence = _sentence(lambda: [db.execute(sa.text("SELECT 2")) for _ in range(10)])
    assert "behind a pooler in transaction mode (42P05)" in sentence
    engine.dispose()


def test_a_full_sqlite_disk_is_explained(sqlite_url: str) -> None:
    engine = open_database(sqlite_url)
    with engine.connect() as db:
        db.exec_driver_sql("CREATE TABLE t (a text)")
        db.exec_driver_sql("PRAGMA max_page_count = 2")
        sentence = _sentence(lambda: db.exec_driver_sql("INSERT INTO t VALUES (zeroblob(100000))"))
    assert sentence == (
        "The list's database has no space left on its disk (SQLITE_FULL); make room, then try again."
    )
    engine.dispose()


def test_busy_sqlite_is_explained(sqlite_url: str) -> None:
    engine = open_database(sqlite_url, sqlite_wait_seconds=0)
    with engine.begin():
        sentence = _sentence(lambda: _execute(engine, "SELECT 1"))
    assert "locked by another program (SQLITE_BUSY)" in sentence
    engine.dispose()


def test_read_only_sqlite_is_explained(sqlite_url: str) -> None:
    open_database(sqlite_url).dispose()
    file = sqlite_url.removeprefix("sqlite:///")
    engine = sa.create_engine(f"sqlite:///file:{file}?mode=ro&uri=true")
    sentence = _sentence(lambda: _execute(engine, "CREATE TABLE t (a text)"))
    assert "can't be written (SQLITE_READONLY); see that you may write its file" in sentence
    engine.dispose()


def test_damaged_and_missing_files_are_explained(tmp_path: Path) -> None:
    letter = tmp_path / "letter.db"
    letter.write_text("Dear all, " * 1_000)
    db = sqlite3.connect(letter)
    assert "its file is not a database (SQLITE_NOTADB)" in _sentence(lambda: db.execute("SELECT * FROM t"))
    db.close()
    nowhere = tmp_path / "nowhere" / "list.db"
    assert "can't be opened (SQLITE_CANTOPEN)" in _sentence(lambda: sqlite3.connect(nowhere))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("SQLITE_IOERR_WRITE", "can't read or write its file"),
        ("SQLITE_CORRUPT_VTAB", "is damaged"),
        ("SQLITE_BUSY_SNAPSHOT", "locked by another program"),
        ("SQLITE_READONLY_DBMOVED", "can't be written"),
        ("SQLITE_NOMEM", "out of memory"),
        ("SQLITE_MISUSE", "a defect of wooxy-pipedrive"),
    ],
)
def test_sqlites_extended_codes_count_as_their_class(name: str, words: str) -> None:
    error = sqlite3.OperationalError(PERSON)
    error.sqlite_errorname = name
    sentence = database_sentence(error)
    assert words in sentence
    assert name in sentence
    assert PERSON not in sentence


def test_dagsters_storage_is_named_as_such(tmp_path: Path) -> None:
    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        instance.get_runs_count()
        for file in tmp_path.rglob("*.db"):
            file.write_text("Dear all, " * 1_000)
        sentence = _sentence(instance.get_runs_count)
    assert sentence.startswith("Dagster's storage in DAGSTER_HOME is damaged, or its file is not a database")


def test_dagsters_storage_with_a_wrong_driver_is_explained(postgres_url: str) -> None:
    """PostgreSQL's URL without +psycopg2, which SQLAlchemy 2.1 takes to mean psycopg 3."""

    @dg.job
    def job() -> None: ...

    storage = {"storage": {"postgres": {"postgres_url": postgres_url}}}
    with dg.instance_for_test(overrides=storage) as instance:
        sentence = _sentence(lambda: job.execute_in_process(instance=instance))
    assert sentence.startswith("Dagster's storage needs the driver psycopg2 (SyntaxError 42601)")


def test_list_errors_within_dagster_runs_name_the_list(postgres_state: sa.Engine) -> None:
    """Dagster called us, and we called the database."""

    @dg.op
    def step() -> None:
        with postgres_state.begin() as db:
            ContactList(1, "nowhere", None, "nowhere").count(db)

    @dg.job
    def job() -> None:
        step()

    sentence = _sentence(job.execute_in_process)
    assert sentence.startswith("wooxy-pipedrive asked the list's database")


def test_an_error_caused_by_the_database_is_explained() -> None:
    error = RuntimeError("too many retries")
    error.__cause__ = psycopg.errors.DiskFull()
    assert "no space left on its disk (53100)" in database_sentence(error)
