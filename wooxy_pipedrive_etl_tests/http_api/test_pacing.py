"""Pacing: no request is refused if an answer, or the limit assumed before one, could have prevented it. And the
pauses."""

from __future__ import annotations

import threading
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wooxy_pipedrive_etl.http_api.clock import NEVER
from wooxy_pipedrive_etl.http_api.errors import PermanentError
from wooxy_pipedrive_etl.http_api.pacing import Pace, header_number

from .fake_clock import FakeClock

WINDOW = 2.0


class Gateway:
    """Allows so many requests in a rolling window, and reports how many remain."""

    def __init__(self, clock: FakeClock, limit: int) -> None:
        self.clock, self.limit = clock, limit
        self.arrivals: deque[float] = deque()
        self.refusals = 0

    def request(self, to_server: float, back: float) -> int:
        self.clock.time += to_server
        now = self.clock.time
        while self.arrivals and self.arrivals[0] <= now - WINDOW:
            self.arrivals.popleft()
        if len(self.arrivals) >= self.limit:
            self.refusals += 1
        else:
            self.arrivals.append(now)
        self.clock.time += back
        return self.limit - len(self.arrivals)


latencies = st.lists(
    st.tuples(st.floats(0, 0.7), st.floats(0, 0.7)) | st.just((0.0, 0.0)), min_size=1, max_size=150
)


@given(limit=st.integers(1, 40), latencies=latencies)
def test_no_request_is_refused_where_answers_tell(limit: int, latencies: list[tuple[float, float]]) -> None:
    clock = FakeClock()
    pace, gateway = Pace(clock, 20, WINDOW), Gateway(clock, limit)
    for to_server, back in latencies:
        with pace.turn(NEVER) as place:
            pace.learn(place, limit, gateway.request(to_server, back), WINDOW)
    assert gateway.refusals == 0


@given(latencies)
def test_the_first_limit_holds_while_no_answer_tells(latencies: list[tuple[float, float]]) -> None:
    clock = FakeClock()
    pace, gateway = Pace(clock, 20, WINDOW), Gateway(clock, 20)
    for to_server, back in latencies:
        with pace.turn(NEVER) as place:
            gateway.request(to_server, back)
            pace.learn(place)
    assert gateway.refusals == 0


def test_pending_requests_keep_their_place() -> None:
    clock = FakeClock()
    pace = Pace(clock, 20, WINDOW)
    with pace.turn(NEVER), pace.turn(NEVER) as place:
        # The 2 reported by the server may not include the other request in flight.
        pace.learn(place, 80, 2, 2.0)
        with pace.turn(NEVER):
            assert clock.waits == []
            with pace.turn(NEVER):
                assert sum(clock.waits) == pytest.approx(2.0, abs=0.01)


def test_readings_include_requests_answered_before() -> None:
    clock = FakeClock()
    pace = Pace(clock, 20, WINDOW)
    with pace.turn(NEVER):
        pass
    with pace.turn(NEVER) as place:
        with pace.turn(NEVER):
            pass
        pace.learn(place, 80, 2, 2.0)
    # Of the 2 that remain, one was used later and answered earlier.
    with pace.turn(NEVER):
        assert clock.waits == []
    with pace.turn(NEVER):
        assert sum(clock.waits) == 2.0


def test_a_place_is_held_from_the_answers_start() -> None:
    clock = FakeClock()
    pace = Pace(clock, 1, WINDOW)
    with pace.turn(NEVER) as place:
        pace.learn(place)
        clock.time += 5.0
    with pace.turn(NEVER):
        assert clock.waits == []


def test_an_answer_with_more_room_ends_waiting() -> None:
    clock = FakeClock()
    pace = Pace(clock, 20, WINDOW)
    with pace.turn(NEVER) as place, pace.turn(NEVER) as later:
        pace.learn(place, 80, 0, 2.0)
        clock.at_next_wait = lambda: pace.learn(later, 80, 5, 2.0)
        with pace.turn(NEVER):
            assert sum(clock.waits) < 1.0


def test_threads_share_the_window() -> None:
    """Eight real threads share one credential and never exceed the window's limit."""
    clock = FakeClock()
    pace = Pace(clock, 20, WINDOW)
    lock = threading.Lock()
    times: list[float] = []

    def work() -> None:
        for _ in range(25):
            with pace.turn(NEVER), lock:
                times.append(clock.now())

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    times.sort()
    assert len(times) == 200
    assert all(later - earlier >= 2.0 for earlier, later in zip(times, times[20:], strict=False))


def test_each_refusal_makes_everybody_wait_longer() -> None:
    clock = FakeClock()
    pace = Pace(clock, 20, WINDOW)
    for refusals, told, least in [(1, 0.0, 1.0), (2, 0.0, 2.0), (3, 9.0, 9.0), (9, 0.0, 16.0)]:
        clock.waits.clear()
        seconds = pace.refused(told, refusals)
        assert least <= seconds <= least + 0.5
        with pace.turn(NEVER):
            assert sum(clock.waits) == pytest.approx(seconds)


def test_a_block_stops_everybody_for_its_time() -> None:
    clock = FakeClock()
    pace = Pace(clock, 1, WINDOW)
    # Threads that wait for a place stop too.
    clock.at_next_wait = lambda: pace.block(PermanentError, "No more.", 60.0)
    with pace.turn(NEVER), pytest.raises(PermanentError, match=r"No more\."), pace.turn(NEVER):
        pass
    with pytest.raises(PermanentError), pace.turn(NEVER):
        pass
    clock.time += 60.0
    with pace.turn(NEVER):
        pass


@pytest.mark.parametrize("nonsense", ["", "-1", "many", "1e9", "2.5", "\u0662", "9" * 5000])
def test_a_header_of_nonsense_is_no_number(nonsense: str) -> None:
    assert header_number({"retry-after": nonsense}, "retry-after") is None
    assert header_number({}, "retry-after") is None
    assert header_number({"retry-after": " 7 "}, "retry-after") == 7.0
