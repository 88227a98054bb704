"""What each connection shows Pipedrive: an API token or what OAuth gave, encrypted; and whether access was lost."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime

import sqlalchemy as sa

from . import tables

_table = tables.credentials


@dataclass(frozen=True)
class OAuthTokens:
    """`encrypted`: a JSON object {access_token, refresh_token}; `expires_at`: of the access token, UTC; `scopes`: those
    that were granted, with commas between."""

    encrypted: str = field(repr=False)
    expires_at: datetime | None
    scopes: str | None


@dataclass(frozen=True)
class StoredCredentials:
    """One row of `sync_credentials`. `oauth_user_id`: who granted OAuth's tokens, None for an API token; it stays when
    they go. `access_lost`: revoked or uninstalled, None where nothing is known to be wrong."""

    encrypted_api_token: str = field(default="", repr=False)
    encrypted_oauth_tokens: str | None = field(default=None, repr=False)
    oauth_expires_at: datetime | None = None
    oauth_scopes: str | None = None
    oauth_user_id: int | None = None
    access_lost: str | None = None

    @classmethod
    def of_oauth(cls, tokens: OAuthTokens, user_id: int) -> StoredCredentials:
        return cls(
            encrypted_oauth_tokens=tokens.encrypted,
            oauth_expires_at=tokens.expires_at,
            oauth_scopes=tokens.scopes,
            oauth_user_id=user_id,
        )

    @property
    def access(self) -> str:
        """What it shows Pipedrive: oauth, or api token."""
        return "api token" if self.oauth_user_id is None else "oauth"

    @property
    def scopes(self) -> frozenset[str] | None:
        """What a person has allowed; None where that is not known."""
        return granted_scopes(self.oauth_scopes)

    def allows(self, scope: str) -> bool:
        """Whether it is worth asking for what needs this scope."""
        return self.scopes is None or scope in self.scopes


def granted_scopes(stored: str | None) -> frozenset[str] | None:
    """As a column keeps them, with commas between."""
    return None if stored is None else frozenset(filter(None, stored.split(",")))


def add(db: sa.Connection, connection_id: int, credentials: StoredCredentials) -> None:
    """Those of a new connection."""
    db.execute(_table.insert().values(connection_id=connection_id, **asdict(credentials)))


def replace(db: sa.Connection, connection_id: int, credentials: StoredCredentials) -> None:
    """A person has given others."""
    db.execute(_of(connection_id).values(**asdict(credentials)))


def renew(
    db: sa.Connection, connection_id: int, tokens: OAuthTokens, *, encrypted_before: str | None = None
) -> bool:
    """The same user's tokens, new ones. `encrypted_before`: only in place of these. Returns whether they were stored;
    then access is not lost any more."""
    statement = _of(connection_id).values(
        encrypted_oauth_tokens=tokens.encrypted,
        oauth_expires_at=tokens.expires_at,
        oauth_scopes=tokens.scopes,
        access_lost=None,
    )
    if encrypted_before is not None:
        statement = statement.where(_table.c.encrypted_oauth_tokens == encrypted_before)
    return db.execute(statement).rowcount == 1


def lose_access(db: sa.Connection, connection_id: int, why: str, *, encrypted: str) -> None:
    """Pipedrive has refused these tokens for good; nothing happens where others are stored by now."""
    refused = _table.c.encrypted_oauth_tokens == encrypted
    db.execute(_of(connection_id).where(refused).values(access_lost=why))


def forget(db: sa.Connection, connection_id: int, *, access_lost: str | None = None) -> None:
    """All but whose they were. `access_lost`: why, if no person of ours ended the connection."""
    db.execute(
        _of(connection_id).values(
            encrypted_api_token="",
            encrypted_oauth_tokens=None,
            oauth_expires_at=None,
            oauth_scopes=None,
            access_lost=access_lost,
        )
    )


def _of(connection_id: int) -> sa.Update:
    return _table.update().where(_table.c.connection_id == connection_id)
