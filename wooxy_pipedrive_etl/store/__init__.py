"""The program's own state, and the database that holds it: connections, matchings, snapshot, links, inbox, issues, run
reports.

Not here: the contacts themselves (`contact_list`), which share the database, and what users and runs do with this state
(`connections`, `matching`, `sync`).
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine

from . import keys
from .database import open_database
from .home import database_url, home
from .inbox import open_inbox
from .migrations import upgrade
from .secrets import SecretBox, open_secret_box


@dataclass(frozen=True)
class Store:
    """The database, migrated to the current version, and the key to its secrets. `inbox`: the engine of the tables in
    `inbox.py`."""

    engine: Engine
    secrets: SecretBox
    inbox: Engine

    @classmethod
    def open(
        cls, url: str | None = None, *, any_key: bool = False, sqlite_wait_seconds: float | None = None
    ) -> Store:
        """Opens `url`, or the database that the environment names. Creates a new key only for a database that needs no
        other key.

        `any_key`: the caller calls `check_key` before it reads or writes lists. `sqlite_wait_seconds`: see
        `open_database`.
        Raises StoreError; KeyUnusable for a key that does not belong to the database.
        """
        engine = open_database(url or database_url(), sqlite_wait_seconds)
        try:
            upgrade(engine)
            secrets = open_secret_box(home, lambda: keys.MISSING_KEY if keys.is_needed(engine) else None)
            if not any_key:
                keys.check(engine, secrets)
            return cls(engine, secrets, open_inbox(engine))
        except BaseException:
            engine.dispose()
            raise

    def check_key(self) -> None:
        """Raises KeyUnusable if opt-outs in the database were stored with another key; see `keys.check`."""
        keys.check(self.engine, self.secrets)

    def close(self) -> None:
        """Closes the database connections. The store can be used again."""
        self.engine.dispose()
        if self.inbox is not self.engine:
            self.inbox.dispose()
