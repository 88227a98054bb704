"""The inbox: one entry per person, settled up to what was read, limited in size, and blocking nobody."""

from __future__ import annotations

import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wooxy_pipedrive_etl.store import Store, inbox
from wooxy_pipedrive_etl.store.inbox import (
    Hints,
    add_event,
    count_hints,
    count_malformed,
    forget_connection,
    pending_hints,
    received,
    settle_hints,
)
from wooxy_pipedrive_etl_tests.patience import PATIENCE_SECONDS

ACME = 1
OTHER = 2


@pytest.fixture
def store(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """On SQLite, writers take turns at random, and on a busy machine one may wait long."""
    monkeypatch.setattr(inbox, "_SQLITE_WAIT_SECONDS", PATIENCE_SECONDS)
    store = Store.open(database_url)
    yield store
    store.close()


def test_nothing_is_pending_at_first(store: Store) -> None:
    assert pending_hints(store.inbox, ACME) == Hints([], frozenset(), 0)
    assert count_hints(store.inbox, ACME) == 0
    assert received(store.inbox, ACME) == inbox.Received()


def test_events_are_collapsed_by_person(store: Store) -> None:
    for person_id in (7, 3, 7, 7, 2**63 - 1):
        add_event(store.inbox, ACME, person_id, deleted=False)
    assert pending_hints(store.inbox, ACME) == Hints([3, 7, 2**63 - 1], frozenset(), 5)
    assert count_hints(store.inbox, ACME) == 3
    assert received(store.inbox, ACME).accepted == 5


@pytest.mark.parametrize("saying", [(True, False), (False, True), (True, True)])
def test_a_deletion_is_remembered_among_other_events(store: Store, saying: tuple[bool, bool]) -> None:
    for deleted in saying:
        add_event(store.inbox, ACME, 7, deleted=deleted)
    add_event(store.inbox, ACME, 8, deleted=False)
    assert pending_hints(store.inbox, ACME) == Hints([7, 8], frozenset({7}), 3)


def test_settled_persons_are_removed_but_newer_ones_stay(store: Store) -> None:
    for person_id in (1, 2, 3):
        add_event(store.inbox, ACME, person_id, deleted=False)
    hints = pending_hints(store.inbox, ACME)
    add_event(store.inbox, ACME, 2, deleted=True)
    add_event(store.inbox, ACME, 4, deleted=False)
    settle_hints(store.inbox, ACME, hints)
    assert pending_hints(store.inbox, ACME) == Hints([2, 4], frozenset({2}), 5)
    settle_hints(store.inbox, ACME, hints)
    assert count_hints(store.inbox, ACME) == 2


def test_a_person_named_after_settling_is_pending_again(store: Store) -> None:
    add_event(store.inbox, ACME, 7, deleted=True)
    hints = pending_hints(store.inbox, ACME)
    settle_hints(store.inbox, ACME, hints)
    add_event(store.inbox, ACME, 7, deleted=False)
    again = pending_hints(store.inbox, ACME)
    assert again.up_to > hints.up_to
    assert again.deleted == frozenset()
    settle_hints(store.inbox, ACME, hints)
    assert pending_hints(store.inbox, ACME) == again


def test_only_the_given_persons_are_settled(store: Store) -> None:
    add_event(store.inbox, ACME, 1, deleted=False)
    add_event(store.inbox, ACME, 2, deleted=False)
    hints = pending_hints(store.inbox, ACME)
    settle_hints(store.inbox, ACME, Hints([1], frozenset(), hints.up_to))
    assert pending_hints(store.inbox, ACME).changed == [2]


def test_connections_do_not_see_each_other(store: Store) -> None:
    add_event(store.inbox, ACME, 1, deleted=False)
    add_event(store.inbox, OTHER, 1, deleted=True)
    settle_hints(store.inbox, OTHER, pending_hints(store.inbox, OTHER))
    assert pending_hints(store.inbox, ACME).changed == [1]
    forget_connection(store.inbox, OTHER)
    assert received(store.inbox, OTHER) == inbox.Received()
    assert received(store.inbox, ACME).accepted == 1
    forget_connection(store.inbox, ACME)
    assert pending_hints(store.inbox, ACME) == Hints([], frozenset(), 0)


def test_a_full_inbox_still_accepts_known_persons(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "LIMIT", 2)
    for person_id in (1, 2, 3, 4):
        add_event(store.inbox, ACME, person_id, deleted=False)
    add_event(store.inbox, ACME, 1, deleted=True)
    add_event(store.inbox, OTHER, 3, deleted=False)
    assert pending_hints(store.inbox, ACME) == Hints([1, 2], frozenset({1}), 5)
    counted = received(store.inbox, ACME)
    assert (counted.accepted, counted.overflowed) == (3, 2)
    settle_hints(store.inbox, ACME, pending_hints(store.inbox, ACME))
    add_event(store.inbox, ACME, 3, deleted=False)
    assert pending_hints(store.inbox, ACME).changed == [3]


def test_a_hundred_thousand_persons_are_settled_at_once(store: Store) -> None:
    rows = [
        {"connection_id": ACME, "person_id": n, "number": n, "deleted": False}
        for n in range(1, inbox.LIMIT + 1)
    ]
    with store.inbox.begin() as db:
        db.execute(inbox.events.insert(), rows)
    hints = pending_hints(store.inbox, ACME)
    assert len(hints.changed) == inbox.LIMIT
    settle_hints(store.inbox, ACME, hints)
    assert count_hints(store.inbox, ACME) == 0


def test_malformed_calls_are_counted(store: Store) -> None:
    add_event(store.inbox, ACME, 1, deleted=False)
    before = received(store.inbox, ACME)
    count_malformed(store.inbox, ACME)
    count_malformed(store.inbox, OTHER)
    after = received(store.inbox, ACME)
    assert (after.accepted, after.malformed) == (1, 1)
    assert after.last_event_at == before.last_event_at is not None
    assert received(store.inbox, OTHER).malformed == 1


def test_no_concurrent_event_is_lost_while_settling(store: Store) -> None:
    """A run settles only what it has read; otherwise a deletion in no hints would be lost."""
    seen: set[int] = set()
    ended = threading.Event()

    def keep_settling() -> None:
        # A run does not settle without pausing: SQLite has one writer at a time, so others would starve.
        while not ended.wait(0.001):
            hints = pending_hints(store.inbox, ACME)
            settle_hints(store.inbox, ACME, hints)
            seen.update(hints.deleted)

    def add(person_id: int) -> None:
        add_event(store.inbox, ACME, person_id % 20, deleted=False)
        add_event(store.inbox, ACME, 100 + person_id, deleted=True)

    with ThreadPoolExecutor(5) as pool:
        settling = pool.submit(keep_settling)
        try:
            list(pool.map(add, range(150)))
        finally:
            ended.set()
        settling.result()
    seen.update(pending_hints(store.inbox, ACME).deleted)
    assert seen == {100 + person_id for person_id in range(150)}
    assert received(store.inbox, ACME).accepted == 300


def test_postgresql_events_are_committed_in_number_order(postgres_url: str) -> None:
    """Otherwise a run could read up to number 2 and settle number 1, which was committed later and never read."""
    store = Store.open(postgres_url)
    with ThreadPoolExecutor(1) as pool:
        with store.inbox.begin() as first:
            assert inbox._count(first, ACME, newest=1)[0] == 1
            second = pool.submit(add_event, store.inbox, ACME, 7, deleted=False)
            waiting = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
            with store.engine.connect() as other:
                while not second.done() and other.execute(waiting).scalar() == 0:
                    pass
            assert pending_hints(store.inbox, ACME) == Hints([], frozenset(), 0)
        second.result()
    assert pending_hints(store.inbox, ACME) == Hints([7], frozenset(), 2)
    store.close()


def test_programs_starting_together_create_the_tables_once(database_url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(lambda _: Store.open(database_url), range(4)))
    for number, each in enumerate(stores):
        add_event(each.inbox, ACME, number + 1, deleted=False)
    assert count_hints(stores[0].inbox, ACME) == 4
    for each in stores:
        each.close()


def test_sqlite_accepts_events_while_another_program_writes(tmp_path: Path, sqlite_url: str) -> None:
    store = Store.open(sqlite_url)
    with store.engine.begin() as db:
        db.execute(sa.text("INSERT INTO sync_domains (name, list_table) VALUES ('a', 'b')"))
        add_event(store.inbox, ACME, 1, deleted=False)
        settle_hints(store.inbox, ACME, pending_hints(store.inbox, ACME))
    files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("list.db*")}
    assert "list.db-inbox" in files
    assert set(files.values()) == {0o600}
    store.close()


def test_on_postgresql_the_inbox_is_in_the_database(postgres_url: str) -> None:
    store = Store.open(postgres_url)
    assert store.inbox is store.engine
    names = [name for name in sa.inspect(store.engine).get_table_names() if "inbox" in name]
    assert sorted(names) == ["sync_inbox", "sync_inbox_counters"]
    store.close()


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(1, 4), st.booleans()),
        st.tuples(st.just("read"), st.just(0), st.just(False)),
        st.tuples(st.just("settle"), st.just(0), st.just(False)),
    ),
    max_size=30,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_STEPS)
def test_pending_persons_are_those_named_since_settling(
    store: Store, steps: list[tuple[str, int, bool]]
) -> None:
    """Compared with a log of events: a person waits while its newest event is newer than the hints it was settled with,
    and is deleted if any event since it began to wait said so."""
    forget_connection(store.inbox, ACME)
    log: list[tuple[int, int, bool]] = []
    hints = Hints([], frozenset(), 0)
    for number, (step, person_id, deleted) in enumerate(steps, start=1):
        if step == "add":
            add_event(store.inbox, ACME, person_id, deleted=deleted)
            log.append((number, person_id, deleted))
        elif step == "read":
            hints = pending_hints(store.inbox, ACME)
            newest_read = max((at for at, _, _ in log), default=0)
            read_ids = set(hints.changed)
        elif hints.changed:
            settle_hints(store.inbox, ACME, hints)
            gone = {
                each
                for each in read_ids
                if max((at for at, other, _ in log if other == each), default=0) <= newest_read
            }
            log = [event for event in log if event[1] not in gone]
        waiting = pending_hints(store.inbox, ACME)
        assert waiting.changed == sorted({each for _, each, _ in log})
        assert waiting.deleted == {each for _, each, said in log if said}
