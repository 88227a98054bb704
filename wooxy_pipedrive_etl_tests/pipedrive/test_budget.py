"""What an answer's headers change, and who shares it."""

from __future__ import annotations

import pytest

from wooxy_pipedrive_etl.http_api.clock import NEVER
from wooxy_pipedrive_etl.pipedrive import ApiToken
from wooxy_pipedrive_etl.pipedrive.budget import Budget, Budgets
from wooxy_pipedrive_etl_tests.http_api.fake_clock import FakeClock


def test_a_larger_limit_is_used() -> None:
    clock = FakeClock()
    budget = Budget(clock, 20)
    for number in range(100):
        with budget.pace.turn(NEVER) as place:
            headers = {"x-ratelimit-limit": "100", "x-ratelimit-remaining": str(99 - number)}
            budget.learn({**headers, "x-ratelimit-reset": "2"}, place)
    assert clock.waits == []


def test_without_headers_the_smallest_plan_is_assumed() -> None:
    clock = FakeClock()
    budget = Budgets(clock).of("https://acme.pipedrive.com", ApiToken("one"))
    for _ in range(21):
        with budget.pace.turn(NEVER) as place:
            budget.learn({}, place)
    assert sum(clock.waits) == pytest.approx(2.0, abs=0.01)


def test_requests_of_other_programs_count_too() -> None:
    clock = FakeClock()
    budget = Budget(clock, 20)
    with budget.pace.turn(NEVER) as place:
        budget.learn(
            {"x-ratelimit-limit": "80", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "2"}, place
        )
    with budget.pace.turn(NEVER):
        pass
    assert sum(clock.waits) == 2.0


@pytest.mark.parametrize("nonsense", ["", "-1", "many", "1e9", "2.5", "\u0662", "9" * 5000])
def test_nonsensical_headers_are_ignored(nonsense: str) -> None:
    clock = FakeClock()
    budget = Budget(clock, 20)
    names = ["limit", "remaining", "reset"]
    with budget.pace.turn(NEVER) as place:
        budget.learn({f"x-ratelimit-{name}": nonsense for name in names}, place)
        budget.learn({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "86400"}, place)
        budget.learn({"x-ratelimit-limit": "0", "x-daily-ratelimit-token-remaining": nonsense}, place)
    with budget.pace.turn(NEVER):
        pass
    assert clock.waits == []
    assert budget.daily_remaining is None


def test_one_budget_per_credential_and_host() -> None:
    budgets = Budgets()
    url = "https://acme.pipedrive.com"
    assert budgets.of(url, ApiToken("one")) is budgets.of(url, ApiToken("one"))
    assert budgets.of(url, ApiToken("one")) is not budgets.of(url, ApiToken("two"))
    assert budgets.of(url, ApiToken("one")) is not budgets.of("https://other.pipedrive.com", ApiToken("one"))
