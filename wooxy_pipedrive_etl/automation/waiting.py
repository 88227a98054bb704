"""Why an automatic run must not start yet: a recent failure, or the day's tokens."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from wooxy_pipedrive_etl.connections import token_budget
from wooxy_pipedrive_etl.store import runs
from wooxy_pipedrive_etl.store.connections import ConnectionRecord
from wooxy_pipedrive_etl.store.runs import Standing

# The daily limit if Pipedrive has not reported it: that of one seat on the smallest plan.
SMALLEST_DAILY_LIMIT = 30_000
# The share of the day's limit that automatic runs of changes may use, and of that in any hour: someone who edits all
# morning must not leave the afternoon without.
CHANGES_SHARE = 0.40
CHANGES_SHARE_PER_HOUR = CHANGES_SHARE / 6
# Once the sensors have stopped for lack of tokens, they check this often whether a new day has begun.
BUDGET_LOOK = timedelta(hours=1)
# An older reading is from another day, whatever the server's time zone.
BUDGET_LIVES = timedelta(hours=24)
# After a failed run the next one waits, twice as long each time: a permanent failure costs little, and a brief one is
# soon over.
FIRST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=1)


@dataclass(frozen=True)
class Waiting:
    """Something is due but must not start yet. `reason`: a sentence."""

    reason: str


def may_start(record: ConnectionRecord) -> bool:
    """Whether a run may start, and Pipedrive be polled, without a user's request."""
    return record.state == "active" and not record.paused


def back_off(standing: Standing, now: datetime) -> Waiting | None:
    if standing.failed_ended is None:
        return None
    # More doublings would only give a number too large to add to a time.
    wait = min(FIRST_WAIT * 2 ** min(standing.failures - 1, 10), LONGEST_WAIT)
    again = standing.failed_ended + wait
    if as_stored(now) >= again:
        return None
    last = "run" if standing.failures == 1 else f"{standing.failures} runs"
    return Waiting(f"The last {last} failed; the next one starts automatically at {again:%H:%M:%S} UTC.")


def used_up(db: sa.Connection, record: ConnectionRecord, now: datetime) -> Waiting | None:
    """Whether automatic runs of changes have used up their share."""
    limit = record.budget.daily_limit or SMALLEST_DAILY_LIMIT
    for span, share, name in (
        (timedelta(hours=1), CHANGES_SHARE_PER_HOUR, "an hour"),
        (timedelta(hours=24), CHANGES_SHARE, "a day"),
    ):
        used = runs.tokens_used_since(db, record.company_id, "changes", as_stored(now - span))
        if used >= share * limit:
            return Waiting(
                f"Runs of changes have used {used} tokens within {name}, and may use {share * limit:.0f}."
            )
    return None


def stopped_for_tokens(db: sa.Connection, record: ConnectionRecord, now: datetime) -> Waiting | None:
    """Sensors stop before any run has to: what is left beyond the reserve belongs to the nightly full run."""
    limit, left = record.budget.daily_limit, tokens_left(record, now)
    if limit is None or left is None:
        return None
    kept, night = token_budget.reserve(limit), token_budget.estimate(db, record, "full")
    if left >= kept + night:
        return None
    return Waiting(
        f"Of Pipedrive's {limit} tokens a day {left} are left, which are kept for the next full run ({night}) and in "
        f"reserve ({kept})."
    )


def short_of_tokens(db: sa.Connection, record: ConnectionRecord, now: datetime, kind: str) -> Waiting | None:
    """Whether the run would be refused because of the reserve. If the reading is old, the run checks it itself."""
    limit, left = record.budget.daily_limit, record.budget.daily_left
    if limit is None or left is None or is_time(record.budget.noted_at, BUDGET_LOOK, now):
        return None
    kept, expected = token_budget.reserve(limit), token_budget.estimate(db, record, kind)
    if left - expected >= kept:
        return None
    return Waiting(
        f"Of Pipedrive's {limit} tokens a day {left} are left, of which {kept} are kept in reserve, and the run would "
        f"use about {expected}."
    )


def tokens_left(record: ConnectionRecord, now: datetime) -> int | None:
    """The tokens left, if they were reported on what may be the same day."""
    return None if is_time(record.budget.noted_at, BUDGET_LIVES, now) else record.budget.daily_left


def is_time(last: datetime | None, interval: timedelta, now: datetime) -> bool:
    if last is None:
        return True
    # A time further ahead than any poll is ever postponed was recorded by a clock that has since been set back.
    return as_stored(now) - last >= interval or last - as_stored(now) > timedelta(days=1)


def as_stored(moment: datetime) -> datetime:
    """As the database stores it: UTC, without a zone."""
    return moment.astimezone(UTC).replace(tzinfo=None)
