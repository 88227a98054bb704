from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
import sqlalchemy as sa

from wooxy_pipedrive_etl.errors import InvalidSetting
from wooxy_pipedrive_etl.settings import KEEP_DAYS_VARIABLE
from wooxy_pipedrive_etl.store import tables
from wooxy_pipedrive_etl.store.connections import ConnectionRecord
from wooxy_pipedrive_etl.store.contact_history import note
from wooxy_pipedrive_etl.store.issues import (
    add_pending_issues,
    drop_pending_issues,
    issues_by_reason,
    read_issues,
    settle_issues,
    standing_counts,
)
from wooxy_pipedrive_etl.store.locks import sole_writer
from wooxy_pipedrive_etl.store.runs import (
    COUNTS,
    Health,
    begin_run,
    current_run,
    finish_run,
    get_run,
    health,
    last_run,
    newest_run_id,
    runs_of,
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


def _read(db: sa.Connection, record: ConnectionRecord, *, pending: bool = False) -> list[Issue]:
    rows = read_issues(db, record.id, pending=pending)
    return [(row["person_id"], row["kind"], row["reason"], row["variable"], row["message"]) for row in rows]


def test_settling_makes_pending_issues_stand(db: sa.Connection, record: ConnectionRecord) -> None:
    add_pending_issues(db, record.id, _issues(ODD, REJECTED))
    add_pending_issues(db, record.id, _issues(DROPPED))
    add_pending_issues(db, record.id, _issues())
    assert _read(db, record) == []
    assert _read(db, record, pending=True) == [DROPPED, REJECTED, ODD]
    settle_issues(db, record.id)
    assert _read(db, record) == [DROPPED, REJECTED, ODD]
    assert _read(db, record, pending=True) == []


def test_settled_issues_are_those_of_the_last_run(db: sa.Connection, record: ConnectionRecord) -> None:
    add_pending_issues(db, record.id, _issues(ODD, REJECTED))
    settle_issues(db, record.id)
    add_pending_issues(db, record.id, _issues(DROPPED))
    assert _read(db, record) == [REJECTED, ODD]
    settle_issues(db, record.id)
    assert _read(db, record) == [DROPPED]
    settle_issues(db, record.id)
    assert _read(db, record) == []


def test_dropping_pending_issues_keeps_settled_ones(db: sa.Connection, record: ConnectionRecord) -> None:
    add_pending_issues(db, record.id, _issues(REJECTED))
    settle_issues(db, record.id)
    add_pending_issues(db, record.id, _issues(DROPPED))
    drop_pending_issues(db, record.id)
    assert _read(db, record) == [REJECTED]
    assert _read(db, record, pending=True) == []


def test_issues_are_counted_by_reason(db: sa.Connection, record: ConnectionRecord) -> None:
    add_pending_issues(db, record.id, _issues(REJECTED, DROPPED, DROPPED, ODD))
    found = {
        ("dropped_value", "invalid_email"): 2,
        ("rejected", "no_identifier"): 1,
        ("rejected", "odd_shape"): 1,
    }
    assert issues_by_reason(db, record.id) == {}
    assert issues_by_reason(db, record.id, pending=True) == found
    settle_issues(db, record.id)
    assert issues_by_reason(db, record.id) == found


def test_connections_have_their_own_issues_and_runs(db: sa.Connection, record: ConnectionRecord) -> None:
    other = new_connection(db, "bolt", "news.example.com")
    for one in (record, other):
        add_pending_issues(db, one.id, _issues(REJECTED))
        begin_run(db, one.id, "same", "full")
    settle_issues(db, record.id)
    drop_pending_issues(db, record.id)
    finish_run(db, record.id, "same", "success")
    assert _read(db, other, pending=True) == [REJECTED]
    assert last_run(db, other.id) is None


def test_report_of_a_run_from_beginning_to_end(db: sa.Connection, record: ConnectionRecord) -> None:
    assert last_run(db, record.id) is None
    begin_run(db, record.id, "a", "full")
    started = get_run(db, record.id, "a")
    assert started is not None
    assert (started.kind, started.state, started.finished_at) == ("full", "started", None)
    assert started.counts == dict.fromkeys(COUNTS, 0)
    assert last_run(db, record.id) is None
    update_run(db, record.id, "a", fetched=2**40, requests=3)
    finish_run(db, record.id, "a", "success", counts={"created": 5})
    finished = last_run(db, record.id)
    assert finished is not None
    assert finished == get_run(db, record.id, "a")
    assert (finished.state, finished.message) == ("success", None)
    assert (finished.fetched, finished.requests, finished.created) == (2**40, 3, 5)
    assert finished.finished_at is not None
    assert finished.started_at <= finished.finished_at
    assert get_run(db, record.id, "b") is None


def test_the_last_run_ignores_dry_and_unfinished_runs(db: sa.Connection, record: ConnectionRecord) -> None:
    for run_id, state in [("a", "success"), ("b", "failed"), ("c", "dry_run"), ("d", None)]:
        begin_run(db, record.id, run_id, "full")
        if state:
            finish_run(db, record.id, run_id, state, f"Run {run_id}.")
    last = last_run(db, record.id)
    assert last is not None
    assert (last.run_id, last.message) == ("b", "Run b.")


def test_the_newest_run_is_the_last_one_started(db: sa.Connection, record: ConnectionRecord) -> None:
    other = new_connection(db, "bolt", "news.example.com")
    assert newest_run_id(db, record.id) is None
    for run_id in ("b", "a"):
        begin_run(db, record.id, run_id, "full")
        assert newest_run_id(db, record.id) == run_id
    finish_run(db, record.id, "a", "dry_run")
    begin_run(db, other.id, "c", "full")
    assert newest_run_id(db, record.id) == "a"
    begin_run(db, record.id, "b", "full")
    assert newest_run_id(db, record.id) == "b"


def test_health_counts_only_runs_writing_the_list(db: sa.Connection, record: ConnectionRecord) -> None:
    began: dict[str, datetime] = {}

    def run(run_id: str, state: str | None, *selected: str) -> None:
        begin_run(db, record.id, run_id, "full", selected=selected or ("default_contact_list",))
        if state is not None:
            finish_run(db, record.id, run_id, state)
        report = get_run(db, record.id, run_id)
        assert report is not None
        began[run_id] = report.started_at

    assert health(db, record.id, None) == Health(None, None)
    run("good", "success")
    good = get_run(db, record.id, "good")
    assert good is not None
    assert health(db, record.id, None) == Health(good.finished_at, None)
    run("tried", "failed", "contact_plan")
    assert health(db, record.id, None).failing_since is None
    # It may still be running; if not, it was killed.
    run("killed", None)
    assert health(db, record.id, "killed").failing_since is None
    assert health(db, record.id, None).failing_since == began["killed"]
    run("failed", "failed")
    run("left out", "partial", "person_fields")
    assert health(db, record.id, None) == Health(good.finished_at, began["killed"])
    run("good again", "success")
    assert health(db, record.id, None).failing_since is None


def test_standing_issues_are_counted_by_kind(db: sa.Connection, record: ConnectionRecord) -> None:
    nothing = {"rejected": 0, "duplicates": 0, "conflicts": 0, "dropped_values": 0}
    add_pending_issues(db, record.id, _issues(REJECTED))
    assert standing_counts(db, record.id) == nothing
    settle_issues(db, record.id)
    assert standing_counts(db, record.id) == {**nothing, "rejected": 1}


def test_a_restarted_run_begins_at_zero(db: sa.Connection, record: ConnectionRecord) -> None:
    begin_run(db, record.id, "a", "full")
    finish_run(db, record.id, "a", "failed", "Cut off.", {"fetched": 3})
    begin_run(db, record.id, "a", "re-map")
    again = get_run(db, record.id, "a")
    assert again is not None
    assert (again.kind, again.state, again.message, again.fetched) == ("re-map", "started", None, 0)


@pytest.mark.parametrize(("age", "kept"), [(89, True), (91, False)])
def test_entries_older_than_ninety_days_are_removed(
    db: sa.Connection, record: ConnectionRecord, age: int, kept: bool
) -> None:
    idle = new_connection(db, "bolt", "news.example.com")
    begin_run(db, idle.id, "old", "full")
    add_pending_issues(db, idle.id, _issues(REJECTED))
    settle_issues(db, idle.id)
    then = datetime.now(UTC).replace(tzinfo=None) - timedelta(days=age)
    db.execute(
        tables.schema_changes.insert().values(
            connection_id=idle.id, recorded_at=then, kind="new_field", field_code="c", message="New."
        )
    )
    contact = sa.select(sa.literal(1)).add_columns(sa.literal(7), sa.null())
    note(db, idle.id, "old", then, "created", contact)
    db.execute(tables.runs.update().values(started_at=then))
    db.execute(tables.issues.update().values(found_at=then))
    begin_run(db, record.id, "new", "full")
    counts = [
        db.scalar(sa.select(sa.func.count()).where(table.c.connection_id == idle.id))
        for table in (tables.runs, tables.issues, tables.schema_changes, tables.contact_history)
    ]
    assert counts == [1 if kept else 0] * 4


def test_the_retention_of_reports_is_configurable(
    db: sa.Connection, record: ConnectionRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin_run(db, record.id, "old", "full")
    then = datetime.now(UTC).replace(tzinfo=None) - timedelta(days=8)
    db.execute(tables.runs.update().values(started_at=then))
    monkeypatch.setenv(KEEP_DAYS_VARIABLE, "9")
    begin_run(db, record.id, "new", "full")
    assert get_run(db, record.id, "old") is not None
    monkeypatch.setenv(KEEP_DAYS_VARIABLE, "7")
    begin_run(db, record.id, "newer", "full")
    assert get_run(db, record.id, "old") is None
    monkeypatch.setenv(KEEP_DAYS_VARIABLE, "-1")
    with pytest.raises(InvalidSetting, match="not a number of days"):
        begin_run(db, record.id, "newest", "full")


def test_new_issues_have_the_current_time(db: sa.Connection, record: ConnectionRecord) -> None:
    """Their time is copied as text; time zones differ by at least a quarter of an hour."""
    add_pending_issues(db, record.id, _issues(REJECTED))
    found_at = db.scalar(sa.select(tables.issues.c.found_at))
    assert found_at is not None
    assert abs(datetime.now(UTC).replace(tzinfo=None) - found_at) < timedelta(minutes=10)


def test_history_has_the_newest_runs_first(db: sa.Connection, record: ConnectionRecord) -> None:
    moment = datetime.now(UTC).replace(tzinfo=None) - timedelta(days=1)
    other = new_connection(db, "other", "other.example.com")
    for number, state in enumerate(["success", "dry_run", "failed", "started"]):
        begin_run(db, record.id, f"run-{number}", "changes")
        update_run(
            db,
            record.id,
            f"run-{number}",
            state=state,
            started_at=moment + timedelta(hours=number),
        )
    begin_run(db, other.id, "other", "full")
    newest = runs_of(db, record.id, 2)
    assert [(run.run_id, run.state) for run in newest] == [("run-3", "started"), ("run-2", "failed")]
    older = runs_of(db, record.id, 5, before=newest[-1].started_at)
    assert [(run.run_id, run.state) for run in older] == [("run-1", "dry_run"), ("run-0", "success")]


def test_a_run_is_current_while_holding_its_connection(engine: sa.Engine) -> None:
    with engine.begin() as db:
        record = new_connection(db, "acme", "shop.example.com")
        other = new_connection(db, "other", "other.example.com")
    with sole_writer(engine, record):
        with engine.begin() as db:
            assert current_run(db, record.id) is None
            begin_run(db, record.id, "run", "full")
            begin_run(db, other.id, "killed", "full")
        with engine.connect() as db:
            run = current_run(db, record.id)
            assert run is not None
            assert (run.run_id, run.state) == ("run", "started")
            # Nobody holds the other one's lock: its run was killed.
            assert current_run(db, other.id) is None
    with engine.connect() as db:
        assert current_run(db, record.id) is None


def test_a_finished_run_is_not_current(engine: sa.Engine) -> None:
    with engine.begin() as db:
        record = new_connection(db, "acme", "shop.example.com")
        begin_run(db, record.id, "run", "full")
        finish_run(db, record.id, "run", "success")
    with sole_writer(engine, record), engine.connect() as db:
        assert current_run(db, record.id) is None
