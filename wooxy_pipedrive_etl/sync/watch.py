"""What is due for a connection by itself, and when Pipedrive is asked whether anything is.

Everything is decided from the database, so that it does not matter who looks, how often, or after what. Where Pipedrive
must be asked, that is a *poll*: one cheap request, paced by what the day's budget allows, not by a fixed interval.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import sqlalchemy as sa

from wooxy_pipedrive_etl.pipedrive import PipedriveClient, Retries, optional_fields
from wooxy_pipedrive_etl.pipedrive.endpoints import CURRENT_USER, ORGANIZATIONS, PERSON_FIELDS, PERSONS
from wooxy_pipedrive_etl.store import Store, connections, inbox, mapped, reports
from wooxy_pipedrive_etl.store.bulk import storable
from wooxy_pipedrive_etl.store.catalogue import newest_schema_change, read_fields, read_names
from wooxy_pipedrive_etl.store.connections import ConnectionRecord
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.store.matchings import StoredMatching, confirmed_matching
from wooxy_pipedrive_etl.store.reports import Standing
from wooxy_pipedrive_etl.store.snapshot import differing_persons, highest_person_id

from . import budget
from .catalogue import store_catalogue
from .credentials import lost_sentence, pipedrive_client
from .errors import EXPECTED_ERRORS
from .matching import feed_plan_with
from .requests import RequestedRun, requested_run
from .run import read_again_since
from .selection import Kind
from .staging import mapping_key

logger = logging.getLogger(__name__)

# The day's limit where Pipedrive has not told it: that of one seat of the smallest plan.
SMALLEST_DAILY_LIMIT = 30_000
# Shares of the day's limit that polls may cost, so that with the hourly look at what is left (48 tokens) all of it
# stays under the 10 % of product.md section 5.
PERSONS_SHARE = 0.07
FIELDS_SHARE = 0.025
# However large the budget is, oftener helps nobody: a run takes seconds as well, and fields change by hand.
SHORTEST_PERSONS_INTERVAL = timedelta(seconds=30)
SHORTEST_FIELDS_INTERVAL = timedelta(seconds=60)
# What runs of changes that start by themselves may use of the day's limit, and of that in any hour: someone who edits
# all morning must not leave the afternoon without.
CHANGES_SHARE = 0.40
CHANGES_SHARE_PER_HOUR = CHANGES_SHARE / 6
# Once the sensors have stopped for want of tokens, they ask so often whether the day is a new one.
BUDGET_LOOK = timedelta(hours=1)
# What was told longer ago is of another day, whatever the server's time zone.
BUDGET_LIVES = timedelta(hours=24)
# After a failed run the next one waits, twice as long each time: what fails for good costs little, and what fails for
# a moment is soon over.
FIRST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=1)
# A tick must not hang: a poll that fails is made again when the next one is due.
POLL_TIMEOUT_SECONDS = 10.0


RunKind = Kind | Literal["match"]


@dataclass(frozen=True)
class Due:
    """A run that is to be started; `kind` "match" reads the fields and shows the Match variables table, no more.

    `reason`: a sentence. `key`: the same as long as nothing was run, so that a second look starts no second run;
    another one after a run, so that a failed one is tried again. What died before it could open its report is tried
    again in the next hour. `requested`: a person asked for it, and for `dry_run`, `allow_mass_delete` and `use_reserve`
    (`RequestedRun`).
    """

    kind: RunKind
    reason: str
    key: str
    requested: bool = False
    dry_run: bool = False
    allow_mass_delete: bool = False
    use_reserve: bool = False


@dataclass(frozen=True)
class Waiting:
    """Something is due but must not start yet. `reason`: a sentence."""

    reason: str


def due(store: Store, record: ConnectionRecord, now: datetime) -> Due | Waiting | None:
    """What the database alone says to be due: what a person has asked for, an Import, hints of webhooks, what was
    landed and not applied.

    `now`: UTC. Whoever asks makes sure that no run of the connection is queued or under way.
    """
    request = requested_run(record)
    if request is not None:
        # Whoever asks for it waits for it. Neither failures nor the budget hold it up: the run tells of them itself.
        return _requested(record, request)
    if not _may_start(record):
        return None
    lost = lost_sentence(record)
    if lost is not None:
        return Waiting(lost)
    with reading(store.engine) as connection:
        matching = confirmed_matching(connection, record.id)
        if matching is None:
            return None
        cause = _cause(store, record, matching)
        if cause is None:
            return None
        standing = reports.standing(connection, record.id)
        # Whoever imports a matching after a failure waits for it now.
        waiting = (
            None if cause.name == "matching" and _is_newer(matching, standing) else _back_off(standing, now)
        )
        return waiting or _affordable(connection, record, now, cause)


def schema_due(store: Store, record: ConnectionRecord, now: datetime) -> Due | Waiting | None:
    """What changes of the field catalogue make due: a re-map if the matching reads anything that changed, else a fresh
    Match variables table. Like `due`, by the database alone."""
    if not _may_start(record) or record.watermark is None:
        return None
    lost = lost_sentence(record)
    if lost is not None:
        return Waiting(lost)
    with reading(store.engine) as connection:
        recorded_at = newest_schema_change(connection, record.id)
        matching = confirmed_matching(connection, record.id)
        if recorded_at is None or matching is None:
            return None
        standing = reports.standing(connection, record.id)
        cause = _schema_cause(connection, record, matching, recorded_at, standing)
        if cause is None:
            return None
        return _back_off(standing, now) or _affordable(connection, record, now, cause)


def poll_persons(
    store: Store, record: ConnectionRecord, now: datetime, sharers: int = 1
) -> Due | Waiting | None:
    """Asks Pipedrive for the persons that changed last, if it is time to, and compares them with the snapshot.

    `sharers`: how many active connections share the company's budget. An error is one line in the log.
    """
    if not _may_start(record) or record.watermark is None:
        return None
    lost = lost_sentence(record)
    if lost is not None:
        return Waiting(lost)
    # Where new persons may have no update_time, a second request asks for the newest ids.
    by_id = record.null_update_times is not False
    poll = _persons_poll(record, sharers, now, by_id=by_id)
    long_unheard = _is_time(record.polled_persons_at, BUDGET_LOOK, now) and _is_time(
        record.budget_noted_at, BUDGET_LOOK, now
    )
    if not long_unheard and not _is_time(record.polled_persons_at, poll.interval, now):
        return None
    with reading(store.engine) as connection:
        waiting = _back_off(reports.standing(connection, record.id), now) or _used_up(connection, record, now)
        stopped = _stopped(connection, record, now)
        key = _key(connection, record, now, "persons")
    if waiting is not None:
        return waiting
    if stopped is not None:
        if long_unheard:
            look = _Poll(CURRENT_USER.token_cost, BUDGET_LOOK)
            _ask(store, record, now, "polled_persons_at", look, lambda client: client.account().user_id)
        return stopped
    if not _is_time(record.polled_persons_at, poll.interval, now):
        return None
    changed = _ask(
        store,
        record,
        now,
        "polled_persons_at",
        poll,
        lambda client: _count_changed(store, record, client, by_id=by_id),
    )
    if not changed:
        return None
    return Due("changes", f"{changed} persons have changed in Pipedrive since they were read.", key)


def poll_fields(
    store: Store, record: ConnectionRecord, now: datetime, sharers: int = 1
) -> Due | Waiting | None:
    """Reads the field catalogue into the store, if it is time to: what changed is due by `schema_due` then. Where the
    list shows names of organisations, looks for changed ones as well; these are due at once."""
    if not _may_start(record) or record.watermark is None:
        return None
    lost = lost_sentence(record)
    if lost is not None:
        return Waiting(lost)
    if not _is_time(record.polled_fields_at, _fields_poll(record, sharers, now).interval, now):
        return None
    with reading(store.engine) as connection:
        shown = budget.kinds_shown(connection, record)
        waiting = _back_off(reports.standing(connection, record.id), now) or _stopped(connection, record, now)
        key = _key(connection, record, now, "names")
    names = "org" in shown and record.names_watermark is not None
    poll = _fields_poll(record, sharers, now, names=names)
    if not _is_time(record.polled_fields_at, poll.interval, now):
        return None
    if waiting is not None:
        return waiting

    def read_fields_and_names(client: PipedriveClient) -> int:
        store_catalogue(store, record, client)
        return _count_renamed(store, record, client) if names else 0

    changed = _ask(store, record, now, "polled_fields_at", poll, read_fields_and_names)
    if not changed:
        return None
    return Due("changes", f"{changed} organisations have another name in Pipedrive.", key)


def _may_start(record: ConnectionRecord) -> bool:
    """Whether a run may start, and Pipedrive be asked, without a person's word."""
    return record.state == "active" and not record.paused


def _requested(record: ConnectionRecord, request: RequestedRun) -> Due:
    # Before the first full run there is nothing that could have changed, or be mapped.
    kind = request.kind if record.watermark is not None else "full"
    return Due(
        kind,
        f"A person asked for {'a dry run' if request.dry_run else 'it'}.",
        request.key,
        requested=True,
        dry_run=request.dry_run,
        allow_mass_delete=request.allow_mass_delete,
        use_reserve=request.use_reserve,
    )


@dataclass(frozen=True)
class _Cause:
    kind: RunKind
    reason: str
    name: str


def _cause(store: Store, record: ConnectionRecord, matching: StoredMatching) -> _Cause | None:
    walked = record.watermark is not None
    if matching.revision != record.applied_revision:
        reason = (
            f"Revision {matching.revision} of the matching was imported, and the list does not have it yet."
        )
        return _Cause("re-map" if walked else "full", reason, "matching")
    kind: RunKind = "changes" if walked else "full"
    hints = inbox.count_hints(store.inbox, record.id)
    if hints:
        return _Cause(kind, f"Webhooks named {hints} persons.", "hints")
    if record.unapplied:
        return _Cause(
            kind, "Persons were read, or settings changed, that the list does not have yet.", "unapplied"
        )
    return None


def _schema_cause(
    connection: sa.Connection,
    record: ConnectionRecord,
    matching: StoredMatching,
    recorded_at: datetime,
    standing: Standing,
) -> _Cause | None:
    # Changes are recorded in whole seconds. What was recorded before the last run began is in its mapping, so that no
    # other difference (a newer release, say) starts one re-map after the other.
    since_the_last = standing.succeeded is None or recorded_at >= standing.succeeded.replace(microsecond=0)
    if since_the_last and mapping_key(feed_plan_with(connection, record, matching)) != record.mapped_with:
        reason = "Fields or options that the matching reads have changed in Pipedrive."
        return _Cause("re-map", reason, "schema")
    if standing.looked is None or recorded_at > standing.looked:
        return _Cause(
            "match", "Fields have changed in Pipedrive since the Match variables table was made.", "table"
        )
    return None


def _count_changed(store: Store, record: ConnectionRecord, client: PipedriveClient, *, by_id: bool) -> int:
    """How many of the newest persons differ from what is known. An exact repetition is nothing."""
    assert record.watermark is not None
    with reading(store.engine) as connection:
        optional = optional_fields(read_fields(connection, record.id))
        highest = highest_person_id(connection, record.id)
    # Without the fields that Pipedrive refused in the last walk, or every text would differ. Should it give them again,
    # a run of changes has landed texts that have them, so a difference must be one in both forms.
    left_out = (record.left_out_fields or "").split(",")
    changed = 0
    for fields in ([field for field in optional if field not in left_out], optional):
        page = client.newest_persons(
            read_again_since(record.watermark, client.server_time()), include_fields=fields
        )
        with reading(store.engine) as connection:
            changed = differing_persons(connection, record.id, page.persons)
        if not changed or fields == optional:
            break
    if not changed and by_id:
        newest = next(client.persons_above(highest), None)
        changed = 0 if newest is None else len(newest.persons)
    return changed


def _count_renamed(store: Store, record: ConnectionRecord, client: PipedriveClient) -> int:
    assert record.names_watermark is not None
    names = client.newest_organization_names(read_again_since(record.names_watermark, client.server_time()))
    with reading(store.engine) as connection:
        known = read_names(connection, record.id)["org"]
        shown = mapped.referenced_entities(connection, record.id)["org"]
    return sum(known.get(entity_id) != storable(names[entity_id]) for entity_id in shown & names.keys())


def _ask(
    store: Store,
    record: ConnectionRecord,
    now: datetime,
    column: str,
    poll: _Poll,
    question: Callable[[PipedriveClient], int],
) -> int:
    """The answer to one poll, 0 where there is none. It is noted in the column before anything is asked, so that it
    counts however it ends; one that cost more than it should have makes the next one wait longer."""
    _note_poll(store, record, column, now)
    try:
        with pipedrive_client(
            store, record, retries=Retries(attempts=1, refusals=0), timeout=POLL_TIMEOUT_SECONDS
        ) as client:
            try:
                return question(client)
            finally:
                with store.engine.begin() as connection:
                    budget.note(connection, record.id, client.usage, now)
                more = client.usage.tokens_used - poll.cost
                if more > 0:
                    _note_poll(store, record, column, now + poll.interval * more / poll.cost)
    except EXPECTED_ERRORS as error:
        logger.warning("Looking for changes of the connection %s failed: %s", record.name, error)
        return 0


def _note_poll(store: Store, record: ConnectionRecord, column: str, moment: datetime) -> None:
    with store.engine.begin() as connection:
        connections.update_connection(connection, record.id, **{column: _plain(moment)})


def _affordable(
    connection: sa.Connection, record: ConnectionRecord, now: datetime, cause: _Cause
) -> Due | Waiting:
    """The run, or what it must wait for. What a person's Import asks for may use all but the reserve."""
    if cause.kind in ("changes", "match"):
        waiting = _used_up(connection, record, now) or _stopped(connection, record, now)
    else:
        waiting = _short(connection, record, now, cause.kind)
    return waiting or Due(cause.kind, cause.reason, _key(connection, record, now, cause.name))


def _key(connection: sa.Connection, record: ConnectionRecord, now: datetime, cause: str) -> str:
    newest = reports.newest_run_id(connection, record.id)
    return f"{record.name} {cause} after {newest or 'none'} {now:%Y-%m-%dT%H}"


def _is_newer(matching: StoredMatching, standing: Standing) -> bool:
    """Whether the matching was confirmed since the last failure (in whole seconds)."""
    return (
        matching.confirmed_at is not None
        and standing.failed_begun is not None
        and matching.confirmed_at > standing.failed_begun
    )


def _back_off(standing: Standing, now: datetime) -> Waiting | None:
    if standing.failed_ended is None:
        return None
    # More doublings would only make a number that no clock can add.
    wait = min(FIRST_WAIT * 2 ** min(standing.failures - 1, 10), LONGEST_WAIT)
    again = standing.failed_ended + wait
    if _plain(now) >= again:
        return None
    runs = "run" if standing.failures == 1 else f"{standing.failures} runs"
    return Waiting(f"The last {runs} failed; the next one starts by itself at {again:%H:%M:%S} UTC.")


@dataclass(frozen=True)
class _Poll:
    """What it costs in tokens, and how far the next one is away."""

    cost: int
    interval: timedelta


def _persons_poll(record: ConnectionRecord, sharers: int, now: datetime, *, by_id: bool) -> _Poll:
    cost = PERSONS.token_cost * (2 if by_id else 1)
    return _Poll(cost, max(SHORTEST_PERSONS_INTERVAL, _paced(record, cost, PERSONS_SHARE, sharers, now)))


def _fields_poll(record: ConnectionRecord, sharers: int, now: datetime, *, names: bool = False) -> _Poll:
    cost = CURRENT_USER.token_cost + PERSON_FIELDS.token_cost + (ORGANIZATIONS.token_cost if names else 0)
    return _Poll(cost, max(SHORTEST_FIELDS_INTERVAL, _paced(record, cost, FIELDS_SHARE, sharers, now)))


def _paced(record: ConnectionRecord, cost: int, share: float, sharers: int, now: datetime) -> timedelta:
    """How far apart polls of that cost are that use the share of a day's limit: twice as far when less than half of it
    is left, four times when less than a quarter is, and so on."""
    limit = record.daily_token_limit or SMALLEST_DAILY_LIMIT
    seconds = cost * 86_400 * sharers / (share * limit)
    left = _left(record, now)
    if left is not None:
        halvings = (limit // max(left, 1)).bit_length() - 1
        seconds *= 2 ** max(0, halvings)
    return timedelta(seconds=seconds)


def _left(record: ConnectionRecord, now: datetime) -> int | None:
    """The tokens that are left, if that was told on what may be the same day."""
    return None if _is_time(record.budget_noted_at, BUDGET_LIVES, now) else record.daily_tokens_left


def _is_time(last: datetime | None, interval: timedelta, now: datetime) -> bool:
    if last is None:
        return True
    # What lies further ahead than any poll is put off was noted by a clock that has been set back since.
    return _plain(now) - last >= interval or last - _plain(now) > timedelta(days=1)


def _stopped(connection: sa.Connection, record: ConnectionRecord, now: datetime) -> Waiting | None:
    """Sensors stop before any run has to: what is left beyond the reserve belongs to the night's full run."""
    limit, left = record.daily_token_limit, _left(record, now)
    if limit is None or left is None:
        return None
    kept, night = budget.reserve(limit), budget.estimate(connection, record, "full")
    if left >= kept + night:
        return None
    return Waiting(
        f"Of Pipedrive's {limit} tokens a day {left} are left, which are kept for the next full run ({night}) and in "
        f"reserve ({kept})."
    )


def _short(connection: sa.Connection, record: ConnectionRecord, now: datetime, kind: str) -> Waiting | None:
    """Whether the run would be refused for the sake of the reserve; what was told long ago is for the run to ask."""
    limit, left = record.daily_token_limit, record.daily_tokens_left
    if limit is None or left is None or _is_time(record.budget_noted_at, BUDGET_LOOK, now):
        return None
    kept, expected = budget.reserve(limit), budget.estimate(connection, record, kind)
    if left - expected >= kept:
        return None
    return Waiting(
        f"Of Pipedrive's {limit} tokens a day {left} are left, of which {kept} are kept in reserve, and the run would "
        f"use about {expected}."
    )


def _used_up(connection: sa.Connection, record: ConnectionRecord, now: datetime) -> Waiting | None:
    """Whether runs of changes have used what they may."""
    limit = record.daily_token_limit or SMALLEST_DAILY_LIMIT
    for span, share, name in (
        (timedelta(hours=1), CHANGES_SHARE_PER_HOUR, "an hour"),
        (timedelta(hours=24), CHANGES_SHARE, "a day"),
    ):
        used = reports.tokens_used_since(connection, record.company_id, "changes", _plain(now - span))
        if used >= share * limit:
            return Waiting(
                f"Runs of changes have used {used} tokens within {name}, and may use {share * limit:.0f}."
            )
    return None


def _plain(moment: datetime) -> datetime:
    """As the database keeps it: UTC, without a zone."""
    return moment.astimezone(UTC).replace(tzinfo=None)
