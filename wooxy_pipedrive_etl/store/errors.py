"""What can go wrong with our own state; each message is one sentence for a person."""

from __future__ import annotations

import sqlite3

import psycopg
from sqlalchemy.exc import DBAPIError

# The sentence for each of DATABASE_ERRORS.
from .sentences import database_sentence as database_sentence


class StoreError(Exception):
    """The state can't be read or written as asked."""


# What the drivers raise when the database itself is the trouble.
DATABASE_ERRORS = (DBAPIError, psycopg.Error, sqlite3.Error)
