"""What a run feeds: its matching, with the current fields."""

from __future__ import annotations

from dataclasses import replace

import sqlalchemy as sa

from wooxy_pipedrive_etl.mapping.match_rules import TableRow
from wooxy_pipedrive_etl.mapping.transform import FeedPlan
from wooxy_pipedrive_etl.matching.view import (
    MatchView,
    as_imported,
    feed_plan_from,
    feed_plan_with,
    table_of,
    view_of,
)
from wooxy_pipedrive_etl.store.database import reading

from .run import SyncRun


def match_table_of_run(run: SyncRun) -> list[TableRow]:
    """The Match variables table during a run."""
    with reading(run.store.engine) as db:
        return table_of(db, view_of(db, run.record, run.matching))


def check_draft(run: SyncRun) -> None:
    """Raises InvalidMatching if the run uses a draft that could not be imported with the current fields."""
    if run.draft:
        with reading(run.store.engine) as db:
            _drafted_view(db, run)


def feed_plan_of(run: SyncRun) -> FeedPlan:
    """What the run feeds. A row feeds nothing, so that stored values stay, if its field was deleted or has another type
    now, if it breaks another rule, or if the last walk could not read it. A draft feeds what it would feed once
    imported.

    Raises SyncError if contacts could be deleted because an identifier is not fed although the persons still have it,
    and InvalidMatching for a draft that could not be imported.
    """
    with reading(run.store.engine) as db:
        if run.draft:
            return feed_plan_from(db, _drafted_view(db, run))
        return feed_plan_with(db, run.record, run.matching)


def _drafted_view(db: sa.Connection, run: SyncRun) -> MatchView:
    view = view_of(db, run.record, run.matching)
    return replace(view, matching=as_imported(view, view.matching))
