"""Connections: one Pipedrive account synced into one Wooxy domain, with its credentials and settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from . import tables
from .clock import utc_now
from .errors import StoreError

CONSENT = ("respect", "require", "ignore")
ON_DELETE = ("delete", "deactivate", "keep")


class UnknownConnection(StoreError):
    """No connection has that name."""


class ConnectionExists(StoreError):
    """The name, or the domain, is taken."""


@dataclass(frozen=True)
class ConnectionRecord:
    """One row of `sync_connections`. `state` is draft until the first Import, then active; or disconnected."""

    id: int
    name: str
    domain_id: int
    domain: str
    list_schema: str | None
    list_table: str
    state: str
    api_url: str
    encrypted_api_token: str = field(repr=False)
    company_id: int
    default_region: str | None
    consent: str
    on_delete: str
    watermark: int | None
    left_out_fields: str | None
    applied_revision: int | None
    daily_token_limit: int | None
    daily_tokens_left: int | None
    created_at: datetime
    names_watermark: int | None
    null_update_times: bool | None
    mapped_with: str | None
    walk_began: int | None
    walk_fields: str | None
    budget_noted_at: datetime | None
    polled_persons_at: datetime | None
    polled_fields_at: datetime | None
    webhook_id: int | None
    webhook_url: str | None
    encrypted_webhook_password: str | None = field(repr=False)
    unapplied: bool
    encrypted_oauth_tokens: str | None = field(repr=False)
    oauth_expires_at: datetime | None
    oauth_scopes: str | None
    oauth_user_id: int | None
    access_lost: str | None
    requested_run: str | None
    paused: bool
    plain_walk_began: int | None
    windows_refused_at: int | None

    @property
    def access(self) -> str:
        """How it proves itself towards Pipedrive: oauth, or api token."""
        return "api token" if self.oauth_user_id is None else "oauth"

    @property
    def scopes(self) -> frozenset[str] | None:
        """What a person has allowed; None where that is not told."""
        return granted_scopes(self.oauth_scopes)

    def allows(self, scope: str) -> bool:
        """Whether it is worth asking for what needs this scope."""
        return self.scopes is None or scope in self.scopes

    @property
    def qualified_list_table(self) -> str:
        """The list's table as a person would write it in SQL."""
        return f"{self.list_schema}.{self.list_table}" if self.list_schema else self.list_table


def add_connection(
    db: sa.Connection,
    *,
    name: str,
    domain_id: int,
    api_url: str,
    encrypted_api_token: str,
    company_id: int,
    default_region: str | None = None,
    consent: str = "respect",
    on_delete: str = "delete",
    encrypted_oauth_tokens: str | None = None,
    oauth_expires_at: datetime | None = None,
    oauth_scopes: str | None = None,
    oauth_user_id: int | None = None,
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
    try:
        db.execute(
            table.insert().values(
                name=name,
                domain_id=domain_id,
                state="draft",
                api_url=api_url,
                encrypted_api_token=encrypted_api_token,
                company_id=company_id,
                default_region=default_region,
                consent=consent,
                on_delete=on_delete,
                encrypted_oauth_tokens=encrypted_oauth_tokens,
                oauth_expires_at=oauth_expires_at,
                oauth_scopes=oauth_scopes,
                oauth_user_id=oauth_user_id,
                created_at=utc_now(),
            )
        )
    except sa.exc.IntegrityError:
        # Another program was quicker, between the look and the insert.
        raise ConnectionExists(
            f"The name {name}, or its domain, was taken by another connection just now; choose another."
        ) from None
    return get_connection(db, name)


def get_connection(db: sa.Connection, name: str) -> ConnectionRecord:
    """Raises UnknownConnection, which names those that exist."""
    row = db.execute(_select().where(tables.connections.c.name == name)).mappings().one_or_none()
    if row is None:
        names = [record.name for record in list_connections(db)]
        known = f"there are: {', '.join(names)}" if names else "there is none yet"
        raise UnknownConnection(f"There is no connection named {name} ({known}).")
    return ConnectionRecord(**row)


def list_connections(db: sa.Connection) -> list[ConnectionRecord]:
    """All connections by name."""
    rows = db.execute(_select().order_by(tables.connections.c.name)).mappings()
    return [ConnectionRecord(**row) for row in rows]


def domains(db: sa.Connection) -> list[str]:
    """Names of the domains that have a list, in order."""
    return list(db.scalars(sa.select(tables.domains.c.name).order_by(tables.domains.c.name)))


def domains_without_connection(db: sa.Connection) -> list[str]:
    """Names of the domains that have a list and no connection, in order."""
    domain, own = tables.domains, tables.connections
    rows = db.execute(
        sa.select(domain.c.name)
        .join_from(domain, own, own.c.domain_id == domain.c.id, isouter=True)
        .where(own.c.id.is_(None))
        .order_by(domain.c.name)
    )
    return list(rows.scalars())


def connections_of_user(db: sa.Connection, company_id: int, user_id: int) -> list[ConnectionRecord]:
    """Those that hold OAuth tokens of this user of Pipedrive, dead ones too, by name."""
    mine = (
        tables.connections.c.company_id == company_id,
        tables.connections.c.oauth_user_id == user_id,
        tables.connections.c.encrypted_oauth_tokens.is_not(None),
    )
    rows = db.execute(_select().where(*mine).order_by(tables.connections.c.name)).mappings()
    return [ConnectionRecord(**row) for row in rows]


def update_renewed(db: sa.Connection, connection_id: int, encrypted_before: str, **values: Any) -> bool:
    """Updates the connection if it still has these OAuth tokens; whether it had."""
    mine = (
        tables.connections.c.id == connection_id,
        tables.connections.c.encrypted_oauth_tokens == encrypted_before,
    )
    return db.execute(tables.connections.update().where(*mine).values(**values)).rowcount == 1


def granted_scopes(stored: str | None) -> frozenset[str] | None:
    """As a column keeps them, with commas between."""
    return None if stored is None else frozenset(filter(None, stored.split(",")))


def update_connection(db: sa.Connection, connection_id: int, **values: Any) -> None:
    db.execute(tables.connections.update().where(tables.connections.c.id == connection_id).values(**values))


def remove_connection(db: sa.Connection, connection_id: int) -> None:
    """Removes the connection with all that is known of it; the list and its domain stay."""
    for table in reversed(tables.metadata.sorted_tables):
        if "connection_id" in table.c:
            db.execute(table.delete().where(table.c.connection_id == connection_id))
    db.execute(tables.connections.delete().where(tables.connections.c.id == connection_id))


def _select() -> sa.Select[Any]:
    own = list(tables.connections.c)
    domain = tables.domains
    return sa.select(
        *own, domain.c.name.label("domain"), domain.c.list_schema, domain.c.list_table
    ).join_from(tables.connections, domain, tables.connections.c.domain_id == domain.c.id)
