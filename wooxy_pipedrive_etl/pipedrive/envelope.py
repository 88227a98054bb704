"""The envelope around every answer: ``{"success": …, "data": …, "additional_data": {"next_cursor": …}}``.

The elements of a list stay the bytes that Pipedrive sent, so that numbers keep their digits.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import msgspec


class Unreadable(Exception):
    """A 200 that is not a valid answer; the text says what it is instead. Never leaves this package."""


class _ListEnvelope(msgspec.Struct):
    success: Any = None
    data: list[msgspec.Raw] | None = None
    additional_data: Any = None


@dataclass(frozen=True)
class ListPage:
    """``elements``: the JSON text of each, as sent. ``next_cursor``: None on the last page."""

    elements: list[bytes | msgspec.Raw]
    next_cursor: str | None


_list_decoder = msgspec.json.Decoder(_ListEnvelope)
_JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]', re.DOTALL)


def read_list(content: bytes) -> ListPage:
    """Raises ``Unreadable``, but never because of the content of one element."""
    if not content.strip():
        raise Unreadable("an empty body")
    try:
        envelope = _list_decoder.decode(content)
    except msgspec.ValidationError:
        raise Unreadable("JSON that is not a list answer") from None
    except (msgspec.DecodeError, RecursionError):
        # One element that msgspec rejects (a lone surrogate, for example) must not cost the other 499.
        return _read_list_element_by_element(content)
    return _page(content, envelope.success, envelope.data, envelope.additional_data)


def read_object(content: bytes) -> dict[str, Any]:
    """The ``data`` object of an answer about one thing. Raises ``Unreadable``."""
    data: dict[str, Any] = _read_data(content, dict)
    return data


def read_plain_list(content: bytes) -> list[Any]:
    """The decoded ``data`` array of a v1 list without pages (where null means an empty list). Raises ``Unreadable``."""
    return _read_data(content, list) or []


def read_success(content: bytes) -> None:
    """For an answer that only confirms success. Raises ``Unreadable``."""
    _read_body(content)


def words_of(content: bytes) -> str:
    """Pipedrive's words in an error body of any of its shapes; empty if nothing is readable."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(body, dict):
        return ""
    said = [body.get("error"), body.get("message")]
    words = [word for word in said if isinstance(word, str) and word.strip()]
    if isinstance(body.get("errors"), dict | list):
        words.append(json.dumps(body["errors"], ensure_ascii=False))
    if isinstance(body.get("code"), str):
        words.append(f"({body['code']})")
    return re.sub(r"[\s\x00-\x1f\x7f]+", " ", " ".join(words)).strip()[:500]


def _read_data(content: bytes, shape: type[Any]) -> Any:
    data = _read_body(content).get("data")
    if not isinstance(data, shape) and not (shape is list and data is None):
        raise Unreadable("JSON without the data that was asked for")
    return data


def _read_body(content: bytes) -> dict[str, Any]:
    if not content.strip():
        raise Unreadable("an empty body")
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        raise Unreadable("something that is not JSON, or only the beginning of it") from None
    if not isinstance(body, dict):
        raise Unreadable("JSON that is not an object")
    if body.get("success") is not True:
        raise Unreadable(_unsuccessful(content))
    return body


def _page(content: bytes, success: Any, data: Any, additional_data: Any) -> ListPage:
    if success is not True:
        raise Unreadable(_unsuccessful(content))
    if data is None:
        raise Unreadable("no data")
    cursor = additional_data.get("next_cursor") if isinstance(additional_data, dict) else None
    if cursor is not None and not isinstance(cursor, str):
        raise Unreadable("a next_cursor that is not text")
    return ListPage(data, cursor or None)


def _unsuccessful(content: bytes) -> str:
    words = words_of(content)
    return f"success: false ({words})" if words else "success: false"


def _read_list_element_by_element(content: bytes) -> ListPage:
    """Splits the ``data`` array at its own commas, without looking into the elements."""
    text = content.decode("utf-8", "surrogateescape")
    depth, key_is_data = 0, False
    array_start = array_end = element_start = -1
    last_mark = ""
    elements: list[str] = []
    for token in _JSON_TOKEN.finditer(text):
        mark = token.group()
        if mark in "[{":
            if mark == "[" and depth == 1 and key_is_data and array_start < 0:
                array_start, element_start = token.start(), token.end()
            depth += 1
        elif mark in "]}":
            depth -= 1
            if depth == 1 and element_start >= 0:
                elements.append(text[element_start : token.start()])
                array_end, element_start = token.end(), -1
        elif mark == "," and depth == 2 and element_start >= 0:
            elements.append(text[element_start : token.start()])
            element_start = token.end()
        if depth == 1:
            key_is_data = mark == ":" and last_mark == '"data"'
            last_mark = mark
    try:
        if array_end < 0:
            raise ValueError
        rest = json.loads(text[:array_start] + "[]" + text[array_end:])
    except (ValueError, RecursionError):
        raise Unreadable("something that is not JSON, or only the beginning of it") from None
    if len(elements) == 1 and not elements[0].strip():
        elements = []
    cut = [element.strip().encode("utf-8", "surrogateescape") for element in elements]
    return _page(content, rest.get("success"), cut, rest.get("additional_data"))
