"""Who is signed in to the pages: one row per browser session, so that it can be ended wherever its cookie was copied
to."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

import sqlalchemy as sa

from . import tables
from .clock import utc_now

_sessions = tables.sessions


def begin(db: sa.Connection, mark: str, lifetime: timedelta) -> str:
    """Begins a session and returns the token for the browser. Removes expired sessions. `mark`: identifies the password
    that the session begins with."""
    now = utc_now()
    db.execute(_sessions.delete().where(_sessions.c.expires_at <= now))
    token = secrets.token_urlsafe(32)
    db.execute(_sessions.insert().values(token_hash=_hash(token), mark=mark, expires_at=now + lifetime))
    return token


def is_open(db: sa.Connection, token: str, mark: str) -> bool:
    """Whether this token's session is open and began with the password of this mark."""
    return (
        db.execute(
            sa.select(sa.literal(1)).where(
                _sessions.c.token_hash == _hash(token),
                _sessions.c.mark == mark,
                _sessions.c.expires_at > utc_now(),
            )
        ).first()
        is not None
    )


def end(db: sa.Connection, token: str) -> None:
    db.execute(_sessions.delete().where(_sessions.c.token_hash == _hash(token)))


def _hash(token: str) -> str:
    # Only a hash is stored: reading the database does not let anyone sign in.
    return hashlib.sha256(token.encode()).hexdigest()
