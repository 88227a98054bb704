"""How each connection authenticates to Pipedrive: with an API token or OAuth tokens, encrypted; and whether access was
lost."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime

import sqlalchemy as sa

from . import tables

_table = tables.credentials


@dataclass(frozen=True)
class OAuthTokens:
    """`encrypted`: a JSON object {access_token, refresh_token}; `expires_at`: when the access token expires (UTC);
    `scopes`: the granted scopes, comma-separated."""

    encrypted: str = field(repr=False)
    expires_at: datetime | None
    scopes: str | None


@dataclass(frozen=True)
class StoredCredentials:
    """One row of `sync_credentials`. `oauth_user_id`: who granted the OAuth tokens, None for an API token; it stays
    when the tokens are removed. `access_lost`: revoked or uninstalled, or None if no problem is known."""

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
        """How the connection authenticates: "oauth" or "api token"."""
        return "api token" if self.oauth_user_id is None else "oauth"

    @property
    def scopes(self) -> frozenset[str] | None:
        """The scopes that the user granted; None if unknown."""
        return granted_scopes(self.oauth_scopes)

    def allows(self, scope: str) -> bool:
        """Whether a request that needs this scope is worth trying."""
        return self.scopes is None or scope in self.scopes


def granted_scopes(stored: str | None) -> frozenset[str] | None:
    """The scopes of a column, which are stored comma-separated."""
    return None if stored is None else frozenset(filter(None, stored.split(",")))


def add(db: sa.Connection, connection_id: int, credentials: StoredCredentials) -> None:
    """Stores the credentials of a new connection."""
    db.execute(_table.insert().values(connection_id=connection_id, **asdict(credentials)))


def replace(db: sa.Connection, connection_id: int, credentials: StoredCredentials) -> None:
    """Stores credentials newly provided by a user."""
    db.execute(_of(connection_id).values(**asdict(credentials)))


def renew(
    db: sa.Connection, connection_id: int, tokens: OAuthTokens, *, encrypted_before: str | None = None
) -> bool:
    """Stores renewed tokens of the same user and clears `access_lost`. `encrypted_before`: replace only these tokens.
    Returns whether the new ones were stored."""
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
    """Records that Pipedrive has rejected these tokens for good. Does nothing if others are stored by now."""
    refused = _table.c.encrypted_oauth_tokens == encrypted
    db.execute(_of(connection_id).where(refused).values(access_lost=why))


def forget(db: sa.Connection, connection_id: int, *, access_lost: str | None = None) -> None:
    """Removes the credentials except `oauth_user_id`. `access_lost`: why, if the connection was not ended by a user
    here."""
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
