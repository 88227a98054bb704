"""Pipedrive accounts that a user has granted access to: waiting for their domain, reconnected, uninstalled."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Collection
from typing import Any

from wooxy_pipedrive_etl.errors import InvalidSetting, WrongAccount
from wooxy_pipedrive_etl.pipedrive import (
    Account,
    ApiToken,
    BearerTokens,
    Grant,
    OAuthApp,
    PipedriveClient,
)
from wooxy_pipedrive_etl.pipedrive.api_url import checked_pipedrive_url
from wooxy_pipedrive_etl.pipedrive.errors import GrantRefused, MissingScope
from wooxy_pipedrive_etl.store import Store, connections, credentials, installations
from wooxy_pipedrive_etl.store.connections import ConnectionRecord
from wooxy_pipedrive_etl.store.credentials import StoredCredentials
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.store.installations import Installation
from wooxy_pipedrive_etl.store.matchings import confirmed_matching
from wooxy_pipedrive_etl.store.walks import forget_walk

from .accounts import Access, api_token_access, check_company, connect_with
from .credentials import (
    UNINSTALLED,
    WAITED_FOR,
    WAITED_FOR_SECONDS,
    AccessLost,
    give_tokens,
    revoke_unless_used,
    stored_tokens,
    tokens_of,
    user_key,
)
from .oauth_app import NEEDED_SCOPES, WANTED_SCOPES, needed_oauth_app

logger = logging.getLogger(__name__)

# The longest name that a connection may have.
_NAME_LENGTH = 63


def install_with_code(store: Store, app: OAuthApp, code: str) -> Installation:
    """Stores what a user has just granted, to be connected with a domain. Connections of the same Pipedrive user
    (`connected_to`) continue with it as well.

    Raises MissingScope, and ApiError if the code is refused or Pipedrive can't be reached.
    """
    grant, account = _granted(store, app, code)
    tokens = tokens_of(store, grant)
    with store.engine.begin() as db:
        for record in connections.connections_of_user(db, account.company_id, account.user_id):
            give_tokens(db, record.id, grant, tokens)
        return installations.add_installation(db, **_about(account), api_url=grant.api_url, tokens=tokens)


def install_with_api_token(store: Store, api_url: str, api_token: str) -> Installation:
    """Stores a user's API token, to be connected with a domain. Raises ApiError."""
    api_url = checked_pipedrive_url(api_url)
    with PipedriveClient(
        api_url, ApiToken(api_token), retries=WAITED_FOR, timeout=WAITED_FOR_SECONDS
    ) as client:
        account = client.account()
    with store.engine.begin() as db:
        return installations.add_installation(
            db,
            **_about(account),
            api_url=api_url,
            encrypted_api_token=store.secrets.encrypt(api_token),
        )


def get(store: Store, installation_id: int) -> Installation:
    """Raises UnknownInstallation."""
    with reading(store.engine) as db:
        return installations.get_installation(db, installation_id)


def waiting(store: Store) -> list[Installation]:
    """Those whose domain is not chosen yet, the newest first."""
    with reading(store.engine) as db:
        return installations.list_installations(db)


def forget(store: Store, installation_id: int) -> None:
    """Drops an installation that the user does not want to connect: deletes its credentials, and revokes the access
    unless a connection needs it. Raises UnknownInstallation."""
    installation = get(store, installation_id)
    with store.engine.begin() as db:
        installations.remove_installation(db, installation_id)
    if installation.tokens is not None:
        tokens = stored_tokens(store, installation.tokens.encrypted, installation.tokens.expires_at)
        _give_back(store, None, tokens.refresh_token, installation.company_id, installation.user_id)


def connect_installation(
    store: Store,
    installation_id: int,
    *,
    name: str,
    domain: str,
    default_region: str | None,
    consent: str,
    on_delete: str,
) -> tuple[ConnectionRecord, Account]:
    """Connects it with a domain; then it is no longer waiting. Raises UnknownInstallation, AccessLost if access was
    revoked in the meantime, and what `accounts.connect_with` raises."""
    access = _access(store, get(store, installation_id))
    connected = connect_with(
        store,
        access,
        name=name,
        domain=domain,
        default_region=default_region,
        consent=consent,
        on_delete=on_delete,
    )
    with store.engine.begin() as db:
        installations.remove_installation(db, installation_id)
    return connected


def reconnect(store: Store, app: OAuthApp, name: str, code: str) -> ConnectionRecord:
    """Reconnects the connection, and others of the same user, with what a user has just granted. A connection that
    ended because the app was uninstalled resumes.

    Raises UnknownConnection, InvalidSetting if a user has disconnected it, WrongAccount, MissingScope and
    ApiError; then nothing has changed.
    """
    with reading(store.engine) as db:
        record = connections.get_connection(db, name)
    if record.state == "disconnected" and record.credentials.access_lost is None:
        raise InvalidSetting(f"The connection {name} is disconnected; connect it again with Add integration.")
    grant, account = _granted(store, app, code)
    try:
        check_company(record, account.company_id)
    except WrongAccount:
        _give_back(store, app, grant.refresh_token, account.company_id, account.user_id)
        raise
    tokens = tokens_of(store, grant)
    with store.engine.begin() as db:
        for other in connections.connections_of_user(db, account.company_id, account.user_id):
            give_tokens(db, other.id, grant, tokens)
        # Read again: the app may have been uninstalled since.
        record = connections.get_connection(db, name)
        if record.credentials.oauth_user_id != account.user_id:
            # Another user may see other persons than those that an interrupted walk has read.
            forget_walk(db, record.id)
        if record.state == "disconnected":
            imported = confirmed_matching(db, record.id) is not None
            connections.set_state(db, record.id, "active" if imported else "draft")
        connections.set_api_url(db, record.id, grant.api_url)
        credentials.replace(db, record.id, StoredCredentials.of_oauth(tokens, account.user_id))
        return connections.get_connection(db, name)


def uninstalled(store: Store, company_id: int, user_id: int) -> list[str]:
    """Records that the user has uninstalled the app in Pipedrive, which has ended all its access; returns the names of
    the connections that used it. A running run ends with its next request."""
    with store.engine.begin() as db:
        ended = connections.connections_of_user(db, company_id, user_id)
        for record in ended:
            connections.disconnect(db, record.id, access_lost=UNINSTALLED)
        installations.remove_installations_of_user(db, company_id, user_id)
    return [record.name for record in ended]


def suggested_name(company_domain: str, taken: Collection[str]) -> str:
    """A free name for a connection of that company."""
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", company_domain).strip("-._")[:_NAME_LENGTH] or "pipedrive"
    name, number = plain, 1
    while name in taken:
        number += 1
        ending = f"-{number}"
        name = plain[: _NAME_LENGTH - len(ending)] + ending
    return name


def _granted(store: Store, app: OAuthApp, code: str) -> tuple[Grant, Account]:
    """What the code grants, and the account and user that it belongs to. A grant with too few scopes is revoked."""
    grant = app.exchange(code)
    missing = sorted(NEEDED_SCOPES - grant.scopes)
    # Without basic information nobody can tell whose it is, so no connection can need it.
    account = None if "base" in missing else _account(grant)
    if account is not None and not missing:
        return grant, account
    company_id, user_id = (0, 0) if account is None else (account.company_id, account.user_id)
    _give_back(store, app, grant.refresh_token, company_id, user_id)
    wanted = " ".join(f"{scope} ({WANTED_SCOPES[scope].partition(':')[0]})" for scope in missing)
    raise MissingScope(
        f"The app was installed without the scope {wanted}, which the sync needs; choose it for the app in "
        "Pipedrive's Developer Hub, then reconnect."
    )


def _account(grant: Grant) -> Account:
    identity = hashlib.sha256(grant.refresh_token.encode()).hexdigest()
    with PipedriveClient(
        grant.api_url, _only(grant.access_token, identity), retries=WAITED_FOR, timeout=WAITED_FOR_SECONDS
    ) as client:
        return client.account()


def _only(access_token: str, identity: str) -> BearerTokens:
    """For a short use that needs no renewal."""
    return BearerTokens(lambda refused: access_token, identity)


def _access(store: Store, installation: Installation) -> Access:
    """Access with tokens that live long enough to connect. Raises AccessLost."""
    if installation.tokens is None:
        api_token = store.secrets.decrypt(installation.encrypted_api_token)
        return api_token_access(store, installation.api_url, api_token)
    stored = installation.tokens
    tokens = stored_tokens(store, stored.encrypted, stored.expires_at)
    api_url, access_token = installation.api_url, tokens.access_token
    if tokens.end_soon():
        grant = _renewed(store, installation, tokens.refresh_token)
        stored, api_url, access_token = tokens_of(store, grant), grant.api_url, grant.access_token
    return Access(
        api_url,
        _only(access_token, user_key(installation.company_id, installation.user_id)),
        StoredCredentials.of_oauth(stored, installation.user_id),
    )


def _renewed(store: Store, installation: Installation, refresh_token: str) -> Grant:
    try:
        return needed_oauth_app("Connecting this Pipedrive account").refresh(refresh_token)
    except GrantRefused:
        with store.engine.begin() as db:
            installations.remove_installation(db, installation.id)
        raise AccessLost(
            f"The app lost access to {installation.company_name}, because access was revoked or has expired; start "
            "again with Add integration."
        ) from None


def _about(account: Account) -> dict[str, Any]:
    return {
        "company_id": account.company_id,
        "company_name": account.company_name,
        "company_domain": account.company_domain,
        "user_id": account.user_id,
        "user_name": account.user_name,
        "is_admin": account.is_admin,
    }


def _give_back(store: Store, app: OAuthApp | None, refresh_token: str, company_id: int, user_id: int) -> None:
    left = revoke_unless_used(store, app, refresh_token, company_id, user_id)
    if left is not None:
        logger.warning("%s", left)
