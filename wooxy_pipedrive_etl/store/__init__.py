"""Our own state beside the list: connections, matchings, snapshot, links, inbox, issues, run reports; its database."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine

# The inbox is opened with the table of this one, too.
from . import progress as progress
from .database import open_database
from .home import database_url, home
from .inbox import open_inbox
from .migrations import upgrade
from .secrets import SecretBox, open_secret_box


@dataclass(frozen=True)
class Store:
    """The database, brought up to date, and the key to its secrets. `inbox`: where the tables of `inbox.py` and
    `progress.py` are."""

    engine: Engine
    secrets: SecretBox
    inbox: Engine

    @classmethod
    def open(cls, url: str | None = None) -> Store:
        """Opens `url`, or the database that the environment names. Raises StoreError."""
        engine = open_database(url or database_url())
        upgrade(engine)
        return cls(engine, open_secret_box(home), open_inbox(engine))

    def close(self) -> None:
        """Lets go of the database's connections; it may be used again."""
        self.engine.dispose()
        if self.inbox is not self.engine:
            self.inbox.dispose()
