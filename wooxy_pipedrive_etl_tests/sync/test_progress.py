"""How far a run is, as another process sees it (here through a separate store)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from wooxy_pipedrive_etl.connections import accounts
from wooxy_pipedrive_etl.store import Store
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.store.inbox import progress as table
from wooxy_pipedrive_etl.store.progress import Progress, note_progress, read_progress
from wooxy_pipedrive_etl.sync import progress
from wooxy_pipedrive_etl.sync.run import begin
from wooxy_pipedrive_etl_tests.connections.test_settings import ROWS
from wooxy_pipedrive_etl_tests.scenario import Connected, connected, small_account


@pytest.fixture
def acme(database_url: str) -> Iterator[Connected]:
    with connected(database_url, small_account(3)) as acme:
        acme.import_rows(ROWS)
        yield acme


@contextmanager
def _another_process(acme: Connected) -> Iterator[Store]:
    store = Store.open(acme.store.engine.url.render_as_string(hide_password=False))
    try:
        yield store
    finally:
        store.close()


def _watched(acme: Connected) -> list[tuple[str, int, int | None]]:
    """The progress reported to a watcher in this process from now on."""
    told: list[tuple[str, int, int | None]] = []
    progress.watch(lambda what, done, total: told.append((what, done, total)))
    return told


def _rows(acme: Connected) -> list[Any]:
    with reading(acme.store.inbox) as db:
        return list(db.execute(sa.select(table)))


def test_another_process_can_see_a_runs_progress(acme: Connected) -> None:
    told = _watched(acme)
    with _another_process(acme) as other:
        assert read_progress(other, acme.record()) is None
        with begin(acme.store, acme.name, "run"):
            assert read_progress(other, acme.record()) is None
            # A step may occupy SQLite's only writer for long.
            with acme.store.engine.begin():
                progress.report("Reading persons", 500, 2_000)
                seen = read_progress(other, acme.record())
                assert seen is not None
                assert (seen.run_id, seen.what, seen.done, seen.total) == (
                    "run",
                    "Reading persons",
                    500,
                    2_000,
                )
                assert (seen.rate, seen.seconds_left) == (None, None)
                progress.report("Reading persons", 2_000, 2_000)
            seen = read_progress(other, acme.record())
            assert seen is not None
            assert seen.done == 2_000
            # From where the step began, not from zero.
            assert seen.rate == 1_500 / (seen.noted_at - seen.began_at).total_seconds()
            assert seen.seconds_left == 0
        assert read_progress(other, acme.record()) is None
    # The run is over, so no progress is stored for it.
    progress.report("Writing the list", 0)
    assert _rows(acme) == []
    assert [done for _, done, _ in told] == [500, 2_000, 0]


def test_time_left_is_estimated_when_possible(acme: Connected) -> None:
    def note(done: int, total: int | None) -> Progress:
        note_progress(acme.store.inbox, acme.record().id, "run", "Reading persons", done, total)
        seen = read_progress(acme.store, acme.record())
        assert seen is not None
        return seen

    with begin(acme.store, acme.name, "run"):
        note(0, 1_000)
        seen = note(250, 1_000)
        assert seen.rate is not None
        assert seen.seconds_left == pytest.approx(750 / seen.rate)
        # More than expected.
        assert note(1_001, 1_000).seconds_left is None
        assert note(2_000, None).seconds_left is None


def test_progress_of_a_killed_run_is_not_shown(acme: Connected) -> None:
    note_progress(acme.store.inbox, acme.record().id, "killed", "Reading persons", 1, None)
    assert read_progress(acme.store, acme.record()) is None
    with begin(acme.store, acme.name, "run"):
        assert read_progress(acme.store, acme.record()) is None
    # It is deleted with the connection.
    accounts.disconnect(acme.store, acme.name, forget=True)
    assert _rows(acme) == []


def test_progress_is_written_rarely_and_may_fail(acme: Connected) -> None:
    writes: list[str] = []

    @sa.event.listens_for(acme.store.inbox, "before_cursor_execute")
    def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
        if table.name in statement:
            writes.append(statement.split()[0])

    with begin(acme.store, acme.name, "run"):
        for done in range(1_000):
            progress.report("Reading persons", done, 1_000)
        progress.report("Reading persons", 1_000, 1_000)
    # The row is deleted at the end.
    assert writes[:3] == ["UPDATE", "DELETE", "INSERT"]
    assert writes[-2:] == ["UPDATE", "DELETE"]
    assert len(writes) < 10
    with acme.store.inbox.begin() as db:
        table.drop(db)
    assert acme.sync()["created"] == 3


def test_each_step_reports_its_progress(acme: Connected) -> None:
    told = _watched(acme)
    acme.sync()
    assert told == [
        # Before the first walk the total is unknown.
        ("Reading persons", 0, None),
        ("Reading persons", 3, None),
        ("Mapping persons", 0, 3),
        ("Mapping persons", 3, 3),
        ("Comparing with the list", 0, 3),
        ("Comparing with the list", 3, 3),
        ("Writing the list", 0, None),
    ]
    told.clear()
    acme.sync()
    assert told[:2] == [("Reading persons", 0, 3), ("Reading persons", 3, 3)]
