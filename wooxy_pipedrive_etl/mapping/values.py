"""From a raw Pipedrive value to text, as the table of kinds says (`kinds.py`).

A reader takes one decoded value that is not None and returns its text, None if it is empty, or a `Dropped` with the
reason. A reader never raises, whatever the shape: we can't rely on what Pipedrive sends. docs/matching.md shows the
shapes that Pipedrive documents for each type. Numbers arrive as int or Decimal, so that no digit is lost; objects of
the kinds in `OBJECTS` arrive part by part, points as `Point`, all other objects as dicts (`records.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec
from msgspec.structs import astuple

from wooxy_pipedrive_etl.mapping.formats import (
    INVALID_FLAG,
    ZERO_DATES,
    Dropped,
    is_zero_date,
    to_datetime,
    to_email,
    to_phone,
)
from wooxy_pipedrive_etl.mapping.invisible import trimmed
from wooxy_pipedrive_etl.mapping.kinds import KINDS, Kind, PlainRead

Value = str | None | Dropped
Reader = Callable[[Any], Value]

ODD_SHAPE = Dropped("odd_shape", "has a shape that this type of field does not have")
UNKNOWN_OPTION = Dropped("unknown_option", "has an option that Pipedrive's list of options never had")
INVALID_NUMBER = Dropped("invalid_value", "is not a number, or one with more than 400 digits")
INVALID_TIME = Dropped("invalid_value", "is not a time of the day")
INVALID_TEXT = Dropped("invalid_value", "has characters that cannot be stored (NUL or half a character)")

MAX_DIGITS = 400
_TOO_LARGE = 10**MAX_DIGITS

_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,400}(?:\.[0-9]{0,400})?|\.[0-9]{1,400})(?:[eE][+-]?[0-9]{1,6})?")
_TIME = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9])(?:\.[0-9]+)?)?")
_JSON = msgspec.json.Encoder(decimal_format="number")


def reader(
    kind: Kind,
    part: str | None,
    options: Sequence[Mapping[str, Any]] | None,
    names: Mapping[str, Mapping[int, str]],
    default_region: str | None,
) -> Reader:
    """The function that reads the values of a variable. `names` is "user", "org", "person" -> id -> name."""
    match kind.part(part).read:
        case "option":
            return _option_reader(options or ())
        case "options":
            return _set_reader(options or ())
        case "name":
            return _name_reader(kind, names.get(kind.name, {}))
        case "email":
            return _point_reader(part, to_email)
        case "phone":
            return _point_reader(part, lambda value: to_phone(value, default_region))
        case "messenger":
            return _point_reader(part, None)
        case plain:
            return _READERS[plain]


# Plain values --------------------------------------------------------------------------------------------


def read_text(raw: Any) -> Value:
    if raw.__class__ is str:
        return trimmed(raw) or None
    if raw is True or raw is False:
        return "true" if raw else "false"
    if isinstance(raw, int | Decimal):
        return read_number(raw)
    return _odd(raw)


def _odd(raw: Any) -> Value:
    """Of what has another shape, an empty list or object is an empty value."""
    return None if raw == [] or raw == {} else ODD_SHAPE


def read_number(raw: Any) -> Value:
    """The digits that Pipedrive wrote, exponents written out."""
    if raw.__class__ is int:
        return str(raw) if -_TOO_LARGE < raw < _TOO_LARGE else INVALID_NUMBER
    if isinstance(raw, Decimal):
        text = str(raw)
        return text if "E" not in text and len(text) <= MAX_DIGITS else _written_out(raw)
    if isinstance(raw, str):
        text = raw.strip()
        if not text:
            return None
        return _written_out(Decimal(text)) if _NUMBER.fullmatch(text) else INVALID_NUMBER
    return _odd(raw)


def _written_out(number: Decimal) -> Value:
    if not number.is_finite():
        return INVALID_NUMBER
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)
    # Checked before the digits are written: 1e999999999 would fill the memory.
    if max(number.adjusted() + 1, 1) + max(-exponent, 0) > MAX_DIGITS:
        return INVALID_NUMBER
    return format(number, "f")


def read_boolean(raw: Any) -> Value:
    if isinstance(raw, int) and raw in (0, 1):
        return "true" if raw else "false"
    if isinstance(raw, str):
        text = raw.strip().lower()
        if not text:
            return None
        return {"true": "true", "1": "true", "false": "false", "0": "false"}.get(text, INVALID_FLAG)
    return _odd(raw)


def read_date(raw: Any) -> Value:
    """A date as Pipedrive has it, even an impossible one; a date-time as `YYYY-MM-DD HH:MM:SS` in UTC.

    The content decides, not the type: system fields named `*_time` have the type `date` in the catalogue.
    """
    if raw.__class__ is not str:
        return _odd(raw)
    text = raw.strip()
    if len(text) > 10:
        moment = to_datetime(text)
        return text if isinstance(moment, Dropped) else moment
    return text or None


def read_time(raw: Any) -> Value:
    """`HH:MM:SS`, the local time of day."""
    if raw.__class__ is not str:
        return _odd(raw)
    return _time_of_day(raw)


@lru_cache(maxsize=2048)
def _time_of_day(raw: str) -> Value:
    text = raw.strip()
    if not text:
        return None
    match = _TIME.fullmatch(text)
    return f"{match[1]:0>2}:{match[2]}:{match[3] or '00'}" if match else INVALID_TIME


def read_json(raw: Any) -> Value:
    """Texts and numbers as they are, anything else as compact JSON."""
    if isinstance(raw, str | int | Decimal):
        return read_text(raw)
    if not raw:
        return None
    try:
        return _JSON.encode(raw).decode()
    except (UnicodeError, ValueError, RecursionError):
        return INVALID_TEXT


_READERS: dict[PlainRead, Reader] = {
    "text": read_text,
    "number": read_number,
    "boolean": read_boolean,
    "date": read_date,
    "time": read_time,
    "json": read_json,
}
SHARED_READERS = frozenset(_READERS.values())
"""Those that read any field's values alike."""

# Objects -------------------------------------------------------------------------------------------------

OBJECTS = {
    kind.name: msgspec.defstruct(
        kind.name.capitalize(), [(part.member, Any, None) for part in kind.parts], gc=False
    )
    for kind in KINDS.values()
    if kind.shape == "object"
}
"""What values of these kinds are: objects with the parts that are read, the main one first; None for what is not there.
"""


def parts_of(raw: Any, object_type: type[msgspec.Struct]) -> tuple[Any, ...]:
    """The raw values of an object's parts. System fields may have only the main part, without the object."""
    if isinstance(raw, object_type):
        return astuple(raw)
    others = len(object_type.__struct_fields__) - 1
    # A list is malformed, whichever part is read.
    return (raw, *[raw if raw.__class__ is list else None] * others)


# E-mails, phones and messengers of the person ------------------------------------------------------------


class Point(msgspec.Struct, gc=False):
    """One e-mail address, phone number or messenger."""

    value: Any = None
    label: Any = None
    primary: Any = None


def is_labelled(label: Any, part: str) -> bool:
    return label.__class__ is str and label.strip().lower() == part


def _point_reader(part: str | None, parse: Callable[[str], str | Dropped] | None) -> Reader:
    """Of the primary value and then the others in order, the first valid one; if none is, the first."""

    def read_points(raw: Any) -> Value:
        if raw.__class__ is not list:
            raw = [raw]
        elif not raw:
            return None
        found: list[tuple[bool, str]] = []
        odd = False
        for item in raw:
            value, label, primary = item, None, False
            if item.__class__ is Point:
                value, label, primary = item.value, item.label, item.primary is True
            if part is not None and not is_labelled(label, part):
                odd = odd or not isinstance(item, Point | str | int | None)
                continue
            text = None if value is None else read_text(value)
            if text.__class__ is str:
                found.append((not primary, text))
            else:
                odd = odd or isinstance(text, Dropped)
        best = _best(found, parse)
        return Dropped(ODD_SHAPE.reason, ODD_SHAPE.message, best) if odd else best

    return read_points


def _best(found: list[tuple[bool, str]], parse: Callable[[str], str | Dropped] | None) -> str | None:
    if not found:
        return None
    if len(found) == 1:
        return found[0][1]
    found.sort(key=lambda point: point[0])
    if parse is None:
        return found[0][1]
    return next((text for _, text in found if not isinstance(parse(text), Dropped)), found[0][1])


# Options -------------------------------------------------------------------------------------------------


def _option_key(option_id: Any) -> str | None:
    """Ids are integers for custom fields, texts or booleans for built-in ones; this makes them comparable."""
    if option_id is True or option_id is False:
        return "true" if option_id else "false"
    return str(option_id).strip() if isinstance(option_id, int | str) else None


def _catalogue(options: Sequence[Mapping[str, Any]]) -> tuple[dict[Any, int], list[str]]:
    """Option id -> position, and label by position. The ids are included as they are and as texts."""
    positions: dict[Any, int] = {}
    labels: list[str] = []
    for option in options:
        key, label = _option_key(option.get("id")), option.get("label")
        if key is None or key in positions or not isinstance(label, str):
            continue
        positions[key] = len(labels)
        if option["id"].__class__ is int:
            positions[option["id"]] = len(labels)
        labels.append(trimmed(label))
    return positions, labels


def _option_reader(options: Sequence[Mapping[str, Any]]) -> Reader:
    positions, labels = _catalogue(options)
    by_id = {option_id: labels[position] or None for option_id, position in positions.items()}

    def read_option(raw: Any) -> Value:
        if raw.__class__ is int and raw in by_id:
            return by_id[raw]
        label = None
        if raw.__class__ is dict:
            raw, label = raw.get("id"), raw.get("label")
            if raw is None:
                return ODD_SHAPE if label is not None else None
        key = _option_key(raw)
        if key is None:
            return ODD_SHAPE if raw else None
        if not key:
            return None
        if key in by_id:
            return by_id[key]
        # Answers with labels inside, and built-in fields whose values are the labels themselves.
        if isinstance(label, str) and label.strip():
            return label.strip()
        return key if key in labels else UNKNOWN_OPTION

    return read_option


def _set_reader(options: Sequence[Mapping[str, Any]]) -> Reader:
    """Labels in the field's own option order; labels that only the value itself contains come last."""
    positions, labels = _catalogue(options)

    def read_set(raw: Any) -> Value:
        if raw.__class__ is list:
            try:
                return ", ".join([labels[i] for i in sorted({positions[item] for item in raw})]) or None
            except (KeyError, TypeError):
                pass
        return read_odd_set(raw)

    def read_odd_set(raw: Any) -> Value:
        if raw.__class__ is str:
            raw = raw.split(",")
        elif raw.__class__ is not list:
            raw = [raw]
        known: set[int] = set()
        others: list[str] = []
        problem: Dropped | None = None
        for entry in raw:
            is_object = entry.__class__ is dict
            item, label = (entry.get("id"), entry.get("label")) if is_object else (entry, None)
            if item.__class__ is int and item in positions:
                known.add(positions[item])
                continue
            key = _option_key(item)
            if key is None:
                problem = problem or (None if item is None and label is None else ODD_SHAPE)
            elif key in positions:
                known.add(positions[key])
            elif isinstance(label, str) and label.strip():
                others.append(label.strip())
            elif key:
                problem = UNKNOWN_OPTION
        text = (
            ", ".join([labels[position] for position in sorted(known) if labels[position]] + others) or None
        )
        return text if problem is None else Dropped(problem.reason, problem.message, text)

    return read_set


# Users, organisations and persons ------------------------------------------------------------------------


def reference_id(raw: Any) -> int | None:
    """The id in a value of a user, organisation or person field, or None."""
    if raw.__class__ is dict:
        raw = raw.get("id", raw.get("value"))
    if raw.__class__ is int:
        return int(raw)
    if isinstance(raw, str) and re.fullmatch(r"[0-9]{1,18}", raw.strip()):
        return int(raw)
    return None


def _name_reader(kind: Kind, names: Mapping[int, str]) -> Reader:
    unseen = Dropped("invalid_value", f"names {kind.refers_to} that could not be seen")

    def read_name(raw: Any) -> Value:
        target = reference_id(raw)
        if target is None:
            blank = raw.strip() == "" if isinstance(raw, str) else not raw and raw is not False
            return None if blank else ODD_SHAPE
        name = names.get(target)
        if name is None and raw.__class__ is dict:
            name = raw.get("name")
        return (name.strip() or None) if isinstance(name, str) else unseen

    return read_name


# What can be stored --------------------------------------------------------------------------------------


def storable(text: str) -> Value:
    """The text, if every database can store it; None for a zero date."""
    if is_zero_date(text):
        return None
    return text if _has_storable_characters(text) else INVALID_TEXT


def are_storable(texts: Iterable[str]) -> bool:
    """Whether `storable` returns each of them unchanged; False also if that is not obvious."""
    joined = "\n".join(texts)
    return _has_storable_characters(joined) and not any(zero in joined for zero in ZERO_DATES)


def kept(dropped: Dropped) -> str | None:
    """The part of a dropped value that can still be stored."""
    value = None if dropped.kept is None else storable(dropped.kept)
    return value if isinstance(value, str) else None


def _has_storable_characters(text: str) -> bool:
    if "\0" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
