"""Which windows are requested: whatever the persons' times and whatever happens meanwhile, nobody is missed."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wooxy_pipedrive_etl.pipedrive.windows import READERS, NotAsAsked, Reader, Span, Windows

TOP = 1_000
# Edits happen after this.
LATER = TOP + 60


Answer = tuple[list[int], list[int | None], str | None]


@dataclass
class Pipedrive:
    """Lists persons, id: update_time. `undated`: where persons without a time are sorted."""

    page: int
    undated: str = "first"
    persons: dict[int, int | None] = field(default_factory=dict)
    had_undated: bool = False
    requests: int = 0
    _markers: dict[str, tuple[float, int]] = field(default_factory=dict)

    def add(self, person_id: int, time: int | None) -> None:
        self.persons[person_id] = time
        self.had_undated = self.had_undated or time is None

    def answer(self, reader: Reader) -> Answer:
        """The ids and times of a page, and the cursor of the next."""
        self.requests += 1
        rows = sorted(
            (
                (self._place(person_id), person_id)
                for person_id in self.persons
                if self._fits(reader, person_id)
            ),
            reverse=not reader.ascending,
        )
        if reader.cursor is not None:
            marker = self._markers[reader.cursor]
            rows = [row for row in rows if (row >= marker if reader.ascending else row <= marker)]
        next_cursor = None
        if len(rows) > self.page:
            next_cursor = f"cursor {self.requests}"
            self._markers[next_cursor] = rows[self.page]
        ids = [person_id for _, person_id in rows[: self.page]]
        return ids, [self.persons[person_id] for person_id in ids], next_cursor

    def _place(self, person_id: int) -> float:
        time = self.persons[person_id]
        if time is not None:
            return time
        return -math.inf if self.undated == "first" else math.inf

    def _fits(self, reader: Reader, person_id: int) -> bool:
        time = self.persons[person_id]
        if time is None:
            return reader.since is None and reader.until is None
        return (reader.since is None or reader.since <= time) and (
            reader.until is None or time < reader.until
        )


@dataclass
class Walk:
    """The persons it has seen, and what is still unread."""

    pipedrive: Pipedrive
    chance: random.Random
    seen: set[int] = field(default_factory=set)
    unread: list[Span] = field(default_factory=lambda: [Span(None, None)])

    def go_on(self, known_times: list[int], answers: int | None = None) -> None:
        """Reads to the end, or until it has this many answers; answers arrive in any order, and now and then a person
        is edited, deleted or added."""
        windows = Windows(
            self.unread, TOP, len(self.pipedrive.persons), np.array(sorted(known_times), dtype=np.int64)
        )
        asked: list[Reader] = []
        answered: list[tuple[Reader, Answer]] = []
        while answers is None or answers > 0:
            asked += windows.questions()
            assert len(asked) + len(answered) <= READERS
            if not asked and not answered:
                return
            if asked and (not answered or self.chance.random() < 0.5):
                reader = asked.pop(self.chance.randrange(len(asked)))
                answered.append((reader, self.pipedrive.answer(reader)))
            else:
                reader, answer = answered.pop(self.chance.randrange(len(answered)))
                self._take(windows, reader, answer)
                answers = None if answers is None else answers - 1
            if self.chance.random() < 0.2:
                self._something_happens()

    def _take(self, windows: Windows, reader: Reader, answer: Answer) -> None:
        ids, times, next_cursor = answer
        read = windows.take(reader, times, next_cursor)
        self.seen.update(ids)
        if read is not None:
            self.unread = [left for span in self.unread for left in span.without(read)]

    def _something_happens(self) -> None:
        persons, what = self.pipedrive.persons, self.chance.random()
        if what < 0.4 and persons:
            persons[self.chance.choice(sorted(persons))] = LATER
        elif what < 0.6 and persons:
            del persons[self.chance.choice(sorted(persons))]
        elif what > 0.8:
            self.pipedrive.add(1_000 + self.pipedrive.requests, self.chance.choice([LATER, LATER, None]))


_times = st.one_of(
    st.integers(0, TOP - 1), st.sampled_from([0, 500, 500, 501, TOP - 1, TOP, LATER]), st.none()
)
_chances = st.randoms(use_true_random=False)
_pages = st.integers(1, 7)


@given(
    st.lists(_times, max_size=80),
    _pages,
    st.sampled_from(["first", "last"]),
    st.integers(0, 12),
    _chances,
    st.booleans(),
)
def test_resumed_walks_read_everyone_not_edited_meanwhile(
    times: list[int | None], page: int, undated: str, answers: int, chance: random.Random, known: bool
) -> None:
    pipedrive = Pipedrive(page, undated)
    for person_id, time in enumerate(times):
        pipedrive.add(person_id, time)
    walk = Walk(pipedrive, chance)
    known_times = [time for time in times if time is not None and chance.random() < 0.9] if known else []
    try:
        walk.go_on(known_times, answers)
        walk.go_on(known_times)
    except NotAsAsked:
        # Then it is read page by page.
        assert pipedrive.had_undated
        return
    assert walk.unread == []
    stayed = {
        i
        for i, time in enumerate(times)
        if (time is None or time < TOP) and pipedrive.persons.get(i, LATER) == time
    }
    assert stayed <= walk.seen


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([1, 3, 2], "in the order"),
        ([1, None, 3], "between others"),
        ([8, 9], "not updated in the time"),
        ([5, 6, 20], "not updated in the time"),
        ([None, 15], "between others"),
    ],
)
def test_an_answer_to_another_question_is_refused(times: list[int | None], message: str) -> None:
    windows = Windows([Span(10, 20)], TOP, 10, np.array([], dtype=np.int64))
    ascending = next(reader for reader in windows.questions() if reader.ascending)
    assert (ascending.since, ascending.until) == (10, 20)
    with pytest.raises(NotAsAsked, match=message):
        windows.take(ascending, times, None)


@pytest.mark.parametrize("ascending", [True, False])
def test_undated_persons_must_come_first_or_last(ascending: bool) -> None:
    def pages(*answers: tuple[list[int | None], str | None]) -> None:
        windows = Windows([Span(None, None)], TOP, 10, np.array([], dtype=np.int64))
        reader = next(reader for reader in windows.questions() if reader.ascending == ascending)
        for times, next_cursor in answers:
            windows.take(reader, times, next_cursor)

    pages(([None], "1"), ([None, 5], "2"), ([5, None], None))
    pages(([5], "1"), ([None], None))
    with pytest.raises(NotAsAsked, match="between others"):
        pages(([5], "1"), ([5, None], "2"))
    with pytest.raises(NotAsAsked, match="between others"):
        pages(([5], "1"), ([None], "2"))
    with pytest.raises(NotAsAsked, match="between others"):
        pages(([5], "1"), ([None, 5], "2"))


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("name", ["even", "mostly recent", "imported in two hours", "without a time"])
def test_a_large_windowed_walk_costs_little_more(name: str, known: bool) -> None:
    chance, page = random.Random(1), 10
    times: list[int | None] = [
        {
            "even": chance.randrange(10**8),
            "mostly recent": 10**8 - int(min(10**8, chance.expovariate(1e-6))),
            "imported in two hours": chance.choice([2, 5, 9]) * 10**7 + chance.randrange(7_200),
            "without a time": None if chance.random() < 0.2 else chance.randrange(10**8),
        }[name]
        for _ in range(4_000)
    ]
    pipedrive = Pipedrive(page, persons=dict(enumerate(times)))
    top = 10**8 + 60
    known_times = sorted(time for time in times if time is not None) if known else []
    windows = Windows([Span(None, None)], top, len(times), np.array(known_times, dtype=np.int64))
    seen: set[int] = set()
    rounds = requests = 0
    while readers := windows.questions():
        rounds += 1
        requests += len(readers)
        for reader in readers:
            ids, page_times, next_cursor = pipedrive.answer(reader)
            windows.take(reader, page_times, next_cursor)
            seen.update(ids)
    assert len(seen) == len(times)
    assert requests <= 400 * 1.05
    assert rounds <= 400 / 3
