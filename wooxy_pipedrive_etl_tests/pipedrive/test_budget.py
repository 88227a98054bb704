"""The burst window: never refused where the headers, or the documented smallest limit, could tell."""

import threading
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wooxy_pipedrive_etl.pipedrive import ApiToken
from wooxy_pipedrive_etl.pipedrive.budget import Budget, Budgets

from .conftest import FakeClock

NEVER = threading.Event()


class Gateway:
    """Counts as Pipedrive does: so many requests in a rolling window of two seconds."""

    def __init__(self, clock: FakeClock, limit: int, headers: bool) -> None:
        self.clock, self.limit, self.headers = clock, limit, headers
        self.arrivals: deque[float] = deque()
        self.refusals = 0

    def request(self, to_server: float, back: float) -> dict[str, str]:
        self.clock.time += to_server
        now = self.clock.time
        while self.arrivals and self.arrivals[0] <= now - 2.0:
            self.arrivals.popleft()
        if len(self.arrivals) >= self.limit:
            self.refusals += 1
        else:
            self.arrivals.append(now)
        self.clock.time += back
        if not self.headers:
            return {}
        remaining = self.limit - len(self.arrivals)
        return {
            "x-ratelimit-limit": str(self.limit),
            "x-ratelimit-remaining": str(remaining),
            "x-ratelimit-reset": "2",
        }


latencies = st.lists(
    st.tuples(st.floats(0, 0.7), st.floats(0, 0.7)) | st.just((0.0, 0.0)), min_size=1, max_size=150
)


@given(limit=st.integers(1, 40), latencies=latencies)
def test_with_headers_no_request_is_refused(limit: int, latencies: list[tuple[float, float]]) -> None:
    clock = FakeClock()
    budget, gateway = Budget(clock, 20), Gateway(clock, limit, headers=True)
    for to_server, back in latencies:
        with budget.turn(NEVER) as place:
            budget.learn(gateway.request(to_server, back), place)
    assert gateway.refusals == 0


@given(latencies)
def test_without_headers_the_smallest_plan_is_assumed(latencies: list[tuple[float, float]]) -> None:
    clock = FakeClock()
    budget, gateway = Budget(clock, 20), Gateway(clock, 20, headers=False)
    for to_server, back in latencies:
        with budget.turn(NEVER) as place:
            budget.learn(gateway.request(to_server, back), place)
    assert gateway.refusals == 0


def test_a_larger_limit_is_used() -> None:
    clock = FakeClock()
    budget, gateway = Budget(clock, 20), Gateway(clock, 100, headers=True)
    for _ in range(100):
        with budget.turn(NEVER) as place:
            budget.learn(gateway.request(0.0, 0.0), place)
    assert clock.waits == []


def test_what_other_programs_take_from_the_window_counts() -> None:
    clock = FakeClock()
    budget = Budget(clock, 20)
    with budget.turn(NEVER) as place:
        budget.learn(
            {"x-ratelimit-limit": "80", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "2"}, place
        )
    with budget.turn(NEVER):
        pass
    assert sum(clock.waits) == 2.0


def test_requests_under_way_hold_their_place() -> None:
    clock = FakeClock()
    budget = Budget(clock, 20)
    with budget.turn(NEVER), budget.turn(NEVER) as place:
        # Pipedrive's 2 may not know of the other request that is under way.
        budget.learn(
            {"x-ratelimit-limit": "80", "x-ratelimit-remaining": "2", "x-ratelimit-reset": "2"}, place
        )
        with budget.turn(NEVER):
            assert clock.waits == []
            with budget.turn(NEVER):
                assert sum(clock.waits) == pytest.approx(2.0, abs=0.01)


def test_what_was_sent_and_answered_before_is_in_what_pipedrive_tells() -> None:
    clock = FakeClock()
    budget = Budget(clock, 20)
    headers = {"x-ratelimit-limit": "80", "x-ratelimit-remaining": "2", "x-ratelimit-reset": "2"}
    with budget.turn(NEVER):
        pass
    with budget.turn(NEVER) as place:
        with budget.turn(NEVER):
            pass
        budget.learn(headers, place)
    # Of the 2 that are left, one was taken later, and answered earlier.
    with budget.turn(NEVER):
        assert clock.waits == []
    with budget.turn(NEVER):
        assert sum(clock.waits) == 2.0


def test_a_place_is_held_from_when_the_answer_began_however_long_it_is() -> None:
    clock = FakeClock()
    budget = Budget(clock, 1)
    with budget.turn(NEVER) as place:
        budget.learn({}, place)
        clock.time += 5.0
    with budget.turn(NEVER):
        assert clock.waits == []


def test_an_answer_that_tells_of_more_room_ends_a_wait() -> None:
    clock = FakeClock()
    budget = Budget(clock, 20)
    headers = {"x-ratelimit-limit": "80", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "2"}
    with budget.turn(NEVER) as place, budget.turn(NEVER) as later:
        budget.learn(headers, place)

        def answered() -> None:
            budget.learn(headers | {"x-ratelimit-remaining": "5"}, later)

        clock.at_next_wait = answered
        with budget.turn(NEVER):
            assert sum(clock.waits) < 1.0


@pytest.mark.parametrize("nonsense", ["", "-1", "many", "1e9", "2.5", "\u0662", "9" * 5000])
def test_headers_of_nonsense_are_not_believed(nonsense: str) -> None:
    clock = FakeClock()
    budget = Budget(clock, 20)
    names = ["limit", "remaining", "reset"]
    with budget.turn(NEVER) as place:
        budget.learn({f"x-ratelimit-{name}": nonsense for name in names}, place)
        budget.learn({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "86400"}, place)
        budget.learn({"x-ratelimit-limit": "0", "x-daily-ratelimit-token-remaining": nonsense}, place)
    with budget.turn(NEVER):
        pass
    assert clock.waits == []
    assert budget.daily_remaining is None


def test_one_budget_a_credential_and_host() -> None:
    budgets = Budgets()
    url = "https://acme.pipedrive.com"
    assert budgets.of(url, ApiToken("one")) is budgets.of(url, ApiToken("one"))
    assert budgets.of(url, ApiToken("one")) is not budgets.of(url, ApiToken("two"))
    assert budgets.of(url, ApiToken("one")) is not budgets.of("https://other.pipedrive.com", ApiToken("one"))


def test_threads_share_the_window() -> None:
    """Eight real threads, one credential: never more in the window than the smallest limit."""
    clock = FakeClock()
    budget = Budget(clock, 20)
    lock = threading.Lock()
    times: list[float] = []

    def work() -> None:
        for _ in range(25):
            with budget.turn(NEVER), lock:
                times.append(clock.now())

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    times.sort()
    assert len(times) == 200
    assert all(later - earlier >= 2.0 for earlier, later in zip(times, times[20:], strict=False))
