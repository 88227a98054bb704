from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
import sqlalchemy as sa

from wooxy_pipedrive_etl.store import tables
from wooxy_pipedrive_etl.store.connections import ConnectionRecord
from wooxy_pipedrive_etl.store.contact_history import note
from wooxy_pipedrive_etl.store.errors import StoreError
from wooxy_pipedrive_etl.store.locks import sole_writer
from wooxy_pipedrive_etl.store.reports import (
    COUNTS,
    KEEP_DAYS,
    KEEP_DAYS_VARIABLE,
    add_pending_issues,
    begin_run,
    current_run,
    drop_pending_issues,
    finish_run,
    get_run,
    issues_by_reason,
    last_run,
    newest_run_id,
    read_issues,
    runs_of,
    settle_issues,
    update_run,
)

from .conftest import new_connection

Issue = tuple[int | None, str, str, str | None, str]

REJECTED: Issue = (8, "rejected", "no_identifier", None, "The person has no identifier.")
DROPPED: Issue = (7, "dropped_value", "invalid_email", "emails", "Not an e-mail\taddress.")
ODD: Issue = (None, "rejected", "odd_shape", None, "An element is no person.")


def _issues(*rows: Issue) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["person_id", "kind", "reason", "variable", "message"])
    return frame.astype({"person_id": "Int64"})


def _read(connection: sa.Connection, record: ConnectionRecord, *, pending: bool = False) -> list[Issue]:
    rows = read_issues(connection, record.id, pending=pending)
    return [(row["person_id"], row["kind"], row["reason"], row["variable"], row["message"]) for row in rows]


def test_pending_issues_stand_when_they_are_settled(
    connection: sa.Connection, record: ConnectionRecord
) -> None:
    add_pending_issues(connection, record.id, _issues(ODD, REJECTED))
    add_pending_issues(connection, record.id, _issues(DROPPED))
    add_pending_issues(connection, record.id, _issues())
    assert _read(connection, record) == []
    assert _read(connection, record, pending=True) == [DROPPED, REJECTED, ODD]
    settle_issues(connection, record.id)
    assert _read(connection, record) == [DROPPED, REJECTED, ODD]
    assert _read(connection, record, pending=True) == []


def test_settled_issues_are_those_of_the_last_run(
    connection: sa.Connection, record: ConnectionRecord
) -> None:
    add_pending_issues(connection, record.id, _issues(ODD, REJECTED))
    settle_issues(connection, record.id)
    add_pending_issues(connection, record.id, _issues(DROPPED))
    assert _read(connection, record) == [REJECTED, ODD]
    settle_issues(connection, record.id)
    assert _read(connection, record) == [DROPPED]
    settle_issues(connection, record.id)
    assert _read(connection, record) == []


def test_dropping_pending_issues_leaves_those_that_stand(
    connection: sa.Connection, record: ConnectionRecord
) -> None:
    add_pending_issues(connection, record.id, _issues(REJECTED))
    settle_issues(connection, record.id)
    add_pending_issues(connection, record.id, _issues(DROPPED))
    drop_pending_issues(connection, record.id)
    assert _read(connection, record) == [REJECTED]
    assert _read(connection, record, pending=True) == []


def test_issues_are_counted_by_reason(connection: sa.Connection, record: ConnectionRecord) -> None:
    add_pending_issues(connection, record.id, _issues(REJECTED, DROPPED, DROPPED, ODD))
    found = {
        ("dropped_value", "invalid_email"): 2,
        ("rejected", "no_identifier"): 1,
        ("rejected", "odd_shape"): 1,
    }
    assert issues_by_reason(connection, record.id) == {}
    assert issues_by_reason(connection, record.id, pending=True) == found
    settle_issues(connection, record.id)
    assert issues_by_reason(connection, record.id) == found


def test_connections_have_issues_and_runs_of_their_own(
    connection: sa.Connection, record: ConnectionRecord
) -> None:
    other = new_connection(connection, "bolt", "news.example.com")
    for one in (record, other):
        add_pending_issues(connection, one.id, _issues(REJECTED))
        begin_run(connection, one.id, "same", "full")
    settle_issues(connection, record.id)
    drop_pending_issues(connection, record.id)
    finish_run(connection, record.id, "same", "success")
    assert _read(connection, other, pending=True) == [REJECTED]
    assert last_run(connection, other.id) is None


def test_report_of_a_run_from_beginning_to_end(connection: sa.Connection, record: ConnectionRecord) -> None:
    assert last_run(connection, record.id) is None
    begin_run(connection, record.id, "a", "full")
    started = get_run(connection, record.id, "a")
    assert started is not None
    assert (started["kind"], started["state"], started["finished_at"]) == ("full", "started", None)
    assert {started[count] for count in COUNTS} == {0}
    assert last_run(connection, record.id) is None
    update_run(connection, record.id, "a", fetched=2**40, requests=3)
    finish_run(connection, record.id, "a", "success", counts={"created": 5})
    finished = last_run(connection, record.id)
    assert finished is not None
    assert finished == get_run(connection, record.id, "a")
    assert [finished[name] for name in ("state", "fetched", "requests", "created", "message")] == [
        "success",
        2**40,
        3,
        5,
        None,
    ]
    assert finished["started_at"] <= finished["finished_at"]
    assert get_run(connection, record.id, "b") is None


def test_last_run_is_the_newest_that_ended_dry_ones_apart(
    connection: sa.Connection, record: ConnectionRecord
) -> None:
    for run_id, state in [("a", "success"), ("b", "failed"), ("c", "dry_run"), ("d", None)]:
        begin_run(connection, record.id, run_id, "full")
        if state:
            finish_run(connection, record.id, run_id, state, f"Run {run_id}.")
    last = last_run(connection, record.id)
    assert last is not None
    assert (last["run_id"], last["message"]) == ("b", "Run b.")


def test_newest_run_is_the_one_begun_last_whatever_became_of_it(
    connection: sa.Connection, record: ConnectionRecord
) -> None:
    other = new_connection(connection, "bolt", "news.example.com")
    assert newest_run_id(connection, record.id) is None
    for run_id in ("b", "a"):
        begin_run(connection, record.id, run_id, "full")
        assert newest_run_id(connection, record.id) == run_id
    finish_run(connection, record.id, "a", "dry_run")
    begin_run(connection, other.id, "c", "full")
    assert newest_run_id(connection, record.id) == "a"
    begin_run(connection, record.id, "b", "full")
    assert newest_run_id(connection, record.id) == "b"


def test_run_that_is_started_again_begins_at_nought(
    connection: sa.Connection, record: ConnectionRecord
) -> None:
    begin_run(connection, record.id, "a", "full")
    finish_run(connection, record.id, "a", "failed", "Cut off.", {"fetched": 3})
    begin_run(connection, record.id, "a", "re-map")
    again = get_run(connection, record.id, "a")
    assert again is not None
    assert [again[name] for name in ("kind", "state", "message", "fetched")] == ["re-map", "started", None, 0]


@pytest.mark.parametrize(("age", "kept"), [(KEEP_DAYS - 1, True), (KEEP_DAYS + 1, False)])
def test_what_is_older_than_ninety_days_goes_when_any_run_begins(
    connection: sa.Connection, record: ConnectionRecord, age: int, kept: bool
) -> None:
    assert KEEP_DAYS == 90
    idle = new_connection(connection, "bolt", "news.example.com")
    begin_run(connection, idle.id, "old", "full")
    add_pending_issues(connection, idle.id, _issues(REJECTED))
    settle_issues(connection, idle.id)
    then = datetime.now(UTC).replace(tzinfo=None) - timedelta(days=age)
    connection.execute(
        tables.schema_changes.insert().values(
            connection_id=idle.id, recorded_at=then, kind="new_field", field_code="c", message="New."
        )
    )
    contact = sa.select(sa.literal(1)).add_columns(sa.literal(7), sa.null())
    note(connection, idle.id, "old", then, "created", contact)
    connection.execute(tables.runs.update().values(started_at=then))
    connection.execute(tables.issues.update().values(found_at=then))
    begin_run(connection, record.id, "new", "full")
    counts = [
        connection.scalar(sa.select(sa.func.count()).where(table.c.connection_id == idle.id))
        for table in (tables.runs, tables.issues, tables.schema_changes, tables.contact_history)
    ]
    assert counts == [1 if kept else 0] * 4


def test_how_long_reports_are_kept_is_a_setting(
    connection: sa.Connection, record: ConnectionRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin_run(connection, record.id, "old", "full")
    then = datetime.now(UTC).replace(tzinfo=None) - timedelta(days=8)
    connection.execute(tables.runs.update().values(started_at=then))
    monkeypatch.setenv(KEEP_DAYS_VARIABLE, "9")
    begin_run(connection, record.id, "new", "full")
    assert get_run(connection, record.id, "old") is not None
    monkeypatch.setenv(KEEP_DAYS_VARIABLE, "7")
    begin_run(connection, record.id, "newer", "full")
    assert get_run(connection, record.id, "old") is None
    monkeypatch.setenv(KEEP_DAYS_VARIABLE, "-1")
    with pytest.raises(StoreError, match="not a number of days"):
        begin_run(connection, record.id, "newest", "full")


def test_issues_of_today_are_not_old(connection: sa.Connection, record: ConnectionRecord) -> None:
    """Their time is copied in as text; no zone is less than a quarter of an hour from another."""
    add_pending_issues(connection, record.id, _issues(REJECTED))
    found_at = connection.scalar(sa.select(tables.issues.c.found_at))
    assert found_at is not None
    assert abs(datetime.now(UTC).replace(tzinfo=None) - found_at) < timedelta(minutes=10)


def test_history_has_the_newest_runs_first(connection: sa.Connection, record: ConnectionRecord) -> None:
    moment = datetime.now(UTC).replace(tzinfo=None) - timedelta(days=1)
    other = new_connection(connection, "other", "other.example.com")
    for number, state in enumerate(["success", "dry_run", "failed", "started"]):
        begin_run(connection, record.id, f"run-{number}", "changes")
        update_run(
            connection,
            record.id,
            f"run-{number}",
            state=state,
            started_at=moment + timedelta(hours=number),
        )
    begin_run(connection, other.id, "other", "full")
    newest = runs_of(connection, record.id, 2)
    assert [(run["run_id"], run["state"]) for run in newest] == [("run-3", "started"), ("run-2", "failed")]
    older = runs_of(connection, record.id, 5, before=newest[-1]["started_at"])
    assert [(run["run_id"], run["state"]) for run in older] == [("run-1", "dry_run"), ("run-0", "success")]


def test_a_run_is_under_way_while_it_holds_its_connection(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        record = new_connection(connection, "acme", "shop.example.com")
        other = new_connection(connection, "other", "other.example.com")
    with sole_writer(engine, record):
        with engine.begin() as connection:
            assert current_run(connection, record.id) is None
            begin_run(connection, record.id, "run", "full")
            begin_run(connection, other.id, "killed", "full")
        with engine.connect() as connection:
            run = current_run(connection, record.id)
            assert run is not None
            assert (run["run_id"], run["state"]) == ("run", "started")
            # Nobody holds the other one: its run was killed.
            assert current_run(connection, other.id) is None
    with engine.connect() as connection:
        assert current_run(connection, record.id) is None


def test_a_run_that_has_ended_is_not_under_way_though_its_connection_is_held(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        record = new_connection(connection, "acme", "shop.example.com")
        begin_run(connection, record.id, "run", "full")
        finish_run(connection, record.id, "run", "success")
    with sole_writer(engine, record), engine.connect() as connection:
        assert current_run(connection, record.id) is None
