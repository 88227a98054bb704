"""The daily token budget of each Pipedrive company, which all of its connections share (docs/by-itself.md)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from . import tables
from .upserts import put

_table = tables.budgets


@dataclass(frozen=True)
class Budget:
    """One row of `sync_budgets`: tokens a day, and the tokens left at `noted_at` (UTC). None until Pipedrive has
    reported them."""

    daily_limit: int | None = None
    daily_left: int | None = None
    noted_at: datetime | None = None


def note(
    db: sa.Connection, company_id: int, *, daily_limit: int | None, daily_left: int, noted_at: datetime
) -> None:
    """Records what Pipedrive just reported."""
    put(
        db,
        _table,
        {"company_id": company_id},
        {"daily_limit": daily_limit, "daily_left": daily_left, "noted_at": noted_at},
    )


def forget_unused(db: sa.Connection) -> None:
    """Removes the budgets of companies without a connection."""
    used = sa.exists().where(tables.connections.c.company_id == _table.c.company_id)
    db.execute(_table.delete().where(~used))
