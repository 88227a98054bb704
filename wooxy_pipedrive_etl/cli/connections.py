"""`connect`, `disconnect` and `webhook`."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer

from wooxy_pipedrive_etl.list_settings import Consent, OnDelete
from wooxy_pipedrive_etl.terminal import say

from .common import Name, confirmed


def connect(
    name: Name,
    domain: Annotated[str, typer.Option(help="The Wooxy domain whose Default Contact List is fed.")],
    api_url: Annotated[str, typer.Option(help="The root of the account's host, https://acme.pipedrive.com.")],
    api_token_env: Annotated[
        str, typer.Option(metavar="VAR", help="The environment variable that holds the API token.")
    ],
    default_region: Annotated[
        str | None, typer.Option(help="Two letters (FI, DE, …): completes national phone numbers.")
    ] = None,
    consent: Annotated[Consent, typer.Option(help="How marketing_status is treated.")] = Consent.RESPECT,
    on_delete: Annotated[
        OnDelete, typer.Option(help="What becomes of the contact of a deleted person.")
    ] = OnDelete.DELETE,
    webhook_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="The public https root of `serve`: registers a webhook right away."),
    ] = None,
    allow_lost_fields: Annotated[
        bool,
        typer.Option(
            "--allow-lost-fields", help="Connect again although many of the connection's fields are gone."
        ),
    ] = False,
    new_list: Annotated[
        bool,
        typer.Option(
            "--new-list",
            help="Make a new list although there is one of a domain that is written nearly the same.",
        ),
    ] = False,
) -> None:
    """Connect a Pipedrive account with a Wooxy domain."""
    from wooxy_pipedrive_etl.connections import accounts, choices, webhooks
    from wooxy_pipedrive_etl.errors import Refused, SyncError
    from wooxy_pipedrive_etl.failures import EXPECTED_ERRORS
    from wooxy_pipedrive_etl.store import Store

    if webhook_url is not None:
        # Report a typo before anything is done.
        webhooks.subscription_url(webhook_url, name)
    token = os.environ.get(api_token_env, "").strip()
    if not token:
        raise SyncError(f"The environment variable {api_token_env} is empty; put the API token there.")
    store = Store.open()
    similar = None if new_list else choices.similar_domain(store, domain)
    if similar is not None:
        told = f"There is a list of {similar}, and none of {domain}."
        if not confirmed(f"{told} Make a new, empty list of {domain}?"):
            raise SyncError(
                f"{told} Nothing was connected; correct the domain, or make a new list with --new-list."
            )
    try:
        record, account = accounts.connect(
            store,
            name=name,
            domain=domain,
            api_url=api_url,
            api_token=token,
            default_region=default_region,
            consent=consent.value,
            on_delete=on_delete.value,
            allow_lost_fields=allow_lost_fields,
        )
    except Refused as error:
        raise SyncError(f"{error} If they were really deleted, connect with --allow-lost-fields.") from None
    say(f"Connected {name} with {account.company_name} ({record.api_url}) for {record.domain}.")
    if not account.is_admin:
        say("The token's user is not an admin: persons that this user can't see will not be in the list.")
    if record.state == "draft":
        say(f"Next: wooxy-pipedrive match {name} --export FILE, look it through, then --import FILE.")
    if webhook_url is not None:
        try:
            say(webhooks.register(store, name, webhook_url).message)
        except EXPECTED_ERRORS as error:
            raise SyncError(
                f"{name} is connected, but its webhook was not registered, so it will be synced by polling: {error} "
                f"Then: wooxy-pipedrive webhook {name} --url {webhook_url}"
            ) from None


def disconnect(
    name: Name,
    forget: Annotated[bool, typer.Option("--forget", help="Remove everything of it but the list.")] = False,
) -> None:
    """Stop syncing a connection; the list stays."""
    from wooxy_pipedrive_etl.connections import accounts
    from wooxy_pipedrive_etl.store import Store

    left = accounts.disconnect(Store.open(), name, forget=forget)
    say(f"Disconnected {name}; its list stays as it is.")
    if left is not None:
        say(left)


def webhook(
    name: Name,
    url: Annotated[
        str | None,
        typer.Option(help="Register: the public https root of `serve`, like https://sync.example.com."),
    ] = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="Remove it in Pipedrive; changes are then found by polling.")
    ] = False,
) -> None:
    """Register, check or remove the webhook by which Pipedrive sends changes at once.

    Without an option it is looked for in Pipedrive, and registered again if Pipedrive has dropped it.
    """
    from wooxy_pipedrive_etl.connections import webhooks
    from wooxy_pipedrive_etl.errors import SyncError
    from wooxy_pipedrive_etl.store import Store
    from wooxy_pipedrive_etl.views import status

    if url is not None and remove:
        raise SyncError("Choose --url or --remove, not both.")
    store = Store.open()
    if url is not None:
        found = webhooks.register(store, name, url)
    elif remove:
        found = webhooks.remove(store, name)
    else:
        found = webhooks.look_after(store, name)
    if found.state == "unavailable":
        raise SyncError(found.message)
    say(f"{found.message} (Checked just now.)")
    _print_webhook_calls(status.webhook_calls(store, name))


def _print_webhook_calls(came: dict[str, Any]) -> None:
    last = f", the last at {came['last_event_at']}" if came["last_event_at"] else ""
    say(f"Events so far: {came['accepted']}{last}.")
    if came["overflowed"]:
        say(
            f"{came['overflowed']} more were not recorded, because too many were waiting; the next runs find them."
        )
    if came["malformed"]:
        say(f"{came['malformed']} calls were no events of persons and were refused.")
