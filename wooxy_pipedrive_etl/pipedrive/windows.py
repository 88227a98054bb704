"""Decides which reader reads which windows of `update_time`, so that many requests share one walk: what to request
next, and what an answer leaves unread. No I/O.

Unread times form *gaps*. Two readers work towards each other on a gap, one ascending from its start and one descending
from its end, which shares it evenly without knowing where in it the persons are; when they meet, the gap is closed. A
reader with nothing left to do splits the largest gap. Times are whole epoch seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

# The number of simultaneous requests: enough for the burst limits of the plans at network latencies.
READERS = 12
# Before every time, but not before persons without one.
_EARLIEST = -(2**60)
# Below this, the logarithm of a ratio of densities counts as zero.
_EVEN = 0.001


class Span(NamedTuple):
    """Times from `start` on and before `end`. None is unbounded, and includes persons without a time, who may come
    first or last when sorted by time."""

    start: int | None
    end: int | None

    @property
    def is_empty(self) -> bool:
        return self.start is not None and self.end is not None and self.start >= self.end

    def without(self, read: Span) -> list[Span]:
        """What is left of the span: nothing, one span, or one on either side."""
        left = []
        if read.start is not None:
            left.append(Span(self.start, read.start if self.end is None else min(self.end, read.start)))
        if read.end is not None:
            left.append(Span(read.end if self.start is None else max(self.start, read.end), self.end))
        return [span for span in left if not span.is_empty]


_NOTHING = Span(0, 0)


class NotAsAsked(Exception):
    """An answer shows that Pipedrive's sorting or filters do not fit the windows."""


@dataclass(eq=False)
class Reader:
    """Requests the persons updated from `since` on and before `until`, page by page, `ascending` or not; if both are
    None, also those without an update_time. `cursor`: of the page to request, None for the first one."""

    ascending: bool
    since: int | None
    until: int | None
    cursor: str | None
    _gap: _Gap
    # How far it has read, and how far it will have read when there are no more pages.
    _at: int | None
    _to: int | None
    _has_met_dated: bool = False


@dataclass(eq=False)
class _Gap:
    """An unread gap, and who reads it from either end. `top`, `times`: as in `Windows`; `densities`: persons per second
    at either end, None before the first page."""

    span: Span
    top: int
    times: np.ndarray
    densities: list[float | None]
    readers: list[Reader | None]

    @property
    def end(self) -> int:
        return self.top if self.span.end is None else self.span.end

    @property
    def seconds(self) -> float:
        return math.inf if self.span.start is None else self.end - self.span.start

    @property
    def persons(self) -> float:
        """About how many persons it contains: the known ones, or an estimate as if the density changed evenly from end
        to end."""
        if len(self.times):
            first, last = self._known()
            return last - first
        at_start, at_end = self.densities
        if self.span.start is None or at_start is None or at_end is None:
            return math.inf
        growth = math.log(at_end / at_start)
        return self.seconds * (at_start if abs(growth) < _EVEN else (at_end - at_start) / growth)

    def split(self) -> _Gap:
        """Splits the gap where about half of the persons are on either side. Returns the later part, which takes over
        the descending reader. For a gap with a known number of persons and longer than a second."""
        start, end = self.span
        middle = min(self._middle(), self.end - 1)
        if start is not None:
            middle = max(middle, start + 1)
        at_start, at_end = self.densities
        between = None if at_start is None or at_end is None else math.sqrt(at_start * at_end)
        later = _Gap(Span(middle, end), self.top, self.times, [between, at_end], [None, self.readers[1]])
        if later.readers[1] is not None:
            later.readers[1]._gap = later
        self.span, self.densities, self.readers = (
            Span(start, middle),
            [at_start, between],
            [self.readers[0], None],
        )
        return later

    def _middle(self) -> int:
        if len(self.times):
            return int(self.times[sum(self._known()) // 2])
        at_start, at_end = self.densities
        assert self.span.start is not None
        assert at_start is not None
        assert at_end is not None
        ratio = at_end / at_start
        share = 0.5 if abs(ratio - 1) < _EVEN else math.log((1 + ratio) / 2) / math.log(ratio)
        return self.span.start + round(self.seconds * share)

    def _known(self) -> tuple[int, int]:
        """The range of indexes of the known times that lie in it."""
        first = 0 if self.span.start is None else np.searchsorted(self.times, self.span.start)
        return int(first), int(np.searchsorted(self.times, self.end))


class Windows:
    """Reads what was updated before `top`. `unread`: disjoint spans of it, the last one unbounded until the persons
    without a time that may come there are read. `persons`: about how many there are; the more there are, the more
    splits are worthwhile, since each costs up to a page that is read twice. `times`: when the known persons were
    updated (int64, ascending), which tells where to split; it may be out of date or empty."""

    def __init__(self, unread: Iterable[Span], top: int, persons: int, times: np.ndarray) -> None:
        self._gaps = [_Gap(span, top, times, [None, None], [None, None]) for span in unread]
        self._top = top
        self._persons = persons
        self._page = 1
        self._wasted = 0
        self._under_way: set[Reader] = set()

    def questions(self) -> list[Reader]:
        """The readers that are to send a request now, each for its next page."""
        asking = [
            reader
            for gap in self._gaps
            for reader in gap.readers
            if reader is not None and reader not in self._under_way
        ]
        while len(self._under_way) + len(asking) < READERS:
            reader = self._another_reader()
            if reader is None:
                break
            asking.append(reader)
        self._under_way.update(asking)
        return asking

    def take(self, reader: Reader, times: Sequence[int | None], next_cursor: str | None) -> Span | None:
        """Processes an answer: the update_time of each of its persons, in order. Returns the span that it, with the
        reader's earlier answers, has now read, if any.

        Raises NotAsAsked.
        """
        self._under_way.discard(reader)
        dated = _checked(reader, times, next_cursor)
        self._page = max(self._page, len(times))
        new = sum(map(self._is_unread, dated)) + len(times) - len(dated)
        self._wasted += (len(times) if next_cursor is not None else self._page) - new
        gap, side = reader._gap, 0 if reader.ascending else 1
        if dated:
            gap.densities[side] = len(dated) / max(1, abs(dated[-1] - dated[0]))
        read = self._advance(reader, dated, next_cursor)
        if read is not None:
            for each in self._gaps:
                # A reader begins at an end of a gap, so it never reads in the middle of one.
                each.span = next(iter(each.span.without(read)), _NOTHING)
        self._gaps = [each for each in self._gaps if not each.span.is_empty]
        # What remains beyond the other reader's current request is not worth a page of its own.
        is_left = gap.readers[1 - side] is not None and not self._is_worth_two(gap, pages=1)
        if next_cursor is None or is_left:
            gap.readers[side] = None
        reader.cursor = next_cursor
        return read

    def _is_unread(self, time: int) -> bool:
        return any(
            (gap.span.start is None or gap.span.start <= time) and time < gap.end for gap in self._gaps
        )

    def _is_worth_two(self, gap: _Gap, pages: int) -> bool:
        """A single second can't be shared: the order within it is unknown."""
        return gap.seconds > 1 and gap.persons >= pages * self._page

    def _another_reader(self) -> Reader | None:
        for gap in self._gaps:
            if gap.readers == [None, None]:
                return self._begin(gap, ascending=gap.seconds > 0)
        alone = [gap for gap in self._gaps if None in gap.readers and self._is_worth_two(gap, pages=2)]
        if alone:
            gap = max(alone, key=lambda each: each.persons)
            return self._begin(gap, ascending=gap.readers[0] is None)
        shared = [
            gap
            for gap in self._gaps
            if None not in gap.readers and self._is_worth_two(gap, pages=8) and gap.persons < math.inf
        ]
        allowed = 3 + 0.01 * self._persons / self._page
        if shared and self._wasted / self._page + len(self._gaps) < allowed:
            later = max(shared, key=lambda each: each.persons).split()
            self._gaps.append(later)
            return self._begin(later, ascending=True)
        return None

    def _begin(self, gap: _Gap, *, ascending: bool) -> Reader:
        start, end = gap.span
        # Any filter leaves out persons without a time.
        is_unfiltered = start is None if ascending else end is None
        since, until = (None, None) if is_unfiltered else (start, gap.end)
        at = start if ascending else end
        if is_unfiltered:
            to = None
        elif ascending:
            to = gap.end
        else:
            to = _EARLIEST if start is None else start
        reader = Reader(ascending, since, until, None, gap, at, to)
        gap.readers[0 if ascending else 1] = reader
        return reader

    def _advance(self, reader: Reader, dated: Sequence[int], next_cursor: str | None) -> Span | None:
        """Advances the reader, and returns the span that it has read now. The second that it has reached may contain
        more persons."""
        before = reader._at
        if next_cursor is None:
            reader._at = reader._to
        elif not dated:
            return None
        elif reader.ascending:
            reader._at = min(dated[-1], self._top)
        else:
            reader._at = min(dated[-1] + 1, self._top)
        read = Span(before, reader._at) if reader.ascending else Span(reader._at, before)
        return None if read.is_empty else read


def _checked(reader: Reader, times: Sequence[int | None], next_cursor: str | None) -> list[int]:
    """The times of the persons that have one. Those without may come before all others, or after them at the very
    end."""
    dated = [time for time in times if time is not None]
    if dated:
        first = next(i for i, time in enumerate(times) if time is not None)
        behind = next(i for i in range(len(times), 0, -1) if times[i - 1] is not None)
    else:
        first = behind = 0 if reader._has_met_dated else len(times)
    is_odd = (
        len(dated) < behind - first
        or (first > 0 and reader._has_met_dated)
        or (behind < len(times) and next_cursor is not None)
        or (len(dated) < len(times) and (reader.since is not None or reader.until is not None))
    )
    if is_odd:
        raise NotAsAsked("persons without an update_time came between others")
    reader._has_met_dated = reader._has_met_dated or len(dated) > 0
    in_order = dated if reader.ascending else dated[::-1]
    if any(earlier > later for earlier, later in pairwise(in_order)):
        raise NotAsAsked("persons did not come in the order of their update_time")
    if dated and (
        (reader.since is not None and in_order[0] < reader.since)
        or (reader.until is not None and in_order[-1] >= reader.until)
    ):
        raise NotAsAsked("persons came that were not updated in the time that was asked for")
    return dated
