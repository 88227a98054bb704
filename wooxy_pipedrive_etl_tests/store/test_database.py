from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa

from wooxy_pipedrive_etl.store import Store
from wooxy_pipedrive_etl.store.bulk import copy_into
from wooxy_pipedrive_etl.store.database import DatabaseUnavailable, open_database, reading
from wooxy_pipedrive_etl.store.home import HomeUnusable, dagster_home, home


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("list.db", "not a SQLAlchemy URL"),
        ("", "not a SQLAlchemy URL"),
        ("oracel://u:hunter2@host/db", "not a SQLAlchemy URL"),
        ("mysql://u:hunter2@host/db", "names mysql; use sqlite or postgresql"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("sqlite:///file:list?mode=memory&uri=true", "in memory"),
        ("postgresql://u:hunter2@127.0.0.1:1/db", "The database db at 127.0.0.1 can't be opened"),
        ("postgres://u:hunter2@127.0.0.1:1/my%20db", "The database my db at 127.0.0.1 can't be opened"),
        (" postgresql://u:hunter2@127.0.0.1:1/db\n", "The database db at 127.0.0.1 can't be opened"),
        ("postgresql://u:hunter2@127.0.0.1:1", "The database at 127.0.0.1 can't be opened"),
        ("postgresql:///db?host=/nowhere&password=hunter2", "The database db can't be opened"),
        ("postgresql://u:p:hunter2/p@127.0.0.1:1/db", "The database db at 127.0.0.1 can't be opened"),
        ("postgresql://u:p@hunter2@127.0.0.1:1/db", "percent-encoded: @ as %40, / as %2F, : as %3A"),
        ("postgres://u:p@hunter2@127.0.0.1:1/db", "percent-encoded"),
        ("postgresql://u:p@hunter2/p@127.0.0.1:1/db", "percent-encoded"),
        ("postgresql://u:p@hunter2?p@127.0.0.1:1/db", "percent-encoded"),
        ("postgresql://u/ser:hunter2@127.0.0.1:1/db", "percent-encoded"),
        ("postgresql://u:p@hunter2:p@127.0.0.1:1/db", "percent-encoded"),
        ("postgresql://u:hunter2/p", "not a SQLAlchemy URL"),
        ("postgresql+asyncpg://u@127.0.0.1:1/db?password=hunter2", "can't be opened"),
        ("postgresql://hunter2:hunter2@127.0.0.1:1/db?sslpassword=hunter2", "can't be opened"),
    ],
)
def test_an_unusable_url_is_refused_without_its_password(url: str, told: str) -> None:
    with pytest.raises(DatabaseUnavailable) as refused:
        open_database(url)
    message = str(refused.value)
    assert told in message
    assert "WOOXY_PIPEDRIVE_DATABASE_URL" in message
    assert "hunter2" not in message
    assert "\n" not in message


def test_urls_of_secret_files_and_hosters_are_accepted(postgres_url: str) -> None:
    for url in (f" {postgres_url}\n", postgres_url.replace("postgresql+psycopg://", "postgres://")):
        engine = open_database(url)
        with engine.connect() as db:
            assert db.scalar(sa.text("SELECT 1")) == 1
        engine.dispose()


def test_a_file_name_with_special_characters_is_opened(tmp_path: Path) -> None:
    open_database(f"sqlite:///{tmp_path / 'shop@example.com' / 'list@2.db'}").dispose()
    assert (tmp_path / "shop@example.com" / "list@2.db").exists()


def test_a_non_database_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear all, " * 1_000)
    with pytest.raises(DatabaseUnavailable, match="not a database"):
        open_database(f"sqlite:///{tmp_path / 'letter.txt'}")


def test_a_folder_that_cannot_be_created_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("")
    with pytest.raises(DatabaseUnavailable, match=r"letter\.txt"):
        open_database(f"sqlite:///{tmp_path / 'letter.txt' / 'list.db'}")


def test_a_home_readable_by_others_becomes_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o755)
    monkeypatch.setenv("WOOXY_PIPEDRIVE_HOME", str(folder))
    assert home() == folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_home_that_cannot_be_created_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "letter.txt").write_text("")
    monkeypatch.setenv("WOOXY_PIPEDRIVE_HOME", str(tmp_path / "letter.txt"))
    with pytest.raises(HomeUnusable, match="set WOOXY_PIPEDRIVE_HOME"):
        Store.open()


def test_the_embedded_database_is_private_to_its_owner(home_folder: Path) -> None:
    store = Store.open()
    with store.engine.begin() as db:
        db.execute(sa.text("SELECT 1"))
    files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in home_folder.iterdir()}
    store.close()
    assert {"wooxy_pipedrive.db", "key"} <= files.keys()
    assert set(files.values()) == {0o600}
    assert stat.S_IMODE(home_folder.stat().st_mode) == 0o700
    assert dagster_home() == home_folder / "dagster"


def test_the_store_can_be_read_during_other_writes(database_url: str) -> None:
    first = Store.open(database_url)
    with first.engine.begin() as writer:
        writer.execute(sa.text("INSERT INTO sync_domains (name, list_table) VALUES ('a', 'b')"))
        second = Store.open(database_url)
        with reading(second.engine) as reader:
            assert reader.execute(sa.text("SELECT count(*) FROM sync_domains")).scalar() == 0
        second.close()
    first.close()


def test_writers_that_read_first_do_not_conflict(engine: sa.Engine) -> None:
    """On SQLite, a transaction that began by reading cannot start to write once another one has written."""
    with engine.begin() as db:
        db.execute(sa.text("SELECT count(*) FROM sync_domains")).scalar()
        if engine.dialect.name == "sqlite":
            other = sa.create_engine(engine.url, connect_args={"timeout": 0})
            with other.connect() as impatient, pytest.raises(sa.exc.OperationalError, match="locked"):
                impatient.execute(sa.text("INSERT INTO sync_domains (name, list_table) VALUES ('a', 'b')"))
            other.dispose()
        db.execute(sa.text("INSERT INTO sync_domains (name, list_table) VALUES ('c', 'd')"))


PERSON = "Aino Virtanen"


ROW = sa.text("INSERT INTO sync_domains (name, list_table) VALUES (:name, :list_table)")
PAGE = pd.DataFrame({"id": [1], "name": [PERSON], "list_table": ["a"]}, dtype=object)


@pytest.mark.parametrize(
    "write",
    [
        lambda db: db.execute(ROW, {"name": PERSON, "list_table": None}),
        lambda db: db.execute(ROW, [{"name": PERSON, "list_table": "a"}] * 2),
        lambda db: copy_into(db, "sync_domains", PAGE.assign(list_table=None)),
        lambda db: copy_into(db, "sync_domains", pd.concat([PAGE, PAGE.assign(id=2)])),
    ],
    ids=["a required value", "many rows", "a required value in bulk", "a taken value in bulk"],
)
def test_a_refused_write_shows_no_values(db: sa.Connection, write: Callable[[sa.Connection], object]) -> None:
    with pytest.raises(sa.exc.IntegrityError, match="sync_domains") as refused:
        write(db)
    error: BaseException | None = refused.value
    while error is not None:
        assert PERSON not in str(error)
        assert PERSON not in repr(error)
        error = error.__cause__ or error.__context__


def test_both_ends_send_keepalives(postgres_url: str) -> None:
    """Otherwise a worker that lost power would keep its connections open for two hours."""
    engine = open_database(f"{postgres_url}&keepalives_idle=5")
    assert {name: engine.url.query.get(name) for name in ("keepalives_idle", "keepalives_count")} == {
        "keepalives_idle": "5",
        "keepalives_count": "3",
    }
    asked = sa.text("SELECT name FROM pg_settings WHERE name LIKE 'tcp_keepalives_%' AND source = 'session'")
    for _ in range(2):
        with engine.connect() as db:
            assert len(db.scalars(asked).all()) == 3
            db.rollback()
    engine.dispose()


def test_a_value_of_the_wrong_type_is_hidden(postgres_url: str) -> None:
    engine = open_database(postgres_url)
    page = pd.DataFrame({"a": [PERSON]})
    with engine.begin() as db:
        db.execute(sa.text("CREATE TEMP TABLE t (a BIGINT)"))
        with pytest.raises(sa.exc.DataError) as refused:
            copy_into(db, "t", page)
        db.rollback()
    assert PERSON not in str(refused.value)
    engine.dispose()


def test_store_does_not_show_its_password_or_key(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "A" * 43 + "="
    monkeypatch.setenv("WOOXY_PIPEDRIVE_KEY", key)
    store = Store.open(f"{postgres_url}&password=hunter2")
    store.close()
    assert key not in repr(store)
    assert "hunter2" not in repr(store)
    assert store.engine.url.password == "hunter2"


class _Interrupting:
    """A value interrupted by a signal on its way into the database."""

    def __conform__(self, _protocol: object) -> str:
        raise KeyboardInterrupt


def test_an_interrupted_statement_blocks_no_writer(sqlite_url: str) -> None:
    """Even while the interrupt's traceback holds the cursor, as it does while the end of the run is recorded."""
    engine = open_database(sqlite_url, sqlite_wait_seconds=0.1)
    with engine.begin() as db:
        db.exec_driver_sql("CREATE TABLE numbers (number)")
    with pytest.raises(KeyboardInterrupt) as interrupt, engine.begin() as db:
        db.exec_driver_sql("INSERT INTO numbers VALUES (?)", [(1,), (_Interrupting(),)])
    with engine.begin() as db:
        db.exec_driver_sql("INSERT INTO numbers VALUES (2)")
        assert db.exec_driver_sql("SELECT number FROM numbers").scalars().all() == [2]
    assert interrupt.traceback
    engine.dispose()
