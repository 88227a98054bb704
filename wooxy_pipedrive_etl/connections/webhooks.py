"""A connection's webhook in Pipedrive: registered, verified, removed. Without one, the sync polls.

Stored on the connection: `webhook_url` is the URL that the user wants, `webhook_id` the id that Pipedrive gave, and the
password is the one that the receiver accepts. A webhook in Pipedrive is ours if it has that id, or if it sends changes
of persons to exactly that URL. The URL contains the connection's name, so no other connection's webhook is mistaken for
ours.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

from wooxy_pipedrive_etl.errors import InvalidSetting, SyncError, WrongAccount
from wooxy_pipedrive_etl.http_api.errors import ApiError, TransientError
from wooxy_pipedrive_etl.pipedrive import PipedriveClient, Webhook
from wooxy_pipedrive_etl.pipedrive.endpoints import CREATE_WEBHOOK
from wooxy_pipedrive_etl.pipedrive.errors import MissingScope
from wooxy_pipedrive_etl.store import Store, connections, webhooks
from wooxy_pipedrive_etl.store.connections import ConnectionRecord
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.store.errors import StoreError
from wooxy_pipedrive_etl.store.locks import sole_writer
from wooxy_pipedrive_etl.store.webhooks import NO_WEBHOOK, StoredWebhook

from .credentials import WAITED_FOR, WAITED_FOR_SECONDS, pipedrive_client
from .public_url import checked_public_url

logger = logging.getLogger(__name__)

# The receiver's path, and the user of its Basic authentication.
PATH = "/webhooks/pipedrive/{name}"
USER = "wooxy"
_PASSWORD_BYTES = 32


@dataclass(frozen=True)
class WebhookState:
    """The state of a connection's webhook, after asking Pipedrive.

    `state`: none (none is wanted), alive, registered (just now), or unavailable (Pipedrive refuses it or does not
    answer; the connection polls instead). `message`: a sentence for the user.
    """

    state: Literal["none", "alive", "registered", "unavailable"]
    url: str | None
    message: str


def register(store: Store, name: str, public_url: str) -> WebhookState:
    """Makes Pipedrive send every change of a person to `public_url`, which leads to `serve`. If a webhook is registered
    there, it is only verified; one at another URL is replaced.

    Raises InvalidSetting, UnknownConnection, ConnectionBusy, WrongAccount and ApiError.
    """
    url = subscription_url(public_url, name)
    with _held(store, name) as record:
        if record.state == "disconnected":
            raise InvalidSetting(f"The connection {name} is disconnected; connect it again first.")
        _check_scope(record)
        with pipedrive_client(store, record, retries=WAITED_FOR, timeout=WAITED_FOR_SECONDS) as client:
            _check_account(client, record)
            return _ensure(client, store, record, url)


def check(client: PipedriveClient, store: Store, record: ConnectionRecord) -> WebhookState:
    """Verifies that the webhook still exists, and registers it again (with a new password) if not. Costs nothing if
    none is wanted. The caller holds the connection's lock; raises no ApiError."""
    url = record.webhook.url
    if url is None:
        return _none(record)
    try:
        _check_scope(record)
        return _ensure(client, store, record, url)
    except ApiError as error:
        return WebhookState(
            "unavailable", url, f"The webhook is not registered; changes are found by polling: {error}"
        )


def look_after(store: Store, name: str) -> WebhookState:
    """`check` on a user's request. Raises UnknownConnection, ConnectionBusy, WrongAccount, and ApiError if the
    account can't be reached at all."""
    with _held(store, name) as record:
        if record.webhook.url is None:
            return _none(record)
        with pipedrive_client(store, record, retries=WAITED_FOR, timeout=WAITED_FOR_SECONDS) as client:
            _check_account(client, record)
            return check(client, store, record)


def remove(store: Store, name: str) -> WebhookState:
    """Removes the webhook in Pipedrive; the connection then polls. Raises UnknownConnection, ConnectionBusy,
    WrongAccount and ApiError; then nothing has changed."""
    with _held(store, name) as record:
        if record.webhook.url is not None:
            with pipedrive_client(store, record, retries=WAITED_FOR, timeout=WAITED_FOR_SECONDS) as client:
                _delete_ours(client, record)
            _remember(store, record, NO_WEBHOOK)
        return _none(record)


def let_go(store: Store, record: ConnectionRecord) -> str | None:
    """Removes the webhook if possible, because its connection ends. The caller holds the connection's lock.

    Returns a sentence if the webhook may still exist.
    """
    if record.webhook.url is None:
        return None
    try:
        with pipedrive_client(store, record, retries=WAITED_FOR, timeout=WAITED_FOR_SECONDS) as client:
            _delete_ours(client, record)
    except (ApiError, StoreError, SyncError) as error:
        return (
            f"The webhook to {record.webhook.url} may still be in Pipedrive, since it could not be removed there "
            f"({str(error).rstrip('.')}); remove it in Pipedrive's settings, or wait three days until Pipedrive does."
        )
    return None


def subscription_url(public_url: str, name: str) -> str:
    """The connection's own URL at the receiver with the root `public_url`, https (http on loopback only). Raises
    InvalidSetting, which does not repeat anything that may hold a secret."""
    root = checked_public_url(public_url, "The webhook URL", "the webhook's password")
    path = PATH.format(name=name)
    return root.removesuffix(path) + path


def _none(record: ConnectionRecord) -> WebhookState:
    return WebhookState(
        "none", None, f"The connection {record.name} has no webhook; it is synced by polling."
    )


def _ensure(client: PipedriveClient, store: Store, record: ConnectionRecord, url: str) -> WebhookState:
    """Makes sure that exactly one webhook of ours exists, and that it sends to `url`."""
    listed = client.webhooks()
    ours = [webhook for webhook in listed if _is_ours(webhook, record, url)]
    kept = next((webhook for webhook in ours if _is_whole(store, webhook, record, url)), None)
    made = kept is None
    asked_for = record.webhook
    if kept is None:
        password = secrets.token_urlsafe(_PASSWORD_BYTES)
        # Stored before it is sent: the first event may arrive before the answer.
        there = any(each.id == record.webhook.webhook_id for each in ours)
        asked_for = StoredWebhook(
            record.webhook.webhook_id if there else None, url, store.secrets.encrypt(password)
        )
        _remember(store, record, asked_for)
        try:
            kept = client.create_webhook(
                url=url,
                name=f"Wooxy contact list ({record.name})",
                user=USER,
                password=password,
                before={webhook.id for webhook in listed},
            )
        except TransientError:
            # It may have been created: the next check finds it by its URL.
            raise
        except ApiError:
            _go_back(store, record, ours, url)
            raise
    if kept.id != record.webhook.webhook_id:
        _remember(store, record, replace(asked_for, webhook_id=kept.id))
    for webhook in ours:
        if webhook.id != kept.id:
            try:
                client.delete_webhook(webhook.id)
            except ApiError as error:
                # It does no harm: the receiver does not accept its password.
                logger.warning(
                    "An old webhook of the connection %s could not be deleted: %s", record.name, error
                )
    if made:
        return WebhookState("registered", url, f"Webhook registered: Pipedrive sends changes to {url}.")
    return WebhookState("alive", url, f"Pipedrive sends changes to {url}.")


def _go_back(store: Store, record: ConnectionRecord, ours: list[Webhook], url: str) -> None:
    """Stores the state after a refusal. An earlier webhook at another URL stays in use; one that Pipedrive has dropped
    stays wanted, and is registered at the next check."""
    stays = record.webhook.url != url and any(
        webhook.id == record.webhook.webhook_id and webhook.active for webhook in ours
    )
    _remember(store, record, record.webhook if stays else StoredWebhook(url=record.webhook.url))


def _is_ours(webhook: Webhook, record: ConnectionRecord, url: str | None) -> bool:
    return webhook.id == record.webhook.webhook_id or (
        webhook.event_object == "person" and webhook.url in (url, record.webhook.url)
    )


def _is_whole(store: Store, webhook: Webhook, record: ConnectionRecord, url: str) -> bool:
    """Whether the webhook has all the right settings, and the stored password."""
    if not webhook.active or record.webhook.encrypted_password is None:
        return False
    if (webhook.url, webhook.event_object, webhook.event_action) != (url, "person", "*"):
        return False
    if not webhook.version.startswith("2"):
        return False
    if webhook.id == record.webhook.webhook_id:
        return record.webhook.url == url
    # The answer with its id was lost; only its password can tell that it is ours.
    stored = store.secrets.decrypt(record.webhook.encrypted_password)
    return record.webhook.url == url and (webhook.user, webhook.password) == (USER, stored)


def _check_scope(record: ConnectionRecord) -> None:
    scope = CREATE_WEBHOOK.scope
    if not record.credentials.allows(scope):
        raise MissingScope(
            f"The connection {record.name} was allowed without the scope {scope} (Administer account), which webhooks "
            f"need; reconnect to grant it (Integrations > {record.name} > Reconnect), or continue with polling."
        )


def _check_account(client: PipedriveClient, record: ConnectionRecord) -> None:
    """Another account's webhook may have the id of ours."""
    company_id = client.account().company_id
    if company_id != record.company_id:
        raise WrongAccount(
            f"The credentials of the connection {record.name} belong to the Pipedrive company {company_id}, but it was "
            f"connected with {record.company_id}; no webhook was changed."
        )


def _delete_ours(client: PipedriveClient, record: ConnectionRecord) -> None:
    _check_account(client, record)
    for webhook in client.webhooks():
        if _is_ours(webhook, record, None):
            client.delete_webhook(webhook.id)


@contextmanager
def _held(store: Store, name: str) -> Iterator[ConnectionRecord]:
    with reading(store.engine) as db:
        record = connections.get_connection(db, name)
    with sole_writer(store.engine, record):
        with reading(store.engine) as db:
            record = connections.get_connection(db, name)
        yield record


def _remember(store: Store, record: ConnectionRecord, webhook: StoredWebhook) -> None:
    with store.engine.begin() as db:
        webhooks.remember(db, record.id, webhook)
