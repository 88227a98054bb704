"""Installations: Pipedrive accounts that have granted access, but whose Wooxy domain is not chosen yet."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from . import tables
from .clock import utc_now
from .connections import connections_of_user
from .credentials import OAuthTokens, granted_scopes
from .errors import StoreError

# A user who has not chosen a domain by then starts again.
LIVES = timedelta(days=1)
_ID_BITS = 53


class UnknownInstallation(StoreError):
    """No installation has this number."""


@dataclass(frozen=True)
class Installation:
    """One row of `sync_installations`. `connected_to`: the same user's connections that use OAuth."""

    id: int
    api_url: str
    company_id: int
    company_name: str
    company_domain: str
    user_id: int
    user_name: str
    is_admin: bool
    encrypted_api_token: str = field(repr=False)
    tokens: OAuthTokens | None
    created_at: datetime
    connected_to: list[str]

    @property
    def access(self) -> str:
        """How it authenticates: "oauth" or "api token"."""
        return "api token" if self.tokens is None else "oauth"

    @property
    def scopes(self) -> frozenset[str] | None:
        """The scopes that the user granted; None if unknown."""
        return None if self.tokens is None else granted_scopes(self.tokens.scopes)


def add_installation(
    db: sa.Connection, *, encrypted_api_token: str = "", tokens: OAuthTokens | None = None, **values: Any
) -> Installation:
    """Stores a new installation (`values`: the columns other than id and created_at). Removes those older than a day,
    and earlier ones of the same user and kind of access."""
    table, now = tables.installations, utc_now()
    oauth = table.c.encrypted_oauth_tokens.is_not(None)
    same = sa.and_(
        table.c.company_id == values["company_id"],
        table.c.user_id == values["user_id"],
        sa.not_(oauth) if tokens is None else oauth,
    )
    db.execute(table.delete().where(sa.or_(same, table.c.created_at < now - LIVES)))
    # A random number: SQLite would reuse the number of a removed installation, and a page still open would mistake the
    # new one for the old one.
    number = secrets.randbits(_ID_BITS)
    given = {} if tokens is None else _columns(tokens)
    values |= {"encrypted_api_token": encrypted_api_token, **given}
    db.execute(table.insert().values(id=number, created_at=now, **values))
    return get_installation(db, number)


def get_installation(db: sa.Connection, installation_id: int) -> Installation:
    """Raises UnknownInstallation."""
    table = tables.installations
    row = db.execute(sa.select(table).where(table.c.id == installation_id)).mappings().one_or_none()
    if row is None:
        raise UnknownInstallation(
            "That Pipedrive account no longer waits for its domain; start again with Add integration."
        )
    return _read(db, row)


def list_installations(db: sa.Connection) -> list[Installation]:
    """All installations, newest first."""
    table = tables.installations
    rows = db.execute(sa.select(table).order_by(table.c.created_at.desc(), table.c.id.desc()))
    return [_read(db, row) for row in rows.mappings().all()]


def remove_installation(db: sa.Connection, installation_id: int) -> None:
    table = tables.installations
    db.execute(table.delete().where(table.c.id == installation_id))


def remove_installations_of_user(db: sa.Connection, company_id: int, user_id: int) -> None:
    """Removes the installations that hold OAuth tokens of this Pipedrive user."""
    table = tables.installations
    db.execute(
        table.delete().where(
            table.c.company_id == company_id,
            table.c.user_id == user_id,
            table.c.encrypted_oauth_tokens.is_not(None),
        )
    )


def _columns(tokens: OAuthTokens) -> dict[str, object]:
    return {
        "encrypted_oauth_tokens": tokens.encrypted,
        "oauth_expires_at": tokens.expires_at,
        "oauth_scopes": tokens.scopes,
    }


def _read(db: sa.Connection, row: Any) -> Installation:
    values = dict(row)
    encrypted, expires_at, scopes = (
        values.pop(name) for name in ("encrypted_oauth_tokens", "oauth_expires_at", "oauth_scopes")
    )
    tokens, connected = None, []
    if encrypted is not None:
        tokens = OAuthTokens(encrypted, expires_at, scopes)
        connected = connections_of_user(db, row["company_id"], row["user_id"])
    return Installation(**values, tokens=tokens, connected_to=[record.name for record in connected])
