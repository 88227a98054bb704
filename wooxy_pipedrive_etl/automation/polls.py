"""When to ask Pipedrive whether anything is due. A *poll* is one cheap request, paced by the daily budget, not by a
fixed interval."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from wooxy_pipedrive_etl.connections import token_budget
from wooxy_pipedrive_etl.connections.catalogue import store_catalogue
from wooxy_pipedrive_etl.connections.credentials import lost_sentence, pipedrive_client
from wooxy_pipedrive_etl.failures import EXPECTED_ERRORS
from wooxy_pipedrive_etl.http_api.retries import Retries
from wooxy_pipedrive_etl.pipedrive import PipedriveClient, optional_fields
from wooxy_pipedrive_etl.pipedrive.endpoints import (
    CURRENT_USER,
    ORGANIZATIONS,
    PERSON_FIELDS,
    PERSONS,
)
from wooxy_pipedrive_etl.store import Store, mapped, polls, runs
from wooxy_pipedrive_etl.store.bulk import storable
from wooxy_pipedrive_etl.store.catalogue import read_fields, read_names
from wooxy_pipedrive_etl.store.connections import ConnectionRecord
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.store.polls import Polled
from wooxy_pipedrive_etl.store.snapshot import differing_persons, highest_person_id
from wooxy_pipedrive_etl.sync.run import read_again_since

from .due import Due, run_key
from .waiting import (
    BUDGET_LOOK,
    SMALLEST_DAILY_LIMIT,
    Waiting,
    as_stored,
    back_off,
    is_time,
    may_start,
    stopped_for_tokens,
    tokens_left,
    used_up,
)

logger = logging.getLogger(__name__)

# Shares of the day's limit that polls may cost. With the hourly check of what is left (48 tokens), all of it stays
# under a tenth of it.
PERSONS_SHARE = 0.07
FIELDS_SHARE = 0.025
# However large the budget is, polling more often helps nobody: a run takes seconds too, and people edit fields by hand.
SHORTEST_PERSONS_INTERVAL = timedelta(seconds=30)
SHORTEST_FIELDS_INTERVAL = timedelta(seconds=60)
# A tick must not hang: a failed poll is repeated when the next one is due.
POLL_TIMEOUT_SECONDS = 10.0


def poll_persons(
    store: Store, record: ConnectionRecord, now: datetime, sharers: int = 1
) -> Due | Waiting | None:
    """Asks Pipedrive for the persons that changed last, if it is time to, and compares them with the snapshot.

    `sharers`: how many active connections share the company's budget. An error is one line in the log.
    """
    if not may_start(record) or record.sync_state.watermark is None:
        return None
    lost = lost_sentence(record)
    if lost is not None:
        return Waiting(lost)
    # Where new persons may lack an update_time, a second request asks for the newest ids.
    by_id = record.sync_state.null_update_times is not False
    poll = _persons_poll(record, sharers, now, by_id=by_id)
    long_unheard = is_time(record.polls.persons_at, BUDGET_LOOK, now) and is_time(
        record.budget.noted_at, BUDGET_LOOK, now
    )
    if not long_unheard and not is_time(record.polls.persons_at, poll.interval, now):
        return None
    with reading(store.engine) as db:
        waiting = back_off(runs.standing(db, record.id), now) or used_up(db, record, now)
        stopped = stopped_for_tokens(db, record, now)
        key = run_key(db, record, now, "persons")
    if waiting is not None:
        return waiting
    if stopped is not None:
        if long_unheard:
            look = _Poll(CURRENT_USER.token_cost, BUDGET_LOOK)
            _ask(store, record, now, "persons", look, lambda client: client.account().user_id)
        return stopped
    if not is_time(record.polls.persons_at, poll.interval, now):
        return None
    changed = _ask(
        store,
        record,
        now,
        "persons",
        poll,
        lambda client: _count_changed(store, record, client, by_id=by_id),
    )
    if not changed:
        return None
    return Due("changes", f"{changed} persons have changed in Pipedrive since they were read.", key)


def poll_fields(
    store: Store, record: ConnectionRecord, now: datetime, sharers: int = 1
) -> Due | Waiting | None:
    """Reads the field catalogue into the store, if it is time to; `schema_due` then decides what the changes make due.
    If the list shows names of organisations, also looks for renamed ones; these are due at once."""
    if not may_start(record) or record.sync_state.watermark is None:
        return None
    lost = lost_sentence(record)
    if lost is not None:
        return Waiting(lost)
    if not is_time(record.polls.fields_at, _fields_poll(record, sharers, now).interval, now):
        return None
    with reading(store.engine) as db:
        shown = token_budget.kinds_shown(db, record)
        waiting = back_off(runs.standing(db, record.id), now) or stopped_for_tokens(db, record, now)
        key = run_key(db, record, now, "names")
    names = "org" in shown and record.sync_state.names_watermark is not None
    poll = _fields_poll(record, sharers, now, names=names)
    if not is_time(record.polls.fields_at, poll.interval, now):
        return None
    if waiting is not None:
        return waiting

    def read_fields_and_names(client: PipedriveClient) -> int:
        store_catalogue(store, record, client)
        return _count_renamed(store, record, client) if names else 0

    changed = _ask(store, record, now, "fields", poll, read_fields_and_names)
    if not changed:
        return None
    return Due("changes", f"{changed} organisations have another name in Pipedrive.", key)


@dataclass(frozen=True)
class _Poll:
    """The poll's cost in tokens, and the time until the next one."""

    cost: int
    interval: timedelta


def _persons_poll(record: ConnectionRecord, sharers: int, now: datetime, *, by_id: bool) -> _Poll:
    cost = PERSONS.token_cost * (2 if by_id else 1)
    return _Poll(cost, max(SHORTEST_PERSONS_INTERVAL, _paced(record, cost, PERSONS_SHARE, sharers, now)))


def _fields_poll(record: ConnectionRecord, sharers: int, now: datetime, *, names: bool = False) -> _Poll:
    cost = CURRENT_USER.token_cost + PERSON_FIELDS.token_cost + (ORGANIZATIONS.token_cost if names else 0)
    return _Poll(cost, max(SHORTEST_FIELDS_INTERVAL, _paced(record, cost, FIELDS_SHARE, sharers, now)))


def _paced(record: ConnectionRecord, cost: int, share: float, sharers: int, now: datetime) -> timedelta:
    """The interval between polls of this cost that use the given share of a day's limit. It doubles when less than half
    of the limit is left, quadruples when less than a quarter is, and so on."""
    limit = record.budget.daily_limit or SMALLEST_DAILY_LIMIT
    seconds = cost * 86_400 * sharers / (share * limit)
    left = tokens_left(record, now)
    if left is not None:
        halvings = (limit // max(left, 1)).bit_length() - 1
        seconds *= 2 ** max(0, halvings)
    return timedelta(seconds=seconds)


def _ask(
    store: Store,
    record: ConnectionRecord,
    now: datetime,
    polled: Polled,
    poll: _Poll,
    question: Callable[[PipedriveClient], int],
) -> int:
    """The answer to one poll, 0 if there is none. The poll is recorded before the request, so that it counts however it
    ends. A poll that cost more than expected makes the next one wait longer."""
    _note_poll(store, record, polled, now)
    try:
        with pipedrive_client(
            store, record, retries=Retries(attempts=1, refusals=0), timeout=POLL_TIMEOUT_SECONDS
        ) as client:
            try:
                return question(client)
            finally:
                with store.engine.begin() as db:
                    token_budget.note(db, record.company_id, client.usage, now)
                more = client.usage.tokens_used - poll.cost
                if more > 0:
                    _note_poll(store, record, polled, now + poll.interval * more / poll.cost)
    except EXPECTED_ERRORS as error:
        logger.warning("Looking for changes of the connection %s failed: %s", record.name, error)
        return 0


def _note_poll(store: Store, record: ConnectionRecord, polled: Polled, moment: datetime) -> None:
    with store.engine.begin() as db:
        polls.note(db, record.id, polled, as_stored(moment))


def _count_changed(store: Store, record: ConnectionRecord, client: PipedriveClient, *, by_id: bool) -> int:
    """How many of the newest persons differ from the snapshot. An exact repetition does not count."""
    assert record.sync_state.watermark is not None
    with reading(store.engine) as db:
        optional = optional_fields(read_fields(db, record.id))
        highest = highest_person_id(db, record.id)
    # Without the fields that Pipedrive refused in the last walk, or every text would differ. If it returns them again,
    # a run of changes has stored texts that have them; so only a person that differs in both forms counts.
    left_out = record.sync_state.left_out
    changed = 0
    for fields in ([field for field in optional if field not in left_out], optional):
        page = client.newest_persons(
            read_again_since(record.sync_state.watermark, client.server_time()), include_fields=fields
        )
        with reading(store.engine) as db:
            changed = differing_persons(db, record.id, page.persons)
        if not changed or fields == optional:
            break
    if not changed and by_id:
        newest = next(client.persons_above(highest), None)
        changed = 0 if newest is None else len(newest.persons)
    return changed


def _count_renamed(store: Store, record: ConnectionRecord, client: PipedriveClient) -> int:
    assert record.sync_state.names_watermark is not None
    names = client.newest_organization_names(
        read_again_since(record.sync_state.names_watermark, client.server_time())
    )
    with reading(store.engine) as db:
        known = read_names(db, record.id)["org"]
        shown = mapped.referenced_entities(db, record.id)["org"]
    return sum(known.get(entity_id) != storable(names[entity_id]) for entity_id in shown & names.keys())
