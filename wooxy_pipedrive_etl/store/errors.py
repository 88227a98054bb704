"""What can go wrong with the program's own state. Each message is one sentence for the user."""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlalchemy.exc import DBAPIError


class StoreError(Exception):
    """The state can't be read or written as requested."""


# What the drivers raise when the database itself is the problem; `sentences` turns these errors into messages.
DATABASE_ERRORS: tuple[type[Exception], ...]


def __getattr__(name: str) -> Any:
    """Creates DATABASE_ERRORS on first use: loading PostgreSQL's driver takes half as long as loading SQLAlchemy, and
    code that only reads SQLite does not need it."""
    if name != "DATABASE_ERRORS":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import psycopg

    return DBAPIError, psycopg.Error, sqlite3.Error
