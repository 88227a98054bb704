"""Connects a Pipedrive account with a Wooxy domain, and disconnects it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Required, TypedDict, TypeVar, Unpack

import phonenumbers
import sqlalchemy as sa

from wooxy_pipedrive_etl.contact_list import ContactList, drop_stage
from wooxy_pipedrive_etl.errors import InvalidSetting, WrongAccount
from wooxy_pipedrive_etl.list_settings import Consent, OnDelete
from wooxy_pipedrive_etl.mapping.matching import empty_matching, preview_plan
from wooxy_pipedrive_etl.mapping.transform import read_batch, references
from wooxy_pipedrive_etl.mapping.variables import pipedrive_variables
from wooxy_pipedrive_etl.person_fields import PersonField
from wooxy_pipedrive_etl.pipedrive import (
    Account,
    ApiToken,
    Credentials,
    PersonsPage,
    PipedriveClient,
    optional_fields,
)
from wooxy_pipedrive_etl.pipedrive.errors import BadRequest, EndpointGone, Forbidden
from wooxy_pipedrive_etl.store import Store, connections, credentials, inbox, sync_state
from wooxy_pipedrive_etl.store.catalogue import read_fields, save_fields, save_names
from wooxy_pipedrive_etl.store.connections import ConnectionRecord, SyncSettings
from wooxy_pipedrive_etl.store.credentials import StoredCredentials
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.store.errors import StoreError
from wooxy_pipedrive_etl.store.locks import sole_writer
from wooxy_pipedrive_etl.store.matchings import confirmed_matching
from wooxy_pipedrive_etl.store.snapshot import land_persons
from wooxy_pipedrive_etl.store.walks import forget_walk

from . import token_budget, webhooks
from .credentials import (
    WAITED_FOR,
    WAITED_FOR_SECONDS,
    revoke_unless_used,
    stored_tokens,
)
from .whole_catalogue import read_whole_catalogue

_Choice = TypeVar("_Choice", bound=StrEnum)

# A name is a partition key, a part of file names and an argument of commands.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_DOMAIN = re.compile(
    r"(?=.{1,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+(?:[a-z]{2,63}|xn--[a-z0-9-]{1,59})"
)


@dataclass(frozen=True)
class Access:
    """Where a Pipedrive account's API is, with which credentials, and how these are stored."""

    api_url: str
    credentials: Credentials
    stored: StoredCredentials


def api_token_access(store: Store, api_url: str, api_token: str) -> Access:
    """Raises InvalidToken."""
    stored = StoredCredentials(encrypted_api_token=store.secrets.encrypt(api_token))
    return Access(api_url, ApiToken(api_token), stored)


class ConnectionSettings(TypedDict, total=False):
    """The settings that a user chooses for a connection; see `connect_with`."""

    name: Required[str]
    domain: Required[str]
    default_region: str | None
    consent: str
    on_delete: str
    allow_lost_fields: bool


def connect(
    store: Store, *, api_url: str, api_token: str, **settings: Unpack[ConnectionSettings]
) -> tuple[ConnectionRecord, Account]:
    """`connect_with` an API token."""
    return connect_with(store, api_token_access(store, api_url, api_token), **settings)


def connect_with(
    store: Store,
    access: Access,
    *,
    name: str,
    domain: str,
    default_region: str | None = None,
    consent: str = Consent.RESPECT,
    on_delete: str = OnDelete.DELETE,
    allow_lost_fields: bool = False,
) -> tuple[ConnectionRecord, Account]:
    """Checks the credentials, reads the field catalogue and some persons (for previews), and stores the connection in
    state draft. Creates the list's table, but writes nothing to it.

    A disconnected connection resumes, with these credentials and settings, if the domain and the Pipedrive account are
    the same and its fields still exist (or `allow_lost_fields`).

    Raises InvalidSetting, ConnectionExists, WrongAccount, BrokenCatalogue and ApiError; then nothing is stored.
    """
    check_name(name)
    settings = checked_settings(default_region, consent, on_delete)
    with reading(store.engine) as db:
        known = {record.name: record for record in connections.list_connections(db)}.get(name)
        # A connection from the time when any word was accepted as a domain can be resumed as well.
        domain = known.domain if known is not None and domain.lower() == known.domain else domain_of(domain)
        known_fields = None if known is None else read_fields(db, known.id)
    if known is not None and known.state != "disconnected":
        raise connections.ConnectionExists(
            f"A connection named {name} exists already; choose another name or disconnect it first."
        )
    with PipedriveClient(
        access.api_url, access.credentials, retries=WAITED_FOR, timeout=WAITED_FOR_SECONDS
    ) as client:
        account = client.account()
        if known is not None:
            check_company(known, account.company_id)
        fields = read_whole_catalogue(client, known_fields, allow_lost_fields=allow_lost_fields)
        sample = next(client.walk_persons(include_fields=optional_fields(fields)), None)
        names = _names_for_previews(client, fields, sample)
        usage = client.usage
    with store.engine.begin() as db:
        if known is None:
            domain_id = ContactList.of_domain(db, domain).domain_id
            record = connections.add_connection(
                db,
                name=name,
                domain_id=domain_id,
                api_url=access.api_url,
                company_id=account.company_id,
                stored_credentials=access.stored,
                settings=settings,
            )
            # SQLite reuses the id of a connection that was deleted.
            inbox.forget_connection(store.inbox, record.id)
        else:
            record = _take_up(db, known, domain, access, settings)
        save_fields(db, record.id, fields)
        if sample is not None and land_persons(db, record.id, sample.persons):
            sync_state.fall_behind(db, record.id)
        # The persons of a resumed connection were mapped with the stored names: its next run sees what has changed.
        for kind, found in names.items() if known is None else ():
            save_names(db, record.id, kind, found)
        token_budget.note(db, account.company_id, usage)
        return connections.get_connection(db, name), account


def disconnect(store: Store, name: str, *, forget: bool) -> str | None:
    """Stops syncing a connection, removes its webhook, revokes OAuth access and deletes its credentials; the list
    stays. With `forget`, deletes everything about the connection except the list.

    Returns a sentence if something may be left in Pipedrive. Raises UnknownConnection, and ConnectionBusy during a run.
    """
    with reading(store.engine) as db:
        record = connections.get_connection(db, name)
    with sole_writer(store.engine, record):
        left = webhooks.let_go(store, record)
        with store.engine.begin() as db:
            if forget:
                drop_stage(db, record.id)
                connections.remove_connection(db, record.id)
            else:
                connections.disconnect(db, record.id)
        if forget:
            inbox.forget_connection(store.inbox, record.id)
    return " ".join(filter(None, (left, _give_back(store, record)))) or None


def _give_back(store: Store, record: ConnectionRecord) -> str | None:
    """Revokes the grant of a disconnected connection; returns a sentence if that may have failed."""
    given = record.credentials
    if given.encrypted_oauth_tokens is None or given.oauth_user_id is None:
        return None
    try:
        tokens = stored_tokens(store, given.encrypted_oauth_tokens, given.oauth_expires_at)
    except StoreError as error:
        return f"The app may still be installed in Pipedrive; uninstall it there. {error}"
    return revoke_unless_used(store, None, tokens.refresh_token, record.company_id, given.oauth_user_id)


def _names_for_previews(
    client: PipedriveClient, fields: Iterable[PersonField], sample: PersonsPage | None
) -> dict[str, dict[int, str]]:
    """The names that the sample refers to. If some can't be read, the account still connects; their previews stay
    empty."""
    if sample is None:
        return {}
    # Which names are needed does not depend on the list.
    plan = preview_plan(pipedrive_variables(fields), empty_matching(), [])
    wanted = references(read_batch(sample.persons, plan))
    organizations = wanted.loc[wanted["kind"] == "org", "entity_id"].tolist()
    names: dict[str, dict[int, str]] = {}
    with suppress(Forbidden, BadRequest, EndpointGone):
        names["org"] = client.organization_names(organizations)
    with suppress(Forbidden, BadRequest, EndpointGone):
        names["user"] = client.user_names() if (wanted["kind"] == "user").any() else {}
    return names


def _take_up(
    db: sa.Connection,
    known: ConnectionRecord,
    domain: str,
    access: Access,
    settings: SyncSettings,
) -> ConnectionRecord:
    if known.domain != domain:
        raise InvalidSetting(
            f"The connection {known.name} was disconnected from the domain {known.domain}, not {domain}; "
            "choose another name, or run disconnect --forget first."
        )
    # Other credentials may see other persons than those that an interrupted walk has read.
    forget_walk(db, known.id)
    imported = confirmed_matching(db, known.id) is not None
    connections.set_state(db, known.id, "active" if imported else "draft")
    connections.set_api_url(db, known.id, access.api_url)
    connections.change_settings(db, known.id, settings)
    credentials.replace(db, known.id, access.stored)
    return known


def check_account(client: PipedriveClient, record: ConnectionRecord) -> None:
    """Raises WrongAccount if the credentials now belong to another company."""
    check_company(record, client.account().company_id)


def check_company(record: ConnectionRecord, company_id: int) -> None:
    """Raises WrongAccount if it is not the connection's company."""
    if company_id != record.company_id:
        raise WrongAccount(
            f"The credentials of the connection {record.name} belong to the Pipedrive company {company_id}, "
            f"but it was connected with {record.company_id}; nothing was read or written. "
            "Connect the other account under another name."
        )


def domain_of(text: str) -> str:
    """The domain that a user typed, or pasted as a web address: `https://Shop.example.com/` → `shop.example.com`.

    Raises InvalidSetting if that is not a domain name.
    """
    _, _, rest = text.strip().rpartition("://")
    domain = re.split(r"[/?#]", rest, maxsplit=1)[0].partition(":")[0].rstrip(".").lower()
    if not _DOMAIN.fullmatch(domain):
        raise InvalidSetting(f"{domain!r} is not a domain; give one like shop.example.com.")
    return domain


def check_name(name: str) -> None:
    """Raises InvalidSetting."""
    if not _NAME.fullmatch(name):
        raise InvalidSetting(
            f"The connection name {name!r} can't be used; take up to 63 letters, digits, dots, hyphens and underscores."
        )


def checked_settings(default_region: str | None, consent: str, on_delete: str) -> SyncSettings:
    """What a user has chosen. Raises InvalidSetting."""
    if default_region is not None and default_region.upper() not in phonenumbers.SUPPORTED_REGIONS:
        raise InvalidSetting(
            f"{default_region!r} is not a region; give two letters of ISO 3166-1, like FI or DE."
        )
    return SyncSettings(
        default_region.upper() if default_region else None,
        _chosen("consent", Consent, consent),
        _chosen("on_delete", OnDelete, on_delete),
    )


def _chosen(setting: str, choices: type[_Choice], text: str) -> _Choice:
    try:
        return choices(text)
    except ValueError:
        *others, last = choices
        raise InvalidSetting(f"{setting} must be {', '.join(others)} or {last}, not {text!r}.") from None
