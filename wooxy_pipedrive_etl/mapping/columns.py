"""Processes whole columns at once: the same results as `values` and `formats` give for each raw value, without a call
for each.

`Rule.of` gives the result for one value. A shortcut for a column skips only steps that it has shown to change nothing,
or looks up what `of` has returned for the same value before; anything unusual goes through `of`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from itertools import chain
from typing import Any

from wooxy_pipedrive_etl.mapping.formats import Dropped, Formatted, formatter, to_datetime, to_datetimes
from wooxy_pipedrive_etl.mapping.invisible import trimmed
from wooxy_pipedrive_etl.mapping.values import (
    Point,
    Reader,
    are_storable,
    is_labelled,
    kept,
    read_date,
    read_json,
    read_number,
    read_text,
    storable,
)

# How many values a rule remembers: a lifetime has fewer days.
_REMEMBERED = 30_000

_TEXTS = frozenset({str, type(None)})
# Types whose equal values have equal results. For other types, 1 equals True, and 1.0 equals 1.00.
_SAME_IF_EQUAL = frozenset({str, int, type(None)})


@dataclass(frozen=True, slots=True)
class Noted:
    """A value that was dropped entirely or in part."""

    value: Formatted | None
    dropped: Dropped


Outcome = Formatted | Noted | None
Column = tuple[Sequence[Any], dict[int, Dropped]]
"""The values (Formatted or None), and what was dropped on the way: its place -> why."""


class Rule:
    """The rule from a raw value to what a type of column takes: how it is read, and then the type's format."""

    def __init__(self, read: Reader, column_type: str, default_region: str | None) -> None:
        self.read = read
        self._convert = None if column_type == "text" else formatter(column_type, default_region)
        self._known: dict[Any, Outcome] = {}
        self._has_dropped = False

    def of(self, raw: Any) -> Outcome:
        """The result for one value. If there are two reasons to drop something, the last one counts."""
        if raw is None:
            return None
        value = self.read(raw)
        if isinstance(value, str):
            value = storable(value)
        dropped = None
        if isinstance(value, Dropped):
            dropped, value = value, kept(value)
        formatted = value if value is None or self._convert is None else self._convert(value)
        if isinstance(formatted, Dropped):
            dropped, formatted = formatted, None
        if dropped is None:
            return formatted
        self._has_dropped = True
        return Noted(formatted, dropped)

    def of_column(self, raws: Sequence[Any]) -> Column:
        """The result for each value."""
        kinds = set(map(type, raws))
        if kinds == {type(None)}:
            return raws, {}
        if kinds <= _TEXTS:
            plain = self._of_plain(raws)
            if plain is not None:
                return plain
        keys = _keys(raws, kinds, self.read)
        outcomes = list(map(self.of, raws)) if keys is None else self._look_up(keys)
        if not self._has_dropped:
            return outcomes, {}
        dropped = {i: each.dropped for i, each in enumerate(outcomes) if isinstance(each, Noted)}
        return [each.value if isinstance(each, Noted) else each for each in outcomes], dropped

    def _look_up(self, keys: Sequence[Any]) -> list[Outcome]:
        known = self._known
        try:
            # Most columns of most batches contain nothing new.
            return list(map(known.__getitem__, keys))
        except KeyError:
            if len(known) > _REMEMBERED:
                # Not cleared: another thread may be using it.
                known = self._known = {}
            for key in set(keys).difference(known):
                known[key] = self.of(list(key) if key.__class__ is tuple else key)
            return list(map(known.__getitem__, keys))

    def _of_plain(self, texts: Sequence[str | None]) -> Column | None:
        """For texts that can be stored unchanged, or times as Pipedrive writes them; None if any text is neither."""
        if self.read is read_text:
            values = _stripped(texts)
            if not are_storable(filter(None, values)):
                return None
            convert = self._convert
            if convert is None:
                return values, {}
            formatted = [None if value is None else convert(value) for value in values]
            if Dropped not in set(map(type, formatted)):
                return formatted, {}
            dropped = {i: each for i, each in enumerate(formatted) if isinstance(each, Dropped)}
            return [None if isinstance(each, Dropped) else each for each in formatted], dropped
        if self.read is read_date and self._convert in (None, to_datetime):
            moments = to_datetimes([text for text in texts if text is not None])
            if moments is not None:
                each_moment = iter(moments)
                return [None if text is None else next(each_moment) for text in texts], {}
        return None


@lru_cache(maxsize=64)
def shared_rule(read: Reader, column_type: str, default_region: str | None) -> Rule:
    """The single rule for all columns of a type that are read by one of `values.SHARED_READERS`: what it remembers for
    one column is valid for the others."""
    return Rule(read, column_type, default_region)


def _stripped(texts: Sequence[str | None]) -> list[str | None]:
    """The same as `read_text` of each."""
    values = [text or None for text in texts]
    filled = list(filter(None, values))
    if list(map(str.strip, filled)) == filled and "".join(filled).isascii():
        return values
    return [None if value is None else trimmed(value) or None for value in values]


def _keys(raws: Sequence[Any], kinds: set[type], read: Reader) -> Sequence[Any] | None:
    """Keys for the raw values that are equal only if `read` gives equal results; None if there are none."""
    if read in (read_text, read_json):
        # They rarely repeat, and may be long.
        return None
    if read is read_number and Decimal in kinds:
        # They are read like their digits.
        raws = [str(raw) if raw.__class__ is Decimal else raw for raw in raws]
        kinds = kinds - {Decimal} | {str}
    if list in kinds:
        lists = [raw for raw in raws if raw.__class__ is list]
        kinds = kinds - {list} | set(map(type, chain.from_iterable(lists)))
        raws = [tuple(raw) if raw.__class__ is list else raw for raw in raws]
    return raws if kinds <= _SAME_IF_EQUAL else None


class Points:
    """A column of points, split once for all labels: most persons have one point, or none."""

    def __init__(self) -> None:
        self._texts: list[str | None] = []
        self._labels: list[Any] = []
        # By position, everything that is not a single point with a text.
        self._others: dict[int, Any] = {}

    def add(self, raws: Sequence[Any]) -> None:
        """Adds more of the field's raw values."""
        texts, labels = self._texts, self._labels
        for raw in raws:
            text = label = None
            if raw.__class__ is list and len(raw) == 1:
                point = raw[0]
                if point.__class__ is Point and point.value.__class__ in _TEXTS:
                    text, label = point.value, point.label
                else:
                    self._others[len(texts)] = raw
            elif raw is not None and raw != []:
                self._others[len(texts)] = raw
            texts.append(text)
            labels.append(label)

    def texts(self, part: str | None, read: Reader) -> list[str | None] | None:
        """Texts for which `read_text` gives the results that the part's reader `read` gives for the points; None if
        there are none, because some malformed value is dropped."""
        texts = self._texts.copy()
        if part is not None:
            try:
                fits = {label: is_labelled(label, part) for label in set(self._labels)}
            except TypeError:
                return None
            texts = [text if fits[label] else None for text, label in zip(texts, self._labels, strict=True)]
        for i, raw in self._others.items():
            value = read(raw)
            if isinstance(value, Dropped):
                return None
            texts[i] = value
        return texts

    def raws(self) -> list[Any]:
        """The raw values, as far as a reader needs them."""
        points = map(Point, self._texts, self._labels)
        return [self._others.get(i, point) for i, point in enumerate(points)]
