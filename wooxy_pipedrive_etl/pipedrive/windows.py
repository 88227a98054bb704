"""Which windows of `update_time` are read by whom, so that many requests share one walk: what to ask next, and what an
answer leaves unread. No I/O.

What is unread lies in *gaps*. Two readers work on a gap towards each other, one ascending from its start and one
descending from its end, which shares it evenly without knowing where in it the persons are; when they meet, it is
closed. A reader that runs dry splits the largest gap. Times are whole epoch seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

# So many requests at once: enough for the burst limits of the plans at the round trips of a network.
READERS = 12
# Before every time, but not before those who have none.
_EARLIEST = -(2**60)
# Where the logarithm of a ratio of densities is as good as zero.
_EVEN = 0.001


class Span(NamedTuple):
    """Times from `start` on and before `end`. `start` None: from the first one on, and those without a time."""

    start: int | None
    end: int

    @property
    def is_empty(self) -> bool:
        return self.start is not None and self.start >= self.end

    def without(self, read: Span) -> Span:
        """What is left of it. Where `read` lies within, nothing is taken away."""
        from_start = read.start is None or (self.start is not None and read.start <= self.start)
        to_end = read.end >= self.end
        if from_start and to_end:
            return Span(self.end, self.end)
        if from_start:
            return Span(read.end if self.start is None else max(self.start, read.end), self.end)
        if to_end and read.start is not None and read.start < self.end:
            return Span(self.start, read.start)
        return self


class NotAsAsked(Exception):
    """An answer shows that Pipedrive sorts or filters otherwise than reading in windows needs."""


@dataclass(eq=False)
class Reader:
    """Who asks for the persons updated from `since` on and before `until`, page after page, `ascending` or not; where
    both are None, for those without an update_time too. `cursor`: of the page to ask for, None for the first one."""

    ascending: bool
    since: int | None
    until: int | None
    cursor: str | None
    _gap: _Gap
    # Up to where it has read, and up to where it will have when there are no more pages.
    _at: int | None
    _to: int | None


@dataclass(eq=False)
class _Gap:
    """What is unread, and who reads it from either end. `times`: as of `Windows`; `densities`: persons a second at
    either end, None before the first page."""

    span: Span
    times: np.ndarray
    densities: list[float | None]
    readers: list[Reader | None]

    @property
    def seconds(self) -> float:
        return math.inf if self.span.start is None else self.span.end - self.span.start

    @property
    def persons(self) -> float:
        """About how many there are: those that are known, or as many as there are if their density changes evenly from
        end to end."""
        if len(self.times):
            first, last = self._known()
            return last - first
        at_start, at_end = self.densities
        if self.span.start is None or at_start is None or at_end is None:
            return math.inf
        growth = math.log(at_end / at_start)
        return self.seconds * (at_start if abs(growth) < _EVEN else (at_end - at_start) / growth)

    def split(self) -> _Gap:
        """Where about half of the persons are on either side. Returns the later part, which takes the descending reader
        along. For a gap of a known number of persons and of more than a second."""
        start, end = self.span
        middle = min(self._middle(), end - 1)
        if start is not None:
            middle = max(middle, start + 1)
        at_start, at_end = self.densities
        between = None if at_start is None or at_end is None else math.sqrt(at_start * at_end)
        later = _Gap(Span(middle, end), self.times, [between, at_end], [None, self.readers[1]])
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
        """From which of the known times to which lie in it."""
        start, end = self.span
        first = 0 if start is None else np.searchsorted(self.times, start)
        return int(first), int(np.searchsorted(self.times, end))


class Windows:
    """`unread`: spans apart from each other, all of them before `top`. `persons`: about how many there are; the more,
    the more splits are worth while, since each costs up to a page that is read twice. `times`: when those of whom it is
    known were updated (int64, ascending), which tells where to split; it may be long ago, and it may be empty."""

    def __init__(self, unread: Iterable[Span], top: int, persons: int, times: np.ndarray) -> None:
        self._gaps = [_Gap(span, times, [None, None], [None, None]) for span in unread]
        self._top = top
        self._persons = persons
        self._page = 1
        self._wasted = 0
        self._under_way: set[Reader] = set()

    def questions(self) -> list[Reader]:
        """The readers that are to ask now, each for its next page."""
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
        """Notes an answer: the update_time of each of its persons, in order. Returns what is read by it, if anything:
        together with the reader's earlier answers.

        Raises NotAsAsked.
        """
        self._under_way.discard(reader)
        dated = _checked(reader, times)
        self._page = max(self._page, len(times))
        new = sum(map(self._is_unread, dated)) + len(times) - len(dated)
        self._wasted += (len(times) if next_cursor is not None else self._page) - new
        gap, side = reader._gap, 0 if reader.ascending else 1
        if dated:
            gap.densities[side] = len(dated) / max(1, abs(dated[-1] - dated[0]))
        read = _advance(reader, dated, next_cursor)
        if read is not None:
            for each in self._gaps:
                each.span = each.span.without(read)
        self._gaps = [each for each in self._gaps if not each.span.is_empty]
        # The rest of what the other one has under way is not worth a page of its own.
        is_left = gap.readers[1 - side] is not None and not self._is_worth_two(gap, pages=1)
        if next_cursor is None or gap.span.is_empty or is_left:
            gap.readers[side] = None
        reader.cursor = next_cursor
        return read

    def _is_unread(self, time: int) -> bool:
        return any(
            (gap.span.start is None or gap.span.start <= time) and time < gap.span.end for gap in self._gaps
        )

    def _is_worth_two(self, gap: _Gap, pages: int) -> bool:
        """A single second can't be shared: how those of one time are sorted is not known."""
        return gap.seconds > 1 and gap.persons >= pages * self._page

    def _another_reader(self) -> Reader | None:
        for gap in self._gaps:
            if gap.readers == [None, None]:
                return self._begin(gap, ascending=True)
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
        span = gap.span
        # Any filter leaves out those without a time, who may come first in either order.
        unfiltered = span.start is None if ascending else span.end == self._top
        since, until = (None, None) if unfiltered else span
        if ascending:
            reader = Reader(True, since, until, None, gap, span.start, self._top if unfiltered else span.end)
        else:
            to = None if unfiltered else span.start if span.start is not None else _EARLIEST
            reader = Reader(False, since, until, None, gap, span.end, to)
        gap.readers[0 if ascending else 1] = reader
        return reader


def _advance(reader: Reader, dated: Sequence[int], next_cursor: str | None) -> Span | None:
    """Moves the reader on, and returns from where to where it has read now. Of the second that it has come to, more
    persons may follow."""
    before = reader._at
    if next_cursor is None:
        reader._at = reader._to
    elif dated:
        reader._at = (
            dated[-1] if reader.ascending else min(dated[-1] + 1, before) if before is not None else None
        )
    start, end = (before, reader._at) if reader.ascending else (reader._at, before)
    if end is None or (start is not None and start >= end):
        return None
    return Span(start, end)


def _checked(reader: Reader, times: Sequence[int | None]) -> list[int]:
    """The times without those that are None, which may only be at either end."""
    first = next((i for i, time in enumerate(times) if time is not None), len(times))
    behind = next((i for i in range(len(times), 0, -1) if times[i - 1] is not None), first)
    dated = [time for time in times[first:behind] if time is not None]
    filtered = reader.since is not None or reader.until is not None
    if len(dated) < behind - first or (filtered and len(dated) < len(times)):
        raise NotAsAsked("persons without an update_time came between others")
    in_order = dated if reader.ascending else dated[::-1]
    if any(earlier > later for earlier, later in pairwise(in_order)):
        raise NotAsAsked("persons did not come in the order of their update_time")
    if dated and (
        (reader.since is not None and in_order[0] < reader.since)
        or (reader.until is not None and in_order[-1] >= reader.until)
    ):
        raise NotAsAsked("persons came that were not updated in the time that was asked for")
    return dated
