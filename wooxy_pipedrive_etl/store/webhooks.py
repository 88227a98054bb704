"""The webhook of each connection, as registered in Pipedrive."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

import sqlalchemy as sa

from . import tables

_table = tables.webhooks


@dataclass(frozen=True)
class StoredWebhook:
    """One row of `sync_webhooks`. `webhook_id`: Pipedrive's id; `url`: where it sends to, None if no webhook is wanted.
    If a URL has no id, the next full run registers it."""

    webhook_id: int | None = None
    url: str | None = None
    encrypted_password: str | None = field(default=None, repr=False)


NO_WEBHOOK = StoredWebhook()


def add(db: sa.Connection, connection_id: int) -> None:
    """Adds the row of a new connection, which has no webhook."""
    db.execute(_table.insert().values(connection_id=connection_id))


def remember(db: sa.Connection, connection_id: int, webhook: StoredWebhook) -> None:
    """Replaces what was stored. `NO_WEBHOOK` forgets it."""
    db.execute(_table.update().where(_table.c.connection_id == connection_id).values(**asdict(webhook)))
