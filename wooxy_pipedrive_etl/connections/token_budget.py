"""The daily token budget, which all of a company's integrations share: what runs will cost, and what is kept in
reserve."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa

from wooxy_pipedrive_etl.errors import Refused
from wooxy_pipedrive_etl.pipedrive.endpoints import (
    CURRENT_USER,
    IDS_LIMIT,
    ORGANIZATIONS,
    PAGE_LIMIT,
    PERSON_FIELDS,
    PERSONS,
    USERS,
    WEBHOOKS,
)
from wooxy_pipedrive_etl.settings import RESERVE_VARIABLE, Settings
from wooxy_pipedrive_etl.store import budgets, tables
from wooxy_pipedrive_etl.store.connections import ConnectionRecord
from wooxy_pipedrive_etl.store.matchings import confirmed_matching
from wooxy_pipedrive_etl.store.snapshot import count_persons

from .variables import variables_of

if TYPE_CHECKING:
    from wooxy_pipedrive_etl.pipedrive import Usage


class BudgetReserve(Refused):
    """The run would use the reserve of the daily budget."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "reserve")


def reserve(daily_limit: int) -> int:
    """The tokens of a day's limit that are kept in reserve. Raises InvalidSetting."""
    return daily_limit * Settings.current().reserve_percent // 100


def estimate(db: sa.Connection, record: ConnectionRecord, kind: str, hints: int = 0) -> int:
    """The tokens that a run of this kind (changes, full, re-map) will use, as far as the last run can tell.

    `hints`: how many persons are waiting in the inbox; a run of changes looks them up. Before the first full run only
    the persons of the previews are known, and the estimate is too low.
    """
    return _estimate(db, record, kind, hints, kinds_shown(db, record))


def estimates(db: sa.Connection, record: ConnectionRecord, hints: int) -> dict[str, int]:
    """`estimate` of the kinds that start automatically, changes and full."""
    shown = kinds_shown(db, record)
    return {kind: _estimate(db, record, kind, hints, shown) for kind in ("changes", "full")}


def _estimate(db: sa.Connection, record: ConnectionRecord, kind: str, hints: int, shown: set[str]) -> int:
    tokens = CURRENT_USER.token_cost + PERSON_FIELDS.token_cost
    if kind == "full":
        # The extra one is the second lookup of persons that the walk did not return.
        requests = _pages(count_persons(db, record.id), PAGE_LIMIT) + 1
        tokens += requests * PERSONS.token_cost
        if record.webhook.url is not None:
            tokens += WEBHOOKS.token_cost
    elif kind == "changes":
        requests = 1 + -(-hints // IDS_LIMIT)
        # Where new persons may lack an update_time, they are also looked up by id.
        requests += record.sync_state.null_update_times is not False
        tokens += requests * PERSONS.token_cost
    if "org" in shown:
        requests = _organization_requests(db, record) if kind == "full" else 1
        tokens += requests * ORGANIZATIONS.token_cost
    if "user" in shown:
        tokens += USERS.token_cost
    return tokens


def refusal(expected: int, usage: Usage) -> str | None:
    """Why a run that is expected to use this many tokens must not continue, in a sentence, or None.

    `usage`: of the run so far, with what Pipedrive has just reported; if it reports nothing, nothing is refused.
    """
    limit, left = usage.daily_limit, usage.daily_remaining
    if limit is None or left is None:
        return None
    kept = reserve(limit)
    if left - max(0, expected - usage.tokens_used) >= kept:
        return None
    if expected > limit - kept:
        later = f"it will not fit on another day either, so lower {RESERVE_VARIABLE}"
    else:
        later = "run again after midnight of Pipedrive's server, when the budget is new"
    return (
        f"The run would use about {expected} tokens, but of Pipedrive's {limit} tokens a day (all integrations of the "
        f"company share them) {left} are left and {kept} are kept in reserve, so it did not start; {later}."
    )


def note(db: sa.Connection, company_id: int, usage: Usage, now: datetime | None = None) -> None:
    """Stores what Pipedrive last reported of the company's daily budget, if anything."""
    if usage.daily_remaining is not None:
        budgets.note(
            db,
            company_id,
            daily_limit=usage.daily_limit,
            daily_left=usage.daily_remaining,
            noted_at=(now or datetime.now(UTC)).replace(tzinfo=None),
        )


def _pages(rows: int, size: int) -> int:
    """The number of requests for so many rows; an empty list takes one, too."""
    return max(1, -(-rows // size))


def kinds_shown(db: sa.Connection, record: ConnectionRecord) -> set[str]:
    """The kinds (org, user, …), by name, of the variables that the confirmed matching feeds."""
    matching = confirmed_matching(db, record.id)
    if matching is None:
        return set()
    fed = {row.pipedrive for row in matching.rows if row.wooxy is not None}
    return {variable.kind.name for variable in variables_of(db, record) if variable.key in fed}


def _organization_requests(db: sa.Connection, record: ConnectionRecord) -> int:
    """As many as `PipedriveClient.organization_names` needs for the known names."""
    names = tables.names
    count, largest = db.execute(
        sa.select(sa.func.count(), sa.func.max(names.c.entity_id)).where(
            names.c.connection_id == record.id, names.c.kind == "org"
        )
    ).one()
    return min(_pages(count, IDS_LIMIT), _pages(largest or 0, PAGE_LIMIT))
