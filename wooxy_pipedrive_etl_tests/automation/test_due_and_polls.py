"""What is due, judged from the database and from polls of a real sandbox, and what polls may cost."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from wooxy_pipedrive_etl.automation import polls
from wooxy_pipedrive_etl.automation.due import Due
from wooxy_pipedrive_etl.automation.waiting import BUDGET_LOOK, Waiting
from wooxy_pipedrive_etl.connections import accounts, settings
from wooxy_pipedrive_etl.errors import SyncError
from wooxy_pipedrive_etl.sandbox.pipedrive import Behaviours, Fault, Limits
from wooxy_pipedrive_etl.sandbox.pipedrive.budget import Budget as SandboxBudget
from wooxy_pipedrive_etl.store import inbox, tables
from wooxy_pipedrive_etl.store.budgets import Budget
from wooxy_pipedrive_etl.store.polls import Polls
from wooxy_pipedrive_etl.sync import flow
from wooxy_pipedrive_etl.sync.run import begin
from wooxy_pipedrive_etl.sync.selection import Selection
from wooxy_pipedrive_etl_tests import sensing
from wooxy_pipedrive_etl_tests.idle_day import spend_a_day
from wooxy_pipedrive_etl_tests.scenario import (
    ANY_DELETIONS,
    Connected,
    Target,
    add_person,
    connected,
    email,
    seeded_account,
    small_account,
)
from wooxy_pipedrive_etl_tests.state import change_stored

ROWS: dict[str, Target] = {"emails": "email", "name": "name", "colour": "shade"}
SMALLEST = Limits(daily_tokens=30_000, burst_per_2s=100_000)


def _change(acme: Connected, **values: object) -> None:
    with acme.store.engine.begin() as db:
        change_stored(db, acme.record().id, **values)


# What the database says


def test_an_import_is_due_until_applied(database_url: str) -> None:
    with connected(database_url, small_account()) as acme:
        assert sensing.due(acme) is None
        acme.import_rows(ROWS)
        first = sensing.due(acme)
        assert isinstance(first, Due)
        assert (first.kind, first.reason) == (
            "full",
            "Revision 1 of the matching was imported, and the list does not have it yet.",
        )
        acme.sync()
        assert sensing.due(acme) is None
        acme.import_rows(ROWS | {"city": "town"})
        second = sensing.due(acme)
        assert isinstance(second, Due)
        assert second.kind == "re-map"
        assert second.key != first.key
        acme.server.clear_requests()
        assert sensing.due(acme) == second
        assert acme.requests() == []
        acme.remap()
        assert sensing.due(acme) is None


def test_a_failed_run_changes_the_run_key(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account()) as acme:
        acme.import_rows(ROWS)
        now = sensing.moment()
        before = sensing.due(acme, now)
        sensing.fail(acme)
        later = now.replace(minute=0) + timedelta(hours=1, minutes=5)
        after = sensing.due(acme, later)
        assert isinstance(before, Due)
        assert isinstance(after, Due)
        assert after.key != before.key
        assert sensing.due(acme, later + timedelta(minutes=50)) == after
        # A run that died before it wrote a report is retried all the same.
        assert sensing.due(acme, later + timedelta(hours=1)) != after


def test_repeated_failures_delay_the_next_run_longer(database_url: str) -> None:
    with connected(database_url, small_account()) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        _change(acme, unapplied=True)
        for failures, minutes in ((1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (9, 60)):
            sensing.fail(acme, failures - len(_failed(acme)))
            waiting = sensing.due(acme)
            assert isinstance(waiting, Waiting), failures
            runs = "run" if failures == 1 else f"{failures} runs"
            assert waiting.reason.startswith(f"The last {runs} failed; the next one starts automatically at ")
            assert isinstance(sensing.due(acme, sensing.moment(minutes=minutes, seconds=-10)), Waiting), (
                failures
            )
            assert isinstance(sensing.due(acme, sensing.moment(minutes=minutes)), Due), failures
        acme.sync()
        _change(acme, unapplied=True)
        assert isinstance(sensing.due(acme), Due)


def test_a_failed_manual_run_delays_nothing(database_url: str) -> None:
    with connected(database_url, small_account()) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        _change(acme, unapplied=True)
        sensing.fail(acme, 3, automatic=False)
        assert isinstance(sensing.due(acme), Due)
        sensing.fail(acme)
        waiting = sensing.due(acme)
        assert isinstance(waiting, Waiting)
        assert waiting.reason.startswith("The last run failed")


def test_a_run_without_the_list_delays_nothing(database_url: str) -> None:
    with connected(database_url, small_account()) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        acme.account.edit_person(1, name="Somebody")
        only_persons = Selection(frozenset(["pipedrive_persons"]))
        with begin(acme.store, acme.name, "partial", only_persons, automatic=True) as run:
            for _ in flow.sync(run):
                pass
        # What it stored is due for the list at once.
        due = sensing.due(acme)
        assert isinstance(due, Due)
        assert due.kind == "changes"
        acme.sync("changes", automatic=True)
        assert acme.contact(email="person1@example.com")["name"] == "Somebody"


def test_a_paused_connection_runs_only_on_request(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account()) as acme:
        acme.import_rows(ROWS)
        settings.pause(acme.store, acme.name)
        with pytest.raises(
            SyncError, match=r"^The connection acme is paused, so nothing starts automatically"
        ):
            acme.sync(automatic=True)
        assert acme.contacts() == []
        assert acme.sync()["created"] == 3


def _failed(acme: Connected) -> list[str]:
    return [row["run_id"] for row in acme.rows(tables.runs) if row["state"] == "failed"]


def test_an_import_after_a_failure_does_not_wait(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account()) as acme:
        acme.import_rows(ROWS)
        sensing.fail(acme, 3)
        assert isinstance(sensing.due(acme), Waiting)
        acme.import_rows(ROWS | {"city": "town"})
        # Imports are recorded in whole seconds, so an Import in the second a run fails may be the run's own.
        hour_ago = datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=1)
        with acme.store.engine.begin() as db:
            db.execute(tables.runs.update().values(started_at=hour_ago))
        assert isinstance(sensing.due(acme), Due)


def test_persons_named_by_webhooks_are_due(database_url: str) -> None:
    with connected(database_url, small_account()) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        for person_id in (1, 2, 1):
            inbox.add_event(acme.store.inbox, acme.record().id, person_id, deleted=False)
        found = sensing.due(acme)
        assert isinstance(found, Due)
        assert (found.kind, found.reason) == ("changes", "Webhooks named 2 persons.")
        acme.sync("changes")
        assert sensing.due(acme) is None


def test_persons_read_but_not_applied_are_due(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account(30)) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        acme.account.edit_person(1, name="Somebody Else")
        acme.server.faults.add(Fault("on_page", "/api/v2/persons", on_page=lambda _: acme.forbid_touching()))
        with pytest.raises(Exception, match="touched"):
            acme.sync("changes")
        assert acme.record().sync_state.unapplied
        found = sensing.due(acme, sensing.moment(minutes=2))
        assert isinstance(found, Due)
        assert (found.kind, found.reason) == (
            "changes",
            "The list is behind: persons or settings have changed since the last run.",
        )


@pytest.mark.parametrize("state", ["draft", "disconnected"])
def test_nothing_is_due_for_an_inactive_connection(sqlite_url: str, state: str) -> None:
    with connected(sqlite_url, small_account()) as acme:
        if state == "disconnected":
            acme.import_rows(ROWS)
            acme.sync()
            acme.account.edit_person(1, name="Somebody Else")
            accounts.disconnect(acme.store, "acme", forget=False)
        inbox.add_event(acme.store.inbox, acme.record().id, 1, deleted=False)
        acme.server.clear_requests()
        assert acme.record().state == state
        for look in (sensing.due, sensing.schema_due, sensing.poll, sensing.poll_fields):
            assert look(acme) is None
        assert acme.requests() == []


# What a poll finds


def _edit(acme: Connected) -> None:
    acme.account.edit_person(2, name="Somebody Else")


def _add(acme: Connected) -> None:
    add_person(acme.account, 4)


def _restore(acme: Connected) -> None:
    acme.account.delete_person(3)
    acme.sync(allowed=ANY_DELETIONS)
    acme.account.restore_person(3)


@pytest.mark.parametrize("act", [_edit, _add, _restore])
def test_a_poll_finds_changes_until_they_are_applied(
    database_url: str, act: Callable[[Connected], None]
) -> None:
    with connected(database_url, small_account()) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        assert sensing.poll(acme) is None
        act(acme)
        acme.server.clear_requests()
        found = sensing.poll(acme)
        assert isinstance(found, Due)
        assert (found.kind, found.reason) == (
            "changes",
            "1 persons have changed in Pipedrive since they were read.",
        )
        assert sum(each.tokens for each in acme.server.requests) == 10
        again = sensing.poll(acme)
        assert isinstance(again, Due)
        acme.sync("changes")
        assert sensing.poll(acme) is None


def test_a_poll_finds_new_persons_without_update_time(sqlite_url: str) -> None:
    """Some accounts have such persons, and `updated_since` misses them."""
    behaviours = Behaviours(update_time_on_create="null")
    account = small_account(0)
    account.behaviours = behaviours
    add_person(account, 1)
    with connected(sqlite_url, account, behaviours=behaviours) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        acme.server.clear_requests()
        assert sensing.poll(acme) is None
        assert sum(each.tokens for each in acme.server.requests) == 20
        add_person(acme.account, 2)
        assert isinstance(sensing.poll(acme), Due)
        acme.sync("changes")
        assert sensing.poll(acme) is None


def test_a_field_available_again_marks_nobody_as_changed(sqlite_url: str) -> None:
    """Otherwise, once an account gains a Pipedrive feature, every person would look changed forever."""
    with connected(sqlite_url, seeded_account(20)) as acme:
        acme.import_all()
        acme.sync()
        # The state after a walk that was refused fields the catalogue has.
        acme.account.marketing = True
        assert sensing.poll_fields(acme) is None
        _change(acme, left_out_fields="marketing_status,doi_status")
        assert sensing.poll(acme) is None
        acme.account.edit_person(min(acme.snapshot_ids()), name="Somebody Else")
        found = sensing.poll(acme)
        assert isinstance(found, Due)
        assert found.reason.startswith("1 persons")
        # The run requests all fields and gets them.
        acme.sync("changes")
        assert sensing.poll(acme) is None


def test_a_renamed_organisation_is_due_only_if_shown(database_url: str) -> None:
    account = small_account(0)
    shown, other = account.add_organization("Example Oy"), account.add_organization("Other Oy")
    add_person(account, 1, org_id=shown)
    with connected(database_url, account) as acme:
        acme.import_rows(ROWS | {"org_id": "company"})
        acme.sync()
        assert sensing.poll_fields(acme) is None
        acme.account.rename_organization(other, "Another Oy")
        assert sensing.poll_fields(acme) is None
        acme.account.rename_organization(shown, "Esimerkki Oy")
        found = sensing.poll_fields(acme)
        assert isinstance(found, Due)
        assert (found.kind, found.reason) == (
            "changes",
            "1 organisations have another name in Pipedrive.",
        )
        acme.sync("changes")
        assert acme.column("company") == {"person1@example.com": "Esimerkki Oy"}
        assert sensing.poll_fields(acme) is None


def test_a_renamed_option_makes_a_re_map_due(database_url: str) -> None:
    with connected(database_url, small_account()) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        assert sensing.poll_fields(acme) is None
        assert sensing.schema_due(acme) is None

        gold = acme.account.custom_field("colour").options[0].id
        acme.account.rename_option("colour", gold, "Golden")
        acme.server.clear_requests()
        assert sensing.poll_fields(acme) is None
        assert acme.requests() == ["/api/v1/users/me", "/api/v2/personFields"]
        found = sensing.schema_due(acme)
        assert isinstance(found, Due)
        assert (found.kind, found.reason) == (
            "re-map",
            "Fields or options that the matching reads have changed in Pipedrive.",
        )
        acme.remap()
        assert set(acme.column("shade").values()) == {"Golden", "Silver"}
        assert sensing.schema_due(acme) is None


def test_another_release_does_not_start_re_maps(sqlite_url: str) -> None:
    """Each run detects that its mapping differs; sensors of an older release running alongside would start run after
    run."""
    with connected(sqlite_url, small_account()) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        acme.account.rename_field("colour", "Color")
        assert sensing.poll_fields(acme) is None
        earlier = datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=1)
        with acme.store.engine.begin() as db:
            db.execute(tables.schema_changes.update().values(recorded_at=earlier))
        acme.remap()
        _change(acme, mapped_with="by another release")
        assert sensing.schema_due(acme) is None


def test_a_new_field_is_shown_but_not_imported(database_url: str) -> None:
    with connected(database_url, small_account()) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        # Runs and changes are compared by time, and changes are recorded in whole seconds.
        long_ago = datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=1)
        with acme.store.engine.begin() as db:
            db.execute(tables.runs.update().values(started_at=long_ago, finished_at=long_ago))
        acme.account.add_field("Shoe size", "double")
        acme.account.rename_field("note", "Remark")
        assert sensing.poll_fields(acme) is None
        found = sensing.schema_due(acme)
        assert isinstance(found, Due)
        assert found.kind == "match"
        assert sensing.due(acme) is None
        acme.sync(dry_run=True)
        assert sensing.schema_due(acme) is None


# What goes wrong


@pytest.mark.parametrize(
    "fault", ["status", "reset", "truncated_json", "rate_429", "daily_429", "unauthorized_401", "html_403"]
)
def test_a_failed_poll_logs_one_line_and_waits(
    sqlite_url: str, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    with connected(sqlite_url, small_account()) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        _edit(acme)
        acme.server.clear_requests()
        acme.server.faults.add(Fault(fault, times=None))  # type: ignore[arg-type]
        now = sensing.moment()
        with caplog.at_level(logging.WARNING, logger="wooxy_pipedrive_etl.automation.polls"):
            assert sensing.poll(acme, now) is None
            assert sensing.poll(acme, now + timedelta(seconds=30)) is None
        assert len(acme.requests()) == 1
        (line,) = [each for each in caplog.records if each.name == "wooxy_pipedrive_etl.automation.polls"]
        assert line.getMessage().startswith("Looking for changes of the connection acme failed: ")
        assert acme.account.token not in caplog.text
        acme.server.faults.clear()


def test_a_poll_times_out_quickly(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polls, "POLL_TIMEOUT_SECONDS", 0.05)
    with connected(sqlite_url, small_account()) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        acme.server.faults.add(Fault("timeout", times=None))
        assert sensing.poll(acme) is None
        assert acme.record().polls.persons_at is not None


def test_no_polls_while_waiting_after_a_failure(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account()) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        _edit(acme)
        sensing.fail(acme, 2)
        acme.server.clear_requests()
        for look in (sensing.poll, sensing.poll_fields):
            found = look(acme, sensing.moment())
            assert isinstance(found, Waiting)
            assert found.reason.startswith("The last 2 runs failed")
        assert acme.requests() == []


# What it may cost


def _spend_down_to(acme: Connected, left: int) -> None:
    assert acme.server.limits.daily_tokens is not None
    acme.server.gateway.budget.tokens_used = acme.server.limits.daily_tokens - left


def test_an_idle_day_costs_less_than_a_tenth(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account(), limits=SMALLEST) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        spent = spend_a_day(acme)
    assert spent["tokens"] <= 3_000
    # And it uses its share: without webhooks a change waits seven minutes at most.
    assert spent["polls_of_persons"] >= 24 * 60 / 7
    assert spent["polls_of_fields"] >= 24


@pytest.mark.parametrize("limit", [30_000, 60_000, 150_000, 210_000, 21_000_000])
@pytest.mark.parametrize("by_id", [True, False])
def test_polls_stay_under_a_tenth_on_every_plan(sqlite_url: str, limit: int, by_id: bool) -> None:
    """Whatever each poll costs, and including an hourly check of the remaining tokens."""
    with connected(sqlite_url, small_account(0)) as acme:
        record = replace(acme.record(), budget=Budget(limit, limit))
    day, now = timedelta(days=1), sensing.moment()
    paced = [
        polls._persons_poll(record, 1, now, by_id=by_id),
        polls._fields_poll(record, 1, now, names=by_id),
        polls._Poll(2, BUDGET_LOOK),
    ]
    assert sum(day / poll.interval * poll.cost for poll in paced) <= limit * 0.10


def test_an_incomplete_catalogue_delays_the_next_poll(sqlite_url: str) -> None:
    """The catalogue is read twice, which costs more than a poll should."""
    account = small_account()
    codes = [account.add_field(f"Extra {number}", "varchar") for number in range(25)]
    with connected(sqlite_url, account, limits=SMALLEST) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        for code in codes:
            account.delete_field(code)
        acme.server.clear_requests()
        now = sensing.moment()
        assert sensing.poll_fields(acme, now) is None
        assert sum(each.tokens for each in acme.server.requests) == 22
        assert sensing.schema_due(acme) is None
        assert acme.status().schema_changes == []
        # At 12 tokens a poll, 2.5 % of the day pays for one every 23 minutes.
        waits = timedelta(seconds=12 * 86_400 / (0.025 * 30_000) * 22 / 12)
        acme.server.clear_requests()
        sensing.poll_fields(acme, now + waits - timedelta(seconds=1))
        assert acme.requests() == []
        sensing.poll_fields(acme, now + waits + timedelta(seconds=1))
        assert acme.requests() != []


def test_polls_slow_down_as_the_shared_budget_shrinks(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account(), limits=SMALLEST) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        now = sensing.moment()

        def seconds(left: int | None, sharers: int = 1) -> int:
            """How long until the next poll."""
            moment = now.replace(tzinfo=None)
            budget = replace(acme.record().budget, daily_left=left, noted_at=moment)
            record = replace(acme.record(), budget=budget, polls=Polls(persons_at=moment))
            return next(
                later
                for later in range(3_600)
                if polls.poll_persons(acme.store, record, now + timedelta(seconds=later), sharers) is not None
            )

        _edit(acme)
        assert [seconds(left) for left in (None, 30_000, 15_001, 15_000, 7_500)] == [412, 412, 412, 823, 1646]
        assert seconds(30_000, sharers=3) == 1235


def test_automatic_runs_stop_first_and_resume_at_midnight(database_url: str) -> None:
    account = small_account()
    now = sensing.moment()
    account.clock = lambda: now
    with connected(database_url, account, limits=SMALLEST) as acme:
        # The account's day ends when the test says so, even if the test runs shortly before midnight.
        acme.server.gateway.budget = SandboxBudget(SMALLEST, lambda: 0)
        acme.import_rows(ROWS)
        acme.sync()
        # The reserve plus the night's full run, less a poll.
        _spend_down_to(acme, 6_000 + 32 + 9)
        _edit(acme)
        inbox.add_event(acme.store.inbox, acme.record().id, 2, deleted=False)
        # This poll learns of the low budget.
        assert isinstance(sensing.poll(acme, now), Due)
        acme.server.clear_requests()
        stopped = (
            "Of Pipedrive's 30000 tokens a day 6031 are left, which are kept for the next full run (32) and in "
            "reserve (6000)."
        )
        for _ in range(6):
            now += timedelta(minutes=9)
            assert sensing.due(acme, now) == Waiting(stopped)
            assert sensing.poll(acme, now) in (None, Waiting(stopped))
            assert sensing.poll_fields(acme, now) in (None, Waiting(stopped))
        assert acme.requests() == []
        # A user's Import may use whatever is left beyond the reserve.
        acme.import_rows(ROWS | {"city": "town"})
        assert isinstance(sensing.due(acme, now), Due)
        # An hour later a poll checks for new tokens, then not again for an hour.
        for _ in range(12):
            now += timedelta(minutes=10)
            assert not isinstance(sensing.poll(acme, now), Due)
        assert acme.requests() == ["/api/v1/users/me"] * 2
        # Midnight at Pipedrive.
        acme.server.gateway.budget.tokens_used = 0
        now += timedelta(hours=1)
        sensing.poll(acme, now)
        now += timedelta(minutes=14)
        assert isinstance(sensing.poll(acme, now), Due)


def test_a_budget_reading_expires_the_next_day(sqlite_url: str) -> None:
    """If Pipedrive stops reporting the budget, polls go on as if it never had."""
    with connected(sqlite_url, small_account(), behaviours=Behaviours(daily_headers=False)) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        _edit(acme)
        _change(
            acme,
            daily_limit=30_000,
            daily_left=0,
            noted_at=sensing.moment().replace(tzinfo=None),
        )
        assert isinstance(sensing.poll(acme, sensing.moment(hours=23)), Waiting)
        assert isinstance(sensing.poll(acme, sensing.moment(hours=25)), Due)


@pytest.mark.parametrize(("tokens", "hours"), [(2_000, 0.9), (12_000, 23.9)], ids=["hour", "day"])
def test_changes_runs_have_a_token_allowance(database_url: str, tokens: int, hours: float) -> None:
    with connected(database_url, small_account(), limits=SMALLEST) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        acme.sync("changes")
        inbox.add_event(acme.store.inbox, acme.record().id, 2, deleted=False)
        began = (sensing.moment(hours=-hours)).replace(tzinfo=None)

        def spent(tokens: int) -> None:
            changes = tables.runs.update().where(tables.runs.c.kind == "changes")
            with acme.store.engine.begin() as db:
                db.execute(changes.values(tokens_used=tokens, started_at=began))

        spent(tokens - 1)
        assert isinstance(sensing.due(acme), Due)
        spent(tokens)
        used_up = sensing.due(acme)
        assert isinstance(used_up, Waiting)
        assert used_up.reason.startswith(f"Runs of changes have used {tokens} tokens within a")
        acme.server.clear_requests()
        assert sensing.poll(acme, sensing.moment()) == used_up
        assert acme.requests() == []
        assert isinstance(sensing.due(acme, sensing.moment(hours=0.2)), Due)


def test_a_poll_ignores_persons_of_other_connections(database_url: str) -> None:
    """A connection's polls ignore the persons of other connections."""
    with (
        connected(database_url, small_account()) as acme,
        connected(database_url, small_account(1), name="other", domain="other.example.com") as other,
    ):
        for each in (acme, other):
            each.import_rows({"emails": "email"})
            each.sync()
        other.account.edit_person(1, emails=[email("new@example.com")])
        assert sensing.poll(acme) is None
        assert isinstance(sensing.poll(other), Due)
