"""The daily tokens: what a run is expected to cost, what is reserved, and what happens when they run out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from wooxy_pipedrive_etl.connections.token_budget import BudgetReserve, estimate, reserve
from wooxy_pipedrive_etl.errors import InvalidSetting
from wooxy_pipedrive_etl.pipedrive.errors import DailyBudgetSpent
from wooxy_pipedrive_etl.sandbox.pipedrive import Behaviours, Limits
from wooxy_pipedrive_etl.settings import RESERVE_VARIABLE
from wooxy_pipedrive_etl.store import inbox
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.sync.selection import Kind
from wooxy_pipedrive_etl.views.runs import allow_once
from wooxy_pipedrive_etl.views.status import Budget
from wooxy_pipedrive_etl_tests.scenario import (
    RESERVE,
    Connected,
    Target,
    add_person,
    connected,
    seeded_account,
    small_account,
)

ROWS: dict[str, Target] = {"emails": "email", "name": "name"}
NAMES: dict[str, Target] = {"org_id": "company", "owner_id": "seller"}
SMALLEST = Limits(daily_tokens=30_000, burst_per_2s=100_000)


def _estimate(acme: Connected, kind: Kind) -> int:
    with reading(acme.store.engine) as db:
        return estimate(db, acme.record(), kind)


def _spend_down_to(acme: Connected, left: int) -> None:
    """Simulates the customer's other integrations."""
    assert acme.server.limits.daily_tokens is not None
    acme.server.gateway.budget.tokens_used = acme.server.limits.daily_tokens - left


@pytest.mark.parametrize(
    ("persons", "rows"), [(40, ROWS), (40, ROWS | NAMES), (1_001, ROWS)], ids=["few", "names", "many"]
)
@pytest.mark.parametrize("kind", ["full", "changes", "re-map"])
def test_a_run_costs_what_was_estimated(
    sqlite_url: str, persons: int, rows: dict[str, Target], kind: Kind
) -> None:
    with connected(sqlite_url, seeded_account(persons)) as acme:
        acme.import_rows(rows)
        acme.sync()
        expected = _estimate(acme, kind)
        acme.sync(kind)
        last = acme.last_run()
        assert last.estimated_tokens == expected
        # No person was missing, so the full run needed no second lookup.
        assert last.tokens_used == expected - (10 if kind == "full" else 0)
        assert last.tokens_left == acme.status().budget.left == 150_000 - acme.server.tokens_used


def test_estimates_grow_with_known_persons_and_shown_names(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account(3)) as acme:
        # Account, fields, persons; a run of changes also asks for the newest ids, a full run for the missing persons.
        assert {kind: _estimate(acme, kind) for kind in ("re-map", "changes", "full")} == {
            "re-map": 12,
            "changes": 32,
            "full": 32,
        }
        acme.import_rows(ROWS | NAMES)
        acme.sync()
        assert {kind: _estimate(acme, kind) for kind in ("re-map", "changes", "full")} == {
            "re-map": 42,
            "changes": 52,
            "full": 62,
        }
        for person_id in range(1, 102):
            inbox.add_event(acme.store.inbox, acme.record().id, person_id, deleted=False)
        assert acme.status().budget.next_run_estimates == {"changes": 72, "full": 62}


@pytest.mark.parametrize("kind", ["full", "re-map"])
def test_a_run_that_needs_the_reserve_is_refused(database_url: str, kind: Kind) -> None:
    with connected(database_url, small_account(), limits=SMALLEST) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        before, expected = acme.dump(), _estimate(acme, kind)
        acme.account.edit_person(1, name="Somebody Else")

        _spend_down_to(acme, 6_000 + expected - 1)
        acme.server.clear_requests()
        with pytest.raises(BudgetReserve) as refused:
            acme.sync(kind)
        assert acme.requests() == ["/api/v1/users/me"]
        assert str(refused.value) == (
            f"The run would use about {expected} tokens, but of Pipedrive's 30000 tokens a day (all integrations of "
            f"the company share them) {6_000 + expected - 3} are left and 6000 are kept in reserve, so it did not "
            "start; run again after midnight of Pipedrive's server, when the budget is new."
        )
        last = acme.last_run()
        assert (last.state, last.message) == ("failed", str(refused.value))
        assert last.refused_by == "reserve"
        assert (last.estimated_tokens, last.tokens_used) == (expected, 2)
        assert acme.dump() == before

        _spend_down_to(acme, 6_000 + expected)
        acme.sync(kind)


def test_a_run_may_use_the_reserve_if_allowed(sqlite_url: str) -> None:
    with connected(sqlite_url, small_account(), limits=SMALLEST) as acme:
        acme.import_rows(ROWS)
        _spend_down_to(acme, 1_000)
        with pytest.raises(BudgetReserve):
            acme.sync()
        acme.sync(allowed=RESERVE)
        assert acme.last_run().state == "success"


def test_a_refused_dry_run_is_retried_as_one(sqlite_url: str) -> None:
    """Permission to use the reserve is not permission to write."""
    with connected(sqlite_url, small_account(), limits=SMALLEST) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        for dry_run in (True, False):
            _spend_down_to(acme, 6_000)
            with pytest.raises(BudgetReserve):
                acme.sync(dry_run=dry_run, draft=dry_run)
            refused = acme.newest_run().run_id
            request = allow_once(acme.store, acme.name, "reserve", refused)
            assert request is not None
            assert (request.dry_run, request.permissions) == (dry_run, RESERVE)
            acme.execute("DELETE FROM sync_run_requests")


def test_the_reserve_is_a_setting(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with connected(sqlite_url, small_account(), limits=SMALLEST) as acme:
        acme.import_rows(ROWS)
        assert acme.status().budget.reserve == reserve(30_000) == 6_000
        monkeypatch.setenv(RESERVE_VARIABLE, "3")
        assert acme.status().budget.reserve == 900
        _spend_down_to(acme, 1_000)
        acme.sync()
        monkeypatch.setenv(RESERVE_VARIABLE, "4")
        with pytest.raises(BudgetReserve):
            acme.sync()


@pytest.mark.parametrize("setting", ["-1", "100", "20%", "a fifth", "²"])
def test_an_invalid_reserve_setting_is_refused(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RESERVE_VARIABLE, setting)
    with pytest.raises(
        InvalidSetting, match=r"^WOOXY_PIPEDRIVE_RESERVE is not a share of the budget; set it to"
    ):
        reserve(30_000)


def test_a_run_that_never_fits_is_not_postponed(sqlite_url: str) -> None:
    """Waiting for midnight would not help an account too large for what the reserve leaves."""
    with connected(sqlite_url, small_account()) as acme:
        acme.import_rows(ROWS)
        acme.server.limits = Limits(daily_tokens=35)
        _spend_down_to(acme, 35)
        with pytest.raises(
            BudgetReserve, match="it will not fit on another day either, so lower WOOXY_PIPEDRIVE_R"
        ):
            acme.sync()


def test_no_run_is_refused_when_budget_is_unknown(sqlite_url: str) -> None:
    silent = Behaviours(daily_headers=False)
    with connected(sqlite_url, small_account(), limits=SMALLEST, behaviours=silent) as acme:
        acme.import_rows(ROWS)
        _spend_down_to(acme, 100)
        acme.sync()
        last = acme.last_run()
        assert (last.state, last.estimated_tokens, last.tokens_left) == ("success", 32, None)
        estimates = {"changes": 22, "full": 32}
        assert acme.status().budget == Budget(None, None, None, None, next_run_estimates=estimates)


@pytest.mark.parametrize("told", [True, False], ids=["told", "not told"])
def test_a_budget_spent_mid_run_ends_it_cleanly(database_url: str, told: bool) -> None:
    """The next day's run resumes."""
    now = [datetime(2026, 3, 2, 12, tzinfo=UTC)]
    account = small_account(1_200)
    account.clock = lambda: now[0]
    with connected(
        database_url, account, limits=SMALLEST, behaviours=Behaviours(daily_headers=told, html_403_after=100)
    ) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        before = acme.dump()
        acme.account.edit_person(1_100, name="Somebody Else")
        # Enough for the account, the fields and two of the three pages.
        _spend_down_to(acme, 34)
        with pytest.raises(DailyBudgetSpent) as spent:
            acme.sync(allowed=RESERVE)
        assert str(spent.value).endswith(
            "run again after midnight of Pipedrive's server, in a time zone that it does not name."
        )
        last = acme.last_run()
        assert (last.state, last.message) == ("failed", str(spent.value))
        assert acme.dump() == before
        assert acme.status().daily_tokens_left == (0 if told else None)

        now[0] += timedelta(days=1)
        assert acme.sync()["updated"] == 1
        assert acme.status().budget.left == (30_000 - acme.server.tokens_used if told else None)


def test_tokens_used_are_recorded_despite_a_rollback(postgres_url: str) -> None:
    with connected(postgres_url, small_account()) as acme:
        acme.import_rows(ROWS)
        add_person(acme.account, 4)
        acme.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused'; END $$"
        )
        acme.execute(
            "CREATE CONSTRAINT TRIGGER at_the_commit AFTER INSERT ON sync_snapshot DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
        before = acme.server.tokens_used
        with pytest.raises(sa.exc.DBAPIError):
            acme.sync()
        last = acme.last_run()
        assert (last.state, last.tokens_used) == ("failed", acme.server.tokens_used - before)
        assert last.tokens_used > 0
