"""The webhook of each connection, as it was registered in Pipedrive."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

import sqlalchemy as sa

from . import tables

_table = tables.webhooks


@dataclass(frozen=True)
class StoredWebhook:
    """One row of `sync_webhooks`. `webhook_id`: Pipedrive's; `url`: where it sends to, None where no webhook is wanted;
    a URL without an id is one that the next full run registers."""

    webhook_id: int | None = None
    url: str | None = None
    encrypted_password: str | None = field(default=None, repr=False)


NO_WEBHOOK = StoredWebhook()


def add(db: sa.Connection, connection_id: int) -> None:
    """A new connection has none."""
    db.execute(_table.insert().values(connection_id=connection_id))


def remember(db: sa.Connection, connection_id: int, webhook: StoredWebhook) -> None:
    """In place of what was known. `NO_WEBHOOK` forgets it."""
    db.execute(_table.update().where(_table.c.connection_id == connection_id).values(**asdict(webhook)))
