"""How often an attempt is repeated, and how it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from wooxy_pipedrive_etl.http_api.clock import NEVER, Stopped
from wooxy_pipedrive_etl.http_api.errors import (
    ApiError,
    OutcomeUnknown,
    PermanentError,
    ServerError,
    Unreachable,
)
from wooxy_pipedrive_etl.http_api.retries import Failed, Retries, with_retries

from .fake_clock import FakeClock


class Attempts:
    """Fails as scripted, then succeeds."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.count = 0

    def __call__(self) -> str:
        self.count += 1
        if self.count <= len(self.failures):
            raise self.failures[self.count - 1]
        return "done"


def tried(
    attempts: Callable[[], str],
    clock: FakeClock,
    *,
    repeatable: bool = True,
    limit: int = 3,
    stop: threading.Event = NEVER,
) -> str:
    return with_retries(
        attempts,
        "POST /things",
        api="Things",
        repeatable=repeatable,
        retries=Retries(attempts=limit),
        clock=clock,
        stop=stop,
    )


def test_waits_double_until_an_attempt_succeeds() -> None:
    clock, attempts = FakeClock(), Attempts(*[Failed(ServerError, "it broke")] * 4)
    assert tried(attempts, clock, limit=5) == "done"
    assert attempts.count == 5
    for wait, least in zip(clock.waits, [0.5, 1.0, 2.0, 4.0], strict=True):
        assert least <= wait <= least + 0.5


@pytest.mark.parametrize(
    ("kind", "limit", "says"),
    [
        (ServerError, 3, "POST /things failed 3 times, at last because it broke; run again later."),
        (ServerError, 1, "POST /things failed once, at last because it broke; run again later."),
        (
            PermanentError,
            3,
            "POST /things failed 3 times, at last because it broke; check the API URL, for this host does not answer "
            "like Things.",
        ),
    ],
)
def test_the_last_failure_names_the_error(kind: type[ApiError], limit: int, says: str) -> None:
    attempts = Attempts(*[Failed(kind, "it broke")] * 3)
    with pytest.raises(kind) as failure:
        tried(attempts, FakeClock(), limit=limit)
    assert type(failure.value) is kind
    assert str(failure.value) == says
    assert attempts.count == limit


def test_what_must_not_be_repeated_is_sent_once() -> None:
    clock = FakeClock()
    attempts = Attempts(Failed(Unreachable, "nobody listens", sent=False), Failed(Unreachable, "it was cut"))
    with pytest.raises(OutcomeUnknown) as failure:
        tried(attempts, clock, repeatable=False)
    assert str(failure.value) == (
        "Whether POST /things was done is not known, because it was cut; run again, which looks first."
    )
    assert attempts.count == 2
    assert len(clock.waits) == 1


def test_other_errors_pass_through_at_once() -> None:
    attempts = Attempts(PermanentError("Not allowed."))
    with pytest.raises(PermanentError, match=r"^Not allowed\.$"):
        tried(attempts, FakeClock())
    assert attempts.count == 1


def test_an_unneeded_wait_ends() -> None:
    stop = threading.Event()
    stop.set()
    attempts = Attempts(Failed(ServerError, "it broke"))
    with pytest.raises(Stopped):
        tried(attempts, FakeClock(), stop=stop)
    assert attempts.count == 1
