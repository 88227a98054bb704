"""Connections: one Pipedrive account synced into one Wooxy domain, with its settings. Parts with their own lifecycle
have their own modules and are read together with the connection: credentials, webhook, sync state, polls, requested
run, token budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa

from wooxy_pipedrive_etl.list_settings import Consent, OnDelete

from . import budgets, credentials, polls, run_requests, sync_state, tables, webhooks
from .budgets import Budget
from .clock import utc_now
from .credentials import StoredCredentials
from .errors import StoreError
from .polls import Polls
from .sync_state import SyncState
from .webhooks import NO_WEBHOOK, StoredWebhook


class UnknownConnection(StoreError):
    """No connection has that name."""


class ConnectionExists(StoreError):
    """The name, or the domain, is taken."""


@dataclass(frozen=True)
class SyncSettings:
    """How persons become contacts. `default_region`: for numbers without a country code (ISO 3166-1 alpha-2)."""

    default_region: str | None = None
    consent: Consent = Consent.RESPECT
    on_delete: OnDelete = OnDelete.DELETE


@dataclass(frozen=True)
class ConnectionRecord:
    """`state`: draft until the first Import, then active; or disconnected. `requested_run`: a JSON object, or None if
    no run was requested."""

    id: int
    name: str
    domain_id: int
    domain: str
    list_schema: str | None
    list_table: str
    state: str
    paused: bool
    api_url: str
    company_id: int
    default_region: str | None
    consent: Consent
    on_delete: OnDelete
    created_at: datetime
    requested_run: str | None
    credentials: StoredCredentials
    webhook: StoredWebhook
    sync_state: SyncState
    polls: Polls
    budget: Budget

    @property
    def qualified_list_table(self) -> str:
        """The list's table as you would write it in SQL."""
        return f"{self.list_schema}.{self.list_table}" if self.list_schema else self.list_table


def add_connection(
    db: sa.Connection,
    *,
    name: str,
    domain_id: int,
    api_url: str,
    company_id: int,
    stored_credentials: StoredCredentials,
    settings: SyncSettings,
) -> ConnectionRecord:
    """Stores a new connection, in state draft. Raises ConnectionExists if its name or its domain is taken."""
    table = tables.connections
    taken = db.execute(
        sa.select(table.c.name).where(sa.or_(table.c.name == name, table.c.domain_id == domain_id))
    ).scalar()
    if taken == name:
        raise ConnectionExists(
            f"A connection named {name} exists already; choose another name or disconnect it first."
        )
    if taken is not None:
        raise ConnectionExists(
            f"That domain's list is fed by the connection {taken} already; "
            "choose another domain or disconnect it first."
        )
    row = table.insert().values(
        name=name,
        domain_id=domain_id,
        state="draft",
        api_url=api_url,
        company_id=company_id,
        **asdict(settings),
        created_at=utc_now(),
    )
    try:
        connection_id: int = db.execute(row.returning(table.c.id)).scalar_one()
    except sa.exc.IntegrityError:
        # Another program took it between the check and the insert.
        raise ConnectionExists(
            f"The name {name}, or its domain, was taken by another connection just now; choose another."
        ) from None
    credentials.add(db, connection_id, stored_credentials)
    for part in (webhooks, sync_state, polls):
        part.add(db, connection_id)
    return get_connection(db, name)


def get_connection(db: sa.Connection, name: str) -> ConnectionRecord:
    """Raises UnknownConnection, whose message names the connections that exist."""
    row = db.execute(_select().where(tables.connections.c.name == name)).mappings().one_or_none()
    if row is None:
        names = [record.name for record in list_connections(db)]
        known = f"there are: {', '.join(names)}" if names else "there is none yet"
        raise UnknownConnection(f"There is no connection named {name} ({known}).")
    return _record(row)


def list_connections(db: sa.Connection) -> list[ConnectionRecord]:
    """All connections, by name."""
    rows = db.execute(_select().order_by(tables.connections.c.name)).mappings()
    return [_record(row) for row in rows]


def domains(db: sa.Connection) -> list[str]:
    """Names of the domains that have a list, sorted."""
    return list(db.scalars(sa.select(tables.domains.c.name).order_by(tables.domains.c.name)))


def domains_without_connection(db: sa.Connection) -> list[str]:
    """Names of the domains that have a list but no connection, sorted."""
    domain, own = tables.domains, tables.connections
    rows = db.execute(
        sa.select(domain.c.name)
        .join_from(domain, own, own.c.domain_id == domain.c.id, isouter=True)
        .where(own.c.id.is_(None))
        .order_by(domain.c.name)
    )
    return list(rows.scalars())


def connections_of_user(db: sa.Connection, company_id: int, user_id: int) -> list[ConnectionRecord]:
    """The connections that hold OAuth tokens of this Pipedrive user, invalid ones included, by name."""
    mine = (
        tables.connections.c.company_id == company_id,
        tables.credentials.c.oauth_user_id == user_id,
        tables.credentials.c.encrypted_oauth_tokens.is_not(None),
    )
    rows = db.execute(_select().where(*mine).order_by(tables.connections.c.name)).mappings()
    return [_record(row) for row in rows]


def change_settings(db: sa.Connection, connection_id: int, settings: SyncSettings) -> None:
    _update(db, connection_id, asdict(settings))


def set_state(db: sa.Connection, connection_id: int, state: str) -> None:
    _update(db, connection_id, {"state": state})


def set_paused(db: sa.Connection, connection_id: int, paused: bool) -> None:
    _update(db, connection_id, {"paused": paused})


def set_api_url(db: sa.Connection, connection_id: int, api_url: str) -> None:
    """Sets the URL that the OAuth tokens are valid for."""
    _update(db, connection_id, {"api_url": api_url})


def disconnect(db: sa.Connection, connection_id: int, *, access_lost: str | None = None) -> None:
    """Stops syncing; the data already read and the list stay. `access_lost`: why, if Pipedrive ended it."""
    set_state(db, connection_id, "disconnected")
    credentials.forget(db, connection_id, access_lost=access_lost)
    webhooks.remember(db, connection_id, NO_WEBHOOK)
    run_requests.withdraw(db, connection_id)


def remove_connection(db: sa.Connection, connection_id: int) -> None:
    """Removes the connection and everything stored for it; the list and its domain stay."""
    for table in reversed(tables.metadata.sorted_tables):
        if "connection_id" in table.c:
            db.execute(table.delete().where(table.c.connection_id == connection_id))
    db.execute(tables.connections.delete().where(tables.connections.c.id == connection_id))
    budgets.forget_unused(db)


def _update(db: sa.Connection, connection_id: int, values: Mapping[str, object]) -> None:
    db.execute(tables.connections.update().where(tables.connections.c.id == connection_id).values(values))


# The records read together with a connection, and their tables.
_PARTS: dict[str, tuple[type[Any], sa.Table]] = {
    "credentials": (StoredCredentials, tables.credentials),
    "webhook": (StoredWebhook, tables.webhooks),
    "sync_state": (SyncState, tables.states),
    "polls": (Polls, tables.polls),
    "budget": (Budget, tables.budgets),
}


@cache
def _select() -> sa.Select[Any]:
    own, domain, request = tables.connections, tables.domains, tables.run_requests
    parts = [
        table.c[each.name].label(f"{part}.{each.name}")
        for part, (record, table) in _PARTS.items()
        for each in fields(record)
    ]
    joined = own.join(domain, own.c.domain_id == domain.c.id)
    for table in (tables.credentials, tables.webhooks, tables.states, tables.polls):
        joined = joined.join(table, table.c.connection_id == own.c.id)
    # Optional parts: not every connection has them.
    joined = joined.outerjoin(request, request.c.connection_id == own.c.id)
    joined = joined.outerjoin(tables.budgets, tables.budgets.c.company_id == own.c.company_id)
    return sa.select(
        *own.c,
        domain.c.name.label("domain"),
        domain.c.list_schema,
        domain.c.list_table,
        request.c.request.label("requested_run"),
        *parts,
    ).select_from(joined)


def _record(row: sa.RowMapping) -> ConnectionRecord:
    values: dict[str, Any] = {}
    parts: dict[str, dict[str, Any]] = {part: {} for part in _PARTS}
    for name, value in row.items():
        part, dot, column = name.partition(".")
        if dot:
            parts[part][column] = value
        else:
            values[name] = value
    values |= {"consent": Consent(values["consent"]), "on_delete": OnDelete(values["on_delete"])}
    return ConnectionRecord(**values, **{part: _PARTS[part][0](**parts[part]) for part in _PARTS})
