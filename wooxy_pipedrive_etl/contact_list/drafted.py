"""The list as an Import would make it: what the plan of a draft looks at, while the table stays as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from .columns import CUSTOM_TYPES, sql_type
from .contact_list import ContactList


@dataclass(frozen=True)
class DraftedList(ContactList):
    """`renamed`: (old, new) names, as if done one after the other; `added`: (name, format) of variables that are empty
    in every contact. For plans that are never applied."""

    renamed: tuple[tuple[str, str], ...] = ()
    added: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(
        cls, real: ContactList, renamed: Sequence[tuple[str, str]], added: Sequence[tuple[str, str]]
    ) -> DraftedList:
        return cls(real.domain_id, real.domain, real.schema, real.table_name, tuple(renamed), tuple(added))

    def stored(self, db: sa.Connection) -> dict[str, str | None]:
        real = super().stored(db)
        added = {name: CUSTOM_TYPES[format_] for name, format_ in self.added}
        return {self._drafted_name(column): stores for column, stores in real.items()} | added

    def contacts(self, stored: dict[str, str | None]) -> sa.FromClause:
        added = [name for name, _ in self.added]
        columns = {name: self._column(name) for name in stored if name not in added}
        table = self.table({column: stored[name] for name, column in columns.items()})
        values = [table.c[column].label(name) for name, column in columns.items()]
        values += [sa.cast(sa.null(), sql_type(stored[name] or "text")).label(name) for name in added]
        return sa.select(*values).subquery("listed")

    def _drafted_name(self, column: str) -> str:
        for old, new in self.renamed:
            column = new if column == old else column
        return column

    def _column(self, drafted_name: str) -> str:
        for old, new in reversed(self.renamed):
            drafted_name = old if drafted_name == new else drafted_name
        return drafted_name
