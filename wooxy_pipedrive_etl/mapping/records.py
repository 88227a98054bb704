"""Persons as Pipedrive's JSON texts, decoded into columns of raw values, which `values.py` reads.

Each text is decoded once, into msgspec structs with one slot for each field that is used; keys and other fields are
never built. A text that msgspec rejects, or that does not have the shape of the field's kind, goes through Python's own
decoder.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import Any

import msgspec
from msgspec.structs import astuple

from wooxy_pipedrive_etl.mapping.columns import Points
from wooxy_pipedrive_etl.mapping.kinds import KINDS, Kind
from wooxy_pipedrive_etl.mapping.values import MAX_DIGITS, OBJECTS, Point, parts_of

# Few enough to be still in the processor's cache when they are put into columns.
_AT_ONCE = 50

# Not float, which would lose digits: a number with a decimal point where an object or a contact point belongs is
# malformed.
_Scalar = str | int | bool | None
_PointsType = list[Point | _Scalar | list] | Point | _Scalar  # type: ignore[type-arg]


@dataclass(frozen=True)
class Field:
    """What a record has under `code`, or its `custom_fields` if `is_custom`. `kind`: how it is read."""

    code: str
    is_custom: bool
    kind: Kind = field(compare=False)

    @property
    def is_system_money(self) -> bool:
        return self.kind.name == "monetary" and not self.is_custom

    @property
    def record_type(self) -> Any:
        """The type that msgspec decodes it to."""
        if self.kind.shape == "points":
            return _PointsType
        if self.kind.shape == "object" and not self.is_system_money:
            return OBJECTS[self.kind.name] | _Scalar | list
        return Any

    @property
    def completed_by(self) -> tuple[Field, Callable[[Any, Any], Any]] | None:
        """Another field of the record, and how to complete a value with that field's."""
        if self.is_custom:
            return None
        if self.code == "im":
            return Field("ims", False, self.kind), _either
        if self.is_system_money:
            return Field("currency", False, KINDS["text"]), _with_currency
        return None


def _either(value: Any, other: Any) -> Any:
    """Whichever of two spellings of one key is present."""
    return other if value is None else value


def _with_currency(value: Any, currency: Any) -> Any:
    """System amounts are plain numbers; the record has a separate `currency`."""
    if value is None or isinstance(value, list):
        return value
    parts = value if isinstance(value, dict) else {"value": value, "currency": currency}
    return _from_dict(OBJECTS["monetary"], parts)


@dataclass(frozen=True)
class Records:
    """The raw values of some persons, None where there are none. `points`: of the fields whose kinds have them.
    `unreadable`: the positions of persons whose record or custom fields are not objects."""

    points: Mapping[Field, Points]
    unreadable: list[int]
    _columns: Mapping[Field, _Plain | _Parts]

    def column(self, field: Field, part: str | None = None) -> list[Any]:
        """The values of a field, or of one part if the kind's values are objects."""
        column = self._columns[field]
        return column.parts[field.kind.part(part).member] if isinstance(column, _Parts) else column


class _Plain(list[Any]):
    """A column of unchanged values."""

    def add(self, raws: Iterable[Any]) -> None:
        self += raws


class _Parts:
    """A column of objects, as one column for each part."""

    def __init__(self, kind: Kind) -> None:
        self._type = OBJECTS[kind.name]
        self._none = parts_of(None, self._type)
        self.parts: dict[str, list[Any]] = {name: [] for name in self._type.__struct_fields__}

    def add(self, raws: Iterable[Any]) -> None:
        object_type, none = self._type, self._none
        usual = (object_type, type(None))
        # The usual ones without a function call for each.
        rows = [
            (none if raw is None else astuple(raw)) if raw.__class__ in usual else parts_of(raw, object_type)
            for raw in raws
        ]
        for column, values in zip(self.parts.values(), zip(*rows, strict=True), strict=True):
            column += values


class RecordDecoder:
    """Decodes these fields of persons."""

    def __init__(self, fields: Iterable[Field]) -> None:
        fields = list(fields)
        fields += [each.completed_by[0] for each in fields if each.completed_by is not None]
        known = list(dict.fromkeys(fields))
        self._system = [each for each in known if not each.is_custom]
        self._custom = [each for each in known if each.is_custom]
        self._completed = [
            (i, self._system.index(each.completed_by[0]), each.completed_by[1])
            for i, each in enumerate(self._system)
            if each.completed_by is not None
        ]
        types = [each.record_type for each in self._system], [each.record_type for each in self._custom]
        self._root_type, self._custom_type = self._structs(*types)
        self._no_custom = self._custom_type()
        self._decode = msgspec.json.Decoder(self._root_type, float_hook=Decimal).decode

    @cached_property
    def _decode_any(self) -> Callable[[bytes | str], Any]:
        """As `_decode`, for values of any shape."""
        root_type, _ = self._structs([Any] * len(self._system), [Any] * len(self._custom))
        return msgspec.json.Decoder(root_type, float_hook=Decimal).decode

    def _structs(self, system_types: Sequence[Any], custom_types: Sequence[Any]) -> tuple[Any, Any]:
        """The types for the person and for its custom fields."""
        custom = _struct("CustomFields", self._custom, custom_types)
        return _struct("Person", self._system, system_types, custom), custom

    def decode(self, raws: Sequence[bytes | str]) -> Records:
        """The records of these persons, given their JSON texts; bytes are faster."""
        system = [_column(each) for each in self._system]
        custom = [_column(each) for each in self._custom]
        unreadable: list[int] = []
        decode = self._decode
        for start in range(0, len(raws), _AT_ONCE):
            some = raws[start : start + _AT_ONCE]
            try:
                roots = list(map(decode, some))
            except Exception:  # msgspec passes on the hook's errors unchanged
                roots = self._one_by_one(some, start, unreadable)
            *values, customs = zip(*map(astuple, roots), strict=True)
            for at, other, complete in self._completed:
                values[at] = tuple(map(complete, values[at], values[other]))
            for column, more in zip(system, values, strict=True):
                column.add(more)
            rows = [astuple(each or self._no_custom) for each in customs]
            for column, more in zip(custom, zip(*rows, strict=True), strict=True):
                column.add(more)
        columns: dict[Field, _Plain | _Parts] = {}
        points: dict[Field, Points] = {}
        for each, column in zip(self._system + self._custom, system + custom, strict=True):
            if isinstance(column, Points):
                points[each] = column
            else:
                columns[each] = column
        return Records(points, unreadable, columns)

    def _one_by_one(self, raws: Sequence[bytes | str], start: int, unreadable: list[int]) -> list[Any]:
        roots = []
        for i, raw in enumerate(raws, start):
            try:
                root = self._decode(raw)
            except Exception:
                root = self._decode_odd(raw)
            if root is None or root.custom_fields is False:
                unreadable.append(i)
            roots.append(self._root_type() if root is None else root)
        return roots

    def _decode_odd(self, raw: bytes | str) -> Any | None:
        """The person, or None if the text is not a JSON object; with malformed custom fields, `custom_fields` is
        False."""
        try:
            *system, customs = astuple(self._decode_any(raw))
            custom = None if customs is None else astuple(customs)
        except Exception:
            return self._decode_oddest(raw)
        return self._person(system, custom)

    def _decode_oddest(self, raw: bytes | str) -> Any | None:
        """Python's own decoder accepts what msgspec does not: half a surrogate pair, numbers of any size."""
        try:
            person = json.loads(raw, parse_float=_decimal, parse_int=_integer, parse_constant=str)
        except (ValueError, TypeError, RecursionError):
            return None
        if not isinstance(person, dict):
            return None
        system = [person.get(each.code) for each in self._system]
        custom = person.get("custom_fields")
        if isinstance(custom, dict):
            return self._person(system, [custom.get(each.code) for each in self._custom])
        return self._person(system, None, odd_custom=bool(custom))

    def _person(self, system: Sequence[Any], custom: Sequence[Any] | None, odd_custom: bool = False) -> Any:
        customs = None if custom is None else self._custom_type(*map(_shaped, self._custom, custom))
        return self._root_type(*map(_shaped, self._system, system), False if odd_custom else customs)


def _column(field: Field) -> _Plain | _Parts | Points:
    if field.kind.shape == "points":
        return Points()
    return _Parts(field.kind) if field.kind.shape == "object" else _Plain()


def _struct(name: str, fields: Sequence[Field], types: Sequence[Any], custom_fields: Any = None) -> Any:
    slots: list[tuple[str, Any, Any]] = [(f"f{i}", each, None) for i, each in enumerate(types)]
    if custom_fields is not None:
        slots.append(("custom_fields", custom_fields | None, None))
    rename = {f"f{i}": each.code for i, each in enumerate(fields)}
    # The values are trees: without the collector's bookkeeping, decoding is a third faster.
    return msgspec.defstruct(name, slots, rename=rename, gc=False)


def _shaped(field: Field, value: Any) -> Any:
    """In the form that msgspec gives it."""
    if field.kind.shape == "points":
        if isinstance(value, list):
            return [_from_dict(Point, each) for each in value]
        return _from_dict(Point, value)
    return value if field.record_type is Any else _from_dict(OBJECTS[field.kind.name], value)


def _from_dict(object_type: type[msgspec.Struct], value: Any) -> Any:
    """Turns a dict into such an object, leaves anything else as it is."""
    return object_type(*map(value.get, object_type.__struct_fields__)) if isinstance(value, dict) else value


def _decimal(text: str) -> Decimal | str:
    try:
        return Decimal(text)
    except InvalidOperation:
        return text


def _integer(text: str) -> int | str:
    return int(text) if len(text) <= MAX_DIGITS else text
