"""What the statements of a run work on: the tables of a connection, the list, and the settings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import sqlalchemy as sa

from wooxy_pipedrive_etl.list_settings import Consent, OnDelete
from wooxy_pipedrive_etl.store import tables

from . import channels
from .columns import IDENTIFIERS
from .scratch import PlanTables, existing_stage, plan_tables, stage_variables
from .view import ListView


@dataclass(frozen=True)
class ListSettings:
    """The settings of a connection that affect the list."""

    ignore_empty: bool = True
    consent: Consent = Consent.RESPECT
    on_delete: OnDelete = OnDelete.DELETE


@dataclass(frozen=True)
class Tables:
    """`listed`: the contacts of the list. `stored`: see `ListView.columns`. `stage`: the mapped contacts. The rest: see
    `PlanTables`."""

    connection_id: int
    settings: ListSettings
    listed: sa.FromClause
    stored: dict[str, str | None]
    stage: sa.Table
    identifier_matches: sa.Table
    resolved: sa.Table
    plan: sa.Table
    orphaned: sa.Table

    @property
    def identifiers(self) -> list[str]:
        """The identifiers that are fed."""
        return [name for name in IDENTIFIERS if name in self.stage.c]

    @property
    def our_links(self) -> sa.ColumnElement[bool]:
        """The condition for links of this connection."""
        return tables.links.c.connection_id == self.connection_id

    @cached_property
    def changes(self) -> dict[str, sa.ColumnElement[bool]]:
        """For each fed variable, whether a contact differs from its staged value. Empty text equals null."""
        stage, listed = self.stage, self.listed
        differs: dict[str, sa.ColumnElement[bool]] = {}
        for name in stage_variables(stage.c.keys()):
            if name == "emailSubscribe":
                differs[name] = channels.unsubscribes(stage, listed)
                continue
            now = sa.func.nullif(listed.c[name], "") if self.stored[name] == "text" else listed.c[name]
            distinct = now.is_distinct_from(stage.c[name])
            differs[name] = (
                sa.and_(stage.c[name].is_not(None), distinct) if self.settings.ignore_empty else distinct
            )
        return differs


def tables_of(db: sa.Connection, view: ListView, connection_id: int, settings: ListSettings) -> Tables:
    """The tables of a connection that has a stage. Raises ListError if the list has lost a variable since it was
    staged."""
    return _tables(
        connection_id,
        settings,
        view.relation,
        tuple(view.columns.items()),
        existing_stage(db, connection_id, view.columns),
        plan_tables(db, connection_id),
    )


# A run needs them for the plan, its sample and the writes; with many variables, `changes` is large.
@lru_cache(maxsize=8)
def _tables(
    connection_id: int,
    settings: ListSettings,
    listed: sa.FromClause,
    stored: tuple[tuple[str, str | None], ...],
    stage: sa.Table,
    scratch: PlanTables,
) -> Tables:
    return Tables(connection_id, settings, listed, dict(stored), stage, *scratch)
