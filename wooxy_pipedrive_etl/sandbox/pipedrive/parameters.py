"""Query parameters: which ones a call allows, and which values; anything else is a 400."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from .answers import invalid_parameter
from .json_text import epoch

Parser = Callable[[str, str], Any]

_WHOLE_SECONDS = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z", re.ASCII)
_INTEGER = re.compile(r"-?\d{1,18}", re.ASCII)


def read_parameters(given: Iterable[tuple[str, str]], allowed: Mapping[str, Parser]) -> dict[str, Any]:
    """The values by name. Raises ApiError (400) for an unknown name, a repeated name, or an invalid value."""
    read: dict[str, Any] = {}
    for name, text in given:
        if name not in allowed:
            raise invalid_parameter(f"Parameter '{name}' is not allowed")
        if name in read:
            raise invalid_parameter(f"Validation failed: {name}: must be a single value")
        read[name] = allowed[name](name, text)
    return read


def integer(name: str, text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise invalid_parameter(f"Validation failed: {name}: must be an integer")
    return int(text)


def positive(name: str, text: str) -> int:
    number = integer(name, text)
    if number < 1:
        raise invalid_parameter(f"Validation failed: {name}: must be greater than 0")
    return number


def boolean(name: str, text: str) -> bool:
    if text not in ("true", "false"):
        raise invalid_parameter(f"Validation failed: {name}: must be true or false")
    return text == "true"


def moment(name: str, text: str) -> int:
    """Epoch seconds; accepts only ``YYYY-MM-DDTHH:MM:SSZ``."""
    try:
        if not _WHOLE_SECONDS.fullmatch(text):
            raise ValueError
        return epoch(datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC))
    except ValueError:
        raise invalid_parameter(f"Validation failed: {name}: is not a valid datetime") from None


def text(name: str, text: str) -> str:
    if not text:
        raise invalid_parameter(f"Validation failed: {name}: must not be empty")
    return text


def words(name: str, text: str) -> tuple[str, ...]:
    """The words of a comma-separated list, without duplicates."""
    found = tuple(dict.fromkeys(text.split(",")))
    if "" in found:
        raise invalid_parameter(f"Validation failed: {name}: must be a comma separated list")
    return found


def integers(name: str, text: str) -> tuple[int, ...]:
    return tuple(positive(name, word) for word in words(name, text))


def choice(*choices: str) -> Parser:
    def parse(name: str, text: str) -> str:
        if text not in choices:
            raise invalid_parameter(f"Validation failed: {name}: must be one of {', '.join(choices)}")
        return text

    return parse


def choices(allowed: Iterable[str]) -> Parser:
    known = frozenset(allowed)

    def parse(name: str, text: str) -> tuple[str, ...]:
        found = words(name, text)
        for word in found:
            if word not in known:
                raise invalid_parameter(f"Validation failed: {name}: '{word}' is not allowed")
        return found

    return parse
