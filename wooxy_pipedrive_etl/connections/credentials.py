"""How a connection authenticates to Pipedrive: with an API token, or with OAuth tokens, which are renewed and revoked
here."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from wooxy_pipedrive_etl.errors import SyncError
from wooxy_pipedrive_etl.failures import EXPECTED_ERRORS
from wooxy_pipedrive_etl.http_api.retries import Retries
from wooxy_pipedrive_etl.pipedrive import (
    ApiToken,
    BearerTokens,
    Credentials,
    Grant,
    OAuthApp,
    PipedriveClient,
)
from wooxy_pipedrive_etl.pipedrive.errors import GrantRefused, InvalidToken
from wooxy_pipedrive_etl.store import Store, connections, credentials, installations
from wooxy_pipedrive_etl.store import errors as store_errors
from wooxy_pipedrive_etl.store.clock import utc_now
from wooxy_pipedrive_etl.store.connections import ConnectionRecord
from wooxy_pipedrive_etl.store.credentials import OAuthTokens, StoredCredentials
from wooxy_pipedrive_etl.store.database import reading, writing_soon
from wooxy_pipedrive_etl.store.locks import sole_renewer

from .oauth_app import needed_oauth_app

logger = logging.getLogger(__name__)

# An access token is renewed this long before it expires: a request may take a while, and clocks differ.
AHEAD = timedelta(minutes=2)
# How long new tokens wait to be stored while SQLite has another writer.
STORING_SECONDS = 5.0

# Why access was lost, as stored in `access_lost`.
REVOKED = "revoked"
UNINSTALLED = "uninstalled"

# For what a person waits for, on a page or at a prompt: they would rather be told soon, and try again themselves.
WAITED_FOR = Retries(attempts=2)
WAITED_FOR_SECONDS = 10.0


class AccessLost(InvalidToken):
    """Access was revoked or has expired; a user must reconnect."""


@contextmanager
def pipedrive_client(
    store: Store, record: ConnectionRecord, *, retries: Retries | None = None, timeout: float = 60.0
) -> Iterator[PipedriveClient]:
    """A client with the connection's credentials. Raises what `credentials_of` raises."""
    shown = credentials_of(store, record)
    with PipedriveClient(record.api_url, shown, retries=retries, timeout=timeout) as client:
        yield client


def credentials_of(store: Store, record: ConnectionRecord) -> Credentials:
    """The connection's credentials. OAuth tokens are renewed shortly before they expire, and once after Pipedrive
    refuses one; many runs and polls at once renew them only once.

    Raises AccessLost, KeyUnusable, and SyncError if the connection is disconnected. Sends nothing to Pipedrive.
    """
    check_access(record)
    if record.state == "disconnected":
        raise SyncError(f"The connection {record.name} is disconnected; connect it again first.")
    if record.credentials.oauth_user_id is None:
        return ApiToken(store.secrets.decrypt(record.credentials.encrypted_api_token))
    user = user_key(record.company_id, record.credentials.oauth_user_id)
    return BearerTokens(_KeptTokens(store, record).current, user)


def user_key(company_id: int, user_id: int) -> str:
    """Identifies the user whose requests Pipedrive counts together."""
    return f"{company_id}/{user_id}"


def check_access(record: ConnectionRecord) -> None:
    """Raises AccessLost if the connection is known to have lost access."""
    lost = lost_sentence(record)
    if lost is not None:
        raise AccessLost(lost)


def lost_sentence(record: ConnectionRecord) -> str | None:
    """Why the connection has lost access, and what to do; None if it has access."""
    if record.credentials.access_lost is None:
        return None
    because = (
        "the app was uninstalled in Pipedrive"
        if record.credentials.access_lost == UNINSTALLED
        else "access was revoked or has expired"
    )
    return (
        f"The connection {record.name} lost access to Pipedrive, because {because}. Reconnect it: "
        f"Integrations > {record.name} > Reconnect."
    )


def tokens_of(store: Store, grant: Grant) -> OAuthTokens:
    """The columns that store a grant, in connections and installations."""
    tokens = {"access_token": grant.access_token, "refresh_token": grant.refresh_token}
    return OAuthTokens(
        store.secrets.encrypt(json.dumps(tokens)),
        grant.expires_at.astimezone(UTC).replace(tzinfo=None),
        ",".join(sorted(grant.scopes)),
    )


def give_tokens(
    db: sa.Connection,
    connection_id: int,
    grant: Grant,
    tokens: OAuthTokens,
    encrypted_before: str | None = None,
) -> None:
    """New tokens of the same user, and where they are good for. `encrypted_before`: only in place of these."""
    if credentials.renew(db, connection_id, tokens, encrypted_before=encrypted_before):
        connections.set_api_url(db, connection_id, grant.api_url)


@dataclass(frozen=True)
class Tokens:
    """The content of `encrypted_oauth_tokens`, and when the access token expires (UTC, without a zone)."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_at: datetime

    def end_soon(self) -> bool:
        return utc_now() >= self.expires_at - AHEAD


def stored_tokens(store: Store, encrypted: str, expires_at: datetime | None) -> Tokens:
    """Raises KeyUnusable."""
    tokens = json.loads(store.secrets.decrypt(encrypted))
    return Tokens(tokens["access_token"], tokens["refresh_token"], expires_at or datetime.min)


def revoke_unless_used(
    store: Store, app: OAuthApp | None, refresh_token: str, company_id: int, user_id: int
) -> str | None:
    """Revokes the access, which uninstalls the app for the user, unless a connection or an installation of the same
    user still needs it. `app`: None for the one in the environment.

    Returns a sentence if the app may still be installed.
    """
    with reading(store.engine) as db:
        using = [
            record
            for record in connections.connections_of_user(db, company_id, user_id)
            if record.credentials.access_lost is None
        ]
        waiting = installations.list_installations(db)
    if using or any(
        each.access == "oauth" and (each.company_id, each.user_id) == (company_id, user_id)
        for each in waiting
    ):
        return None
    try:
        (app or needed_oauth_app("Giving back the access to Pipedrive")).revoke(refresh_token)
    except EXPECTED_ERRORS as error:
        return (
            "The app may still be installed in Pipedrive, since access could not be given back "
            f"({str(error).rstrip('.')}); uninstall it in Pipedrive's Marketplace apps."
        )
    return None


class _KeptTokens:
    """The tokens of one connection, as the database has them, for one client."""

    def __init__(self, store: Store, record: ConnectionRecord) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._take(record)

    def current(self, refused: str | None) -> str:
        """The access token to send now, different from the one that was `refused`. Raises AccessLost, InvalidSetting if
        there is no app, and what `OAuthApp.refresh` raises."""
        with self._lock:
            if self._is_done_with(refused):
                with sole_renewer(self._store.engine, self._record):
                    with reading(self._store.engine) as db:
                        self._take(connections.get_connection(db, self._record.name))
                    # Another thread or process may have renewed them while we waited.
                    if self._is_done_with(refused):
                        self._renew()
            return self._tokens.access_token

    def _is_done_with(self, refused: str | None) -> bool:
        return self._tokens.end_soon() or self._tokens.access_token == refused

    def _take(self, record: ConnectionRecord) -> None:
        check_access(record)
        encrypted = record.credentials.encrypted_oauth_tokens
        if encrypted is None:
            raise SyncError(f"The connection {record.name} has other credentials by now; start again.")
        self._record = record
        self._encrypted = encrypted
        self._tokens = stored_tokens(self._store, encrypted, record.credentials.oauth_expires_at)

    def _renew(self) -> None:
        name = self._record.name
        app = needed_oauth_app(f"The connection {name}")
        try:
            grant = app.refresh(self._tokens.refresh_token)
        except GrantRefused as error:
            logger.warning("The tokens of the connection %s can't be renewed: %s", name, error)
            before = self._encrypted
            self._save(
                lambda db: credentials.lose_access(db, self._record.id, REVOKED, encrypted=before),
                replace(self._record.credentials, access_lost=REVOKED),
            )
        else:
            logger.info("The tokens of the connection %s were renewed.", name)
            tokens, before = tokens_of(self._store, grant), self._encrypted
            self._save(
                lambda db: give_tokens(db, self._record.id, grant, tokens, before),
                replace(
                    self._record.credentials,
                    encrypted_oauth_tokens=tokens.encrypted,
                    oauth_expires_at=tokens.expires_at,
                    oauth_scopes=tokens.scopes,
                ),
            )

    def _save(self, write: Callable[[sa.Connection], None], result: StoredCredentials) -> None:
        """Stores what became of the tokens, unless a user has reconnected or uninstalled the app in the meantime;
        continues with what the database has then, or with `result` if it can't be written. Raises AccessLost."""
        try:
            with writing_soon(self._store.engine, STORING_SECONDS) as db:
                write(db)
                record = connections.get_connection(db, self._record.name)
        except store_errors.DATABASE_ERRORS as error:
            # A run may be SQLite's only writer for a long time, and the caller may be that run. Nothing is lost: the
            # refresh token stays the same, so the next caller renews them again.
            logger.warning(
                "The renewed tokens of the connection %s could not be stored (%s).",
                self._record.name,
                type(error).__name__,
            )
            record = replace(self._record, credentials=result)
        self._take(record)
