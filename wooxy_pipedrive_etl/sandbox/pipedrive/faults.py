"""Ordered faults: what goes wrong, at which call, and how often."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, get_args

from .account import Account
from .answers import (
    Answer,
    cloudflare_forbidden,
    gateway_error,
    json_answer,
    over_limit,
    scope_mismatch,
    unauthorized,
)
from .errors import InvalidValueError

FaultKind = Literal[
    "status",
    "timeout",
    "reset",
    "truncated_json",
    "html_403",
    "rate_429",
    "daily_429",
    "unauthorized_401",
    "scope_403",
    "payment_402",
    "success_false_200",
    "empty_200",
    "redirect_302",
    "duplicated_rows",
    "on_page",
]
FAULT_KINDS: Final[tuple[str, ...]] = get_args(FaultKind)


@dataclass
class Fault:
    """Something that goes wrong with calls whose path starts with `path_prefix`.

    It lets `after` such calls pass and then strikes the next `times` (None: all of them).

    * status: an error page of the edge with that `status` (500, 502, 503, 504, 524, …); only 500 is JSON
    * timeout: no answer for `seconds`, then a 504; ends early if the client disconnects or the server stops
    * reset: the connection is cut after the answer's headers
    * truncated_json: a complete HTTP answer whose JSON ends in the middle
    * rate_429, daily_429: with the rate headers unless `headers` is False, with Retry-After if `retry_after` is set
    * redirect_302: to `location`
    * duplicated_rows: the page contains its first row twice
    * on_page: nothing goes wrong, but `on_page` is called with the account before the answer is built, to edit
      between two pages
    """

    kind: FaultKind
    path_prefix: str = "/api/"
    times: int | None = 1
    after: int = 0
    status: int = 500
    seconds: float = 60.0
    headers: bool = True
    retry_after: str | None = None
    location: str = "https://example.com/"
    on_page: Callable[[Account], object] | None = None

    def __post_init__(self) -> None:
        if self.kind not in FAULT_KINDS:
            raise InvalidValueError(f"There is no fault {self.kind!r}; known are {', '.join(FAULT_KINDS)}.")
        if (self.kind == "on_page") != (self.on_page is not None):
            raise InvalidValueError("A fault of kind 'on_page', and no other, needs `on_page`.")


@dataclass
class _Ordered:
    """A fault and how many calls it has seen, not counting calls on which it waited for another fault."""

    fault: Fault
    seen: int = 0

    def is_due(self) -> bool:
        times = self.fault.times
        return self.seen >= self.fault.after and (times is None or self.seen < self.fault.after + times)


class Faults:
    """The ordered faults; at each call, the first one that is due strikes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ordered: list[_Ordered] = []

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._ordered.append(_Ordered(fault))

    def clear(self) -> None:
        with self._lock:
            self._ordered.clear()

    def pending(self) -> list[Fault]:
        """The faults that can still strike."""
        with self._lock:
            return [
                each.fault
                for each in self._ordered
                if each.fault.times is None or each.seen < each.fault.after + each.fault.times
            ]

    def take(self, path: str) -> Fault | None:
        """The fault that strikes this call; if a second one is due, it waits for the next call."""
        with self._lock:
            striking: Fault | None = None
            for each in self._ordered:
                if path.startswith(each.fault.path_prefix):
                    due = each.is_due()
                    if due and striking is not None:
                        continue
                    each.seen += 1
                    if due:
                        striking = each.fault
            return striking


def fault_answer(fault: Fault) -> Answer | None:
    """The complete answer of a fault that replaces the call's; None for other kinds."""
    if fault.kind == "status":
        if fault.status == 500:
            return json_answer(500, {"success": False, "error": "Internal Server Error", "errorCode": 500})
        page = f"<html><body><h1>{fault.status}</h1></body></html>".encode()
        return Answer(fault.status, page, content_type="text/html")
    if fault.kind == "html_403":
        return cloudflare_forbidden()
    if fault.kind in ("rate_429", "daily_429"):
        return over_limit().with_headers(
            {} if fault.retry_after is None else {"retry-after": fault.retry_after}
        )
    if fault.kind == "unauthorized_401":
        return unauthorized()
    if fault.kind == "scope_403":
        return scope_mismatch()
    if fault.kind == "payment_402":
        return gateway_error(402, "Company account is not open")
    if fault.kind == "success_false_200":
        return json_answer(200, {"success": False, "error": "Something went wrong", "data": None})
    if fault.kind == "empty_200":
        return Answer(200, b"")
    if fault.kind == "redirect_302":
        return Answer(302, b"", {"location": fault.location}, "text/html")
    return None
