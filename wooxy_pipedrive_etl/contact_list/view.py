"""The list as a plan looks at it: the table as it is, or what a draft's Import would make of it (see `drafted`)."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa


@dataclass(frozen=True)
class ListView:
    """`columns`: what each column stores, as `dialects.real_columns` tells it. `relation`: a row for each contact, with
    these columns."""

    columns: dict[str, str | None]
    relation: sa.FromClause

    def count(self, db: sa.Connection) -> int:
        """How many contacts there are."""
        return db.execute(sa.select(sa.func.count()).select_from(self.relation)).scalar_one()
