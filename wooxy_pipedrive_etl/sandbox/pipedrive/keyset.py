"""Sorted indexes of a list's rows, so that the cost of a page depends on its own size, not the account's."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

SortField = Literal["id", "add_time", "update_time"]
Undated = Literal["first", "last", "by_add_time"]

_ID_BITS = 40
_ID_MASK = (1 << _ID_BITS) - 1
# Later than any time in epoch seconds.
_LAST = 1 << 40


class RowTimes(NamedTuple):
    """Epoch seconds."""

    add_time: int
    update_time: int | None


class Position(NamedTuple):
    """A place in a sorted list: the value of the sort field (None sorts first) and the id."""

    value: int | None
    id: int


@dataclass(frozen=True)
class Window:
    """One call of a list: filters, order, and where the page starts."""

    sort_by: SortField = "id"
    descending: bool = False
    limit: int = 100
    start: Position | None = None
    ids: frozenset[int] | None = None
    updated_since: int | None = None
    updated_until: int | None = None
    null_matches_since: bool = False
    undated: Undated = "first"


def _key(value: int | None, row_id: int) -> int:
    return ((value or 0) << _ID_BITS) | row_id


class KeysetIndex:
    """The visible rows of one table in the API's three orders."""

    def __init__(self) -> None:
        self._keys: dict[SortField, list[int]] = {"id": [], "add_time": [], "update_time": []}

    def load(self, rows: Iterable[tuple[int, RowTimes]]) -> None:
        """Replaces all rows at once, which is faster than adding them one by one."""
        ids, added, updated = [], [], []
        for row_id, times in rows:
            ids.append(_key(row_id, row_id))
            added.append(_key(times.add_time, row_id))
            updated.append(_key(times.update_time, row_id))
        self._keys = {"id": sorted(ids), "add_time": sorted(added), "update_time": sorted(updated)}

    def add(self, row_id: int, times: RowTimes) -> None:
        for field, key in self._keys_of(row_id, times):
            insort(self._keys[field], key)

    def remove(self, row_id: int, times: RowTimes) -> None:
        for field, key in self._keys_of(row_id, times):
            keys = self._keys[field]
            at = bisect_left(keys, key)
            if at < len(keys) and keys[at] == key:
                del keys[at]

    def __contains__(self, row_id: int) -> bool:
        keys = self._keys["id"]
        at = bisect_left(keys, _key(row_id, row_id))
        return at < len(keys) and keys[at] == _key(row_id, row_id)

    def __len__(self) -> int:
        return len(self._keys["id"])

    def __iter__(self) -> Iterator[int]:
        return (key & _ID_MASK for key in self._keys["id"])

    def page(
        self, window: Window, times: Callable[[int], RowTimes], accept: Callable[[int], bool] | None
    ) -> tuple[list[int], Position | None]:
        """The ids of one page, and the position of the next row (None at the end)."""
        keys = self._keys[window.sort_by]
        if window.ids is not None or self._moves_undated(window):
            chosen = self if window.ids is None else (row_id for row_id in window.ids if row_id in self)
            keys = sorted(
                self._place(self._value(row_id, window, times), row_id, window) for row_id in chosen
            )
        low, high = self._bounds(keys, window)
        matches = self._filter(window, times, accept)
        order = range(high - 1, low - 1, -1) if window.descending else range(low, high)
        if matches is None:
            found = [keys[at] & _ID_MASK for at in order[: window.limit + 1]]
        else:
            found = []
            for at in order:
                row_id = keys[at] & _ID_MASK
                if matches(row_id):
                    found.append(row_id)
                    if len(found) > window.limit:
                        break
        if len(found) <= window.limit:
            return found, None
        following = found.pop()
        return found, Position(self._value(following, window, times), following)

    def _bounds(self, keys: list[int], window: Window) -> tuple[int, int]:
        low, high = 0, len(keys)
        if window.start is not None:
            key = self._place(*window.start, window)
            if window.descending:
                high = bisect_right(keys, key)
            else:
                low = bisect_left(keys, key)
        if self._is_time_range(window):
            if window.updated_since is not None:
                low = max(low, bisect_left(keys, _key(max(window.updated_since, 1), 0)))
            else:
                low = max(low, bisect_left(keys, _key(1, 0)))
            if window.updated_until is not None:
                high = min(high, bisect_left(keys, _key(max(window.updated_until, 0), 0)))
        return low, max(low, high)

    @staticmethod
    def _is_time_range(window: Window) -> bool:
        bounded = window.updated_since is not None or window.updated_until is not None
        return (
            bounded
            and window.sort_by == "update_time"
            and window.undated == "first"
            and not window.null_matches_since
        )

    @staticmethod
    def _moves_undated(window: Window) -> bool:
        """Whether rows without an update_time belong somewhere other than where the index has them."""
        return window.sort_by == "update_time" and window.undated != "first"

    @staticmethod
    def _place(value: int | None, row_id: int, window: Window) -> int:
        return _key(_LAST if value is None and window.undated == "last" else value, row_id)

    def _filter(
        self, window: Window, times: Callable[[int], RowTimes], accept: Callable[[int], bool] | None
    ) -> Callable[[int], bool] | None:
        since, until = window.updated_since, window.updated_until
        if (since is None and until is None) or self._is_time_range(window):
            return accept

        def matches(row_id: int) -> bool:
            updated = times(row_id).update_time
            if updated is None:
                in_range = window.null_matches_since
            else:
                in_range = (since is None or updated >= since) and (until is None or updated < until)
            return in_range and (accept is None or accept(row_id))

        return matches

    @staticmethod
    def _value(row_id: int, window: Window, times: Callable[[int], RowTimes]) -> int | None:
        if window.sort_by == "id":
            return row_id
        row_times = times(row_id)
        if window.sort_by == "add_time" or (
            row_times.update_time is None and window.undated == "by_add_time"
        ):
            return row_times.add_time
        return row_times.update_time

    @staticmethod
    def _keys_of(row_id: int, times: RowTimes) -> list[tuple[SortField, int]]:
        return [
            ("id", _key(row_id, row_id)),
            ("add_time", _key(times.add_time, row_id)),
            ("update_time", _key(times.update_time, row_id)),
        ]
