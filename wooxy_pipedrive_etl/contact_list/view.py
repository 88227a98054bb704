"""The list as a plan reads it: the table itself, or what the Import of a draft would make of it (see `drafted`)."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa


@dataclass(frozen=True)
class ListView:
    """`columns`: what each column stores, as returned by `dialects.real_columns`. `relation`: one row per contact, with
    these columns."""

    columns: dict[str, str | None]
    relation: sa.FromClause

    def count(self, db: sa.Connection) -> int:
        """How many contacts it has."""
        return db.execute(sa.select(sa.func.count()).select_from(self.relation)).scalar_one()
