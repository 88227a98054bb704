"""Many databases, each a copy of a prepared one: SQLite files, or databases of a PostgreSQL server."""

from __future__ import annotations

import itertools
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import psycopg

from wooxy_pipedrive_etl_tests.patience import wait_until

_numbers = itertools.count(1)


class Databases(Protocol):
    """Databases are identified by SQLAlchemy URLs. A database must not be in use while it is copied."""

    name: str

    def new(self) -> str:
        """An empty one."""

    def copy(self, url: str) -> str: ...

    def drop(self, url: str) -> None: ...

    def wait_until_left(self, url: str) -> float:
        """Returns once no session of a dead program is left, and how many seconds that took."""


class SqliteDatabases:
    name = "SQLite"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def new(self) -> str:
        return f"sqlite:///{self._folder / f'database-{next(_numbers)}.db'}"

    def copy(self, url: str) -> str:
        copied = self.new()
        # The inbox is a separate file next to it.
        for suffix in ("", "-inbox"):
            original, copy = (_file(each).with_name(_file(each).name + suffix) for each in (url, copied))
            if original.exists():
                shutil.copy(original, copy)
        return copied

    def drop(self, url: str) -> None:
        for file in self._folder.glob(f"{_file(url).name}*"):
            file.unlink()

    def wait_until_left(self, url: str) -> float:
        return 0.0


class PostgresDatabases:
    """`server`: the URI of a database of the server, used to create the others."""

    name = "PostgreSQL"

    def __init__(self, server: str) -> None:
        self._server = server

    def new(self) -> str:
        return self._create("template1")

    def copy(self, url: str) -> str:
        return self._create(_database(url))

    def drop(self, url: str) -> None:
        with psycopg.connect(self._server, autocommit=True) as db:
            db.execute(f'DROP DATABASE "{_database(url)}" WITH (FORCE)')

    def wait_until_left(self, url: str) -> float:
        """A session notices that its program is dead when its statement ends."""
        with psycopg.connect(self._server, autocommit=True) as db:

            def left() -> bool:
                sessions = db.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = %s", (_database(url),)
                ).fetchone()
                return sessions == (0,)

            began = time.monotonic()
            wait_until(left, "a session of a dead program")
            return time.monotonic() - began

    def _create(self, template: str) -> str:
        name = f"copy_{next(_numbers)}"
        with psycopg.connect(self._server, autocommit=True) as db:
            db.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        head, _, tail = self._server.replace("postgresql://", "postgresql+psycopg://").partition("?")
        return f"{head.rpartition('/')[0]}/{name}?{tail}"


@contextmanager
def copied(databases: Databases, url: str) -> Iterator[str]:
    """A copy for as long as the context lasts."""
    copy = databases.copy(url)
    try:
        yield copy
    finally:
        databases.drop(copy)


def _file(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


def _database(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]
