"""How often a request is attempted, when, and what is raised if no attempt succeeds."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn, TypeVar

import tenacity

from .clock import Clock
from .errors import ApiError, OutcomeUnknown, TransientError

logger = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class Retries:
    """How often a request is sent at most, and how many seconds apart; the waits double and are jittered.

    ``refusals``: how many 429s are waited for and retried; None: as many as the burst limits can explain.
    """

    attempts: int = 6
    refusals: int | None = None
    first_wait: float = 0.5
    longest_wait: float = 30.0


class Failed(Exception):
    """One attempt failed, but another may not. ``kind``: the error if no more follow. ``sent``: the request may have
    been carried out."""

    def __init__(self, kind: type[ApiError], what: str, *, sent: bool = True) -> None:
        super().__init__(what)
        self.kind = kind
        self.sent = sent


def with_retries(
    attempt: Callable[[], T],
    request: object,
    *,
    api: str,
    repeatable: bool,
    retries: Retries,
    clock: Clock,
    stop: threading.Event,
) -> T:
    """The result of the first attempt that does not raise ``Failed``.

    ``request`` and ``api``: their names in messages. ``repeatable``: whether the request may be sent again although it
    may have been carried out. Raises the error of the last ``Failed``; ``OutcomeUnknown`` if a request that is not
    repeatable may have been carried out; ``Stopped`` if ``stop`` is set during a wait; and whatever else ``attempt``
    raises.
    """

    def may_try_again(error: BaseException) -> bool:
        return isinstance(error, Failed) and (repeatable or not error.sent)

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(may_try_again),
        stop=tenacity.stop_after_attempt(retries.attempts),
        wait=tenacity.wait_exponential(retries.first_wait, max=retries.longest_wait)
        + tenacity.wait_random(0, retries.first_wait),
        sleep=lambda seconds: clock.wait(seconds, stop),
        before_sleep=lambda state: logger.warning("%s: %s; trying again", request, _cause(state)),
        retry_error_callback=lambda state: _give_up(request, api, state),
    )
    try:
        return retrying(attempt)
    except Failed as error:
        raise OutcomeUnknown(
            f"Whether {request} was done is not known, because {error}; run again, which looks first."
        ) from error


def _give_up(request: object, api: str, state: tenacity.RetryCallState) -> NoReturn:
    cause = _cause(state)
    times = "once" if state.attempt_number == 1 else f"{state.attempt_number} times"
    if issubclass(cause.kind, TransientError):
        to_do = "run again later"
    else:
        to_do = f"check the API URL, for this host does not answer like {api}"
    raise cause.kind(f"{request} failed {times}, at last because {cause}; {to_do}.") from cause


def _cause(state: tenacity.RetryCallState) -> Failed:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, Failed)
    return error
