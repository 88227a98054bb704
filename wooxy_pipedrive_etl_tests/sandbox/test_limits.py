"""Token costs, the daily budget, the burst window, their headers, and the consequences of ignoring them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest

from wooxy_pipedrive_etl.sandbox.pipedrive import Account, Behaviours, Fault, Limits
from wooxy_pipedrive_etl.sandbox.pipedrive.budget import Budget

from .served import Clock, Served

Serve = Callable[..., Served]
ME = "/api/v1/users/me"


def test_each_call_costs_tokens_regardless_of_result(serve: Serve, account: Account) -> None:
    account.create_person(name="A")
    served = serve(account)
    costs = {
        "/api/v2/persons": 10,
        "/api/v2/persons?limit=1": 10,
        "/api/v2/persons/1": 1,
        "/api/v2/persons/99": 1,
        "/api/v2/persons?bad=1": 10,
        "/api/v2/organizations": 10,
        "/api/v2/organizations/99": 1,
        "/api/v2/personFields": 10,
        "/api/v2/personFields/name": 1,
        "/api/v1/users": 20,
        ME: 2,
        "/api/v2/unknown": 0,
    }
    for path in costs:
        served.call("GET", path)
    assert [record.tokens for record in served.server.requests] == list(costs.values())
    assert served.server.tokens_used == sum(costs.values())


def test_every_answer_states_both_limits(serve: Serve) -> None:
    served = serve(limits=Limits(daily_tokens=1000, burst_per_2s=50))
    for path, left in ((ME, "998"), ("/api/v2/persons", "988"), ("/nowhere", "988")):
        headers = served.get(path).headers
        assert headers["x-ratelimit-limit"] == "50"
        assert headers["x-ratelimit-reset"] in ("1", "2")
        assert headers["x-daily-ratelimit-token-limit"] == "1000"
        assert headers["x-daily-ratelimit-token-remaining"] == left
        assert headers["x-correlation-id"]
    assert int(served.get(ME).headers["x-ratelimit-remaining"]) < 50


def test_every_answer_states_the_accounts_time(serve: Serve, account: Account, clock: Clock) -> None:
    served = serve(account)
    clock.now = datetime(2026, 3, 8, 1, 2, 3, 456_000, tzinfo=timezone(timedelta(hours=2)))
    served.server.faults.add(Fault("status", path_prefix="/api/v2/organizations", status=503))
    served.server.faults.add(Fault("timeout", path_prefix="/api/v2/personFields", seconds=0.01))
    for path in (ME, "/api/v2/persons?bad=1", "/nowhere", "/api/v2/organizations", "/api/v2/personFields"):
        assert served.get(path).headers.get_list("date") == ["Sat, 07 Mar 2026 23:02:03 GMT"]
    denied = served.http.get(f"{served.server.url}{ME}")
    assert (denied.status_code, denied.headers["date"]) == (401, "Sat, 07 Mar 2026 23:02:03 GMT")


def test_the_time_can_be_missing(serve: Serve) -> None:
    assert "date" not in serve(behaviours=Behaviours(date_header=False)).get(ME).headers


def test_the_daily_headers_can_be_missing(serve: Serve) -> None:
    headers = serve(behaviours=Behaviours(daily_headers=False)).get(ME).headers
    assert "x-ratelimit-remaining" in headers
    assert not [name for name in headers if name.startswith("x-daily")]


def test_a_spent_daily_budget_gives_429_until_tomorrow(serve: Serve, account: Account, clock: Clock) -> None:
    served = serve(account, limits=Limits(daily_tokens=25))
    assert [served.get("/api/v2/persons").status_code for _ in range(3)] == [200, 200, 429]
    response = served.get(ME)
    assert response.status_code == 429
    assert response.json() == {"success": False, "error": "request over limit", "errorCode": 429}
    assert response.headers["x-daily-ratelimit-token-remaining"] == "0"
    assert "retry-after" not in response.headers
    clock.tick(86_400)
    assert served.get(ME).headers["x-daily-ratelimit-token-remaining"] == "23"


def test_the_burst_window_ends_with_429(serve: Serve) -> None:
    served = serve(limits=Limits(burst_per_2s=3), behaviours=Behaviours(retry_after=True))
    answers = [served.get(ME) for _ in range(4)]
    assert [each.status_code for each in answers] == [200, 200, 200, 429]
    assert [each.headers["x-ratelimit-remaining"] for each in answers] == ["2", "1", "0", "0"]
    assert answers[-1].headers["retry-after"] in ("1", "2")
    assert answers[-1].headers["x-daily-ratelimit-token-remaining"] != "0"


def test_ignoring_429_leads_to_a_cloudflare_block(serve: Serve) -> None:
    served = serve(limits=Limits(daily_tokens=0), behaviours=Behaviours(html_403_after=2))
    assert [served.get(ME).status_code for _ in range(4)] == [429, 429, 403, 403]
    response = served.get("/api/v2/persons")
    assert response.headers["content-type"].startswith("text/html")
    assert "Cloudflare" in response.text
    served.server.limits = Limits()
    assert served.get(ME).status_code == 403
    served.server.reset()
    assert served.get(ME).status_code == 200


@pytest.fixture
def seconds() -> list[float]:
    return [0.0]


def test_the_burst_window_rolls(seconds: list[float]) -> None:
    budget = Budget(Limits(burst_per_2s=2), lambda: 0, lambda: seconds[0])
    verdicts = []
    for moment in (0.0, 1.5, 1.9, 2.0, 2.1, 3.5):
        seconds[0] = moment
        verdicts.append(budget.admit(1, Behaviours()))
    assert verdicts == ["ok", "ok", "over_limit", "ok", "over_limit", "ok"]
    assert budget.headers(Behaviours())["x-ratelimit-reset"] == "1"
    assert budget.tokens_used == 4


def test_the_lockout_ends_after_a_minute(seconds: list[float]) -> None:
    budget = Budget(Limits(burst_per_2s=0), lambda: 0, lambda: seconds[0])
    behaviours = Behaviours(html_403_after=0)
    assert budget.admit(1, behaviours) == "banned"
    budget.limits = Limits()
    seconds[0] = 59.0
    assert budget.admit(1, behaviours) == "banned"
    seconds[0] = 60.0
    assert budget.admit(1, behaviours) == "ok"


def test_only_the_api_token_is_locked_out(seconds: list[float]) -> None:
    budget = Budget(Limits(burst_per_2s=1), lambda: 0, lambda: seconds[0])
    behaviours = Behaviours(html_403_after=1)
    by_grant = [budget.admit(1, behaviours, 1) for _ in range(9)]
    assert by_grant == ["ok"] * 4 + ["over_limit"] * 5
    # Others' requests in between neither hasten nor delay it.
    verdicts = [budget.admit(1, behaviours, grant) for grant in (None, 1, None, 1, 2, None, 1)]
    assert verdicts == ["ok", *["over_limit"] * 3, "ok", "banned", "over_limit"]


def test_no_budget_has_no_daily_headers(seconds: list[float]) -> None:
    budget = Budget(Limits(daily_tokens=None), lambda: 0, lambda: seconds[0])
    assert budget.admit(10**9, Behaviours()) == "ok"
    assert budget.tokens_left() is None
    assert "x-daily-ratelimit-token-limit" not in budget.headers(Behaviours())
