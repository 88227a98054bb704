"""What can go wrong with our own state; each message is one sentence for a person."""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlalchemy.exc import DBAPIError


class StoreError(Exception):
    """The state can't be read or written as asked."""


# What the drivers raise when the database itself is the trouble; `sentences` says what to tell of it.
DATABASE_ERRORS: tuple[type[Exception], ...]


def __getattr__(name: str) -> Any:
    """DATABASE_ERRORS, made when it is asked for: loading PostgreSQL's driver takes half as long as SQLAlchemy, and
    what only looks at SQLite needs it for nothing else."""
    if name != "DATABASE_ERRORS":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import psycopg

    return DBAPIError, psycopg.Error, sqlite3.Error
