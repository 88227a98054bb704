"""Random faults: for each call of the API, a seeded generator draws whether something goes wrong, and what."""

from __future__ import annotations

import random
import threading
from collections import Counter
from dataclasses import dataclass
from typing import Final

from .account import Account
from .errors import InvalidValueError
from .faults import FAULT_KINDS, Fault, FaultKind

MIXED_KINDS: Final[tuple[FaultKind, ...]] = (
    "status",
    "timeout",
    "reset",
    "truncated_json",
    "rate_429",
    "html_403",
    "duplicated_rows",
    "on_page",
)
"""What eventually goes wrong with any account; the other kinds last until a person fixes something."""

_PATHS: Final = "/api/"
_PATHS_OF_PAGES: Final = "/api/v2/"
_KINDS_OF_PAGES: Final = ("duplicated_rows", "on_page")
_STATUSES: Final = (500, 502, 503, 504, 524)
# A client that waits longer gets a 504.
_TIMEOUT_SECONDS: Final = 0.5


@dataclass(frozen=True)
class FaultMix:
    """A share `rate` (0 to 1) of the calls goes wrong; all `kinds` are equally likely.

    With the same `seed`, the same sequence of calls gets the same faults. Faults of pages strike only v2; on_page
    edits the name of a random person. Raises InvalidValueError.
    """

    rate: float
    kinds: tuple[FaultKind, ...] = MIXED_KINDS
    seed: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 1:
            raise InvalidValueError(f"The rate of faults must be from 0 to 1, not {self.rate}.")
        unknown = [kind for kind in self.kinds if kind not in FAULT_KINDS]
        if unknown or not self.kinds:
            named = f"There is no fault {unknown[0]!r}" if unknown else "A mix needs a kind of fault"
            raise InvalidValueError(f"{named}; known are {', '.join(FAULT_KINDS)}.")


class MixedFaults:
    """The current mix, if any, and the faults since it was set."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._mix: FaultMix | None = None
        self._rng = random.Random()
        self._struck: Counter[str] = Counter()

    @property
    def mix(self) -> FaultMix | None:
        return self._mix

    @mix.setter
    def mix(self, mix: FaultMix | None) -> None:
        with self._lock:
            self._mix = mix
            self._rng = random.Random(None if mix is None else mix.seed)
            self._struck.clear()

    def struck(self) -> dict[str, int]:
        """How many faults of each kind, such as `status 503` or `rate_429 without headers`."""
        with self._lock:
            return dict(sorted(self._struck.items()))

    def take(self, path: str) -> Fault | None:
        """The fault that strikes this call."""
        with self._lock:
            if self._mix is None or not path.startswith(_PATHS) or self._rng.random() >= self._mix.rate:
                return None
            of_pages = path.startswith(_PATHS_OF_PAGES)
            kinds = [kind for kind in self._mix.kinds if of_pages or kind not in _KINDS_OF_PAGES]
            if not kinds:
                return None
            fault = _drawn(self._rng, self._rng.choice(kinds))
            self._struck[_name(fault)] += 1
            return fault


def _drawn(rng: random.Random, kind: FaultKind) -> Fault:
    if kind == "status":
        return Fault(kind, status=rng.choice(_STATUSES))
    if kind == "timeout":
        return Fault(kind, seconds=_TIMEOUT_SECONDS)
    if kind == "rate_429":
        told = rng.random() < 0.5
        return Fault(kind, headers=told, retry_after="1" if told else None)
    if kind == "on_page":
        drawn = rng.random()
        return Fault(kind, on_page=lambda account: _edit_someone(account, drawn))
    return Fault(kind)


def _edit_someone(account: Account, drawn: float) -> None:
    with account.lock:
        ids = account.visible_person_ids()
        if ids:
            person_id = ids[int(drawn * len(ids))]
            account.edit_person(person_id, name=f"Edited {drawn:.6f}")


def _name(fault: Fault) -> str:
    if fault.kind == "status":
        return f"status {fault.status}"
    return fault.kind if fault.headers else f"{fault.kind} without headers"
