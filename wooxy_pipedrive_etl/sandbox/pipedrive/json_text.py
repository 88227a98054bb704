"""JSON as Pipedrive writes it: compact, in UTF-8, and with the original digits of every number."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

NULL = b"null"


@dataclass(frozen=True)
class RawJson:
    """JSON text that is served unchanged, such as ``RawJson("1.50")`` or ``RawJson("1e400")``."""

    text: str


def encode(value: Any) -> bytes:
    """The value as JSON; Decimal and RawJson keep their digits, lone surrogates are escaped."""
    if value is None:
        return NULL
    if isinstance(value, RawJson):
        return encode_text(value.text)
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueError(f"{value} is not a JSON number.")
        return str(value).encode()
    if isinstance(value, str):
        try:
            return json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            return json.dumps(value).encode()
    if isinstance(value, Mapping):
        return encode_object({str(key): encode(item) for key, item in value.items()})
    if isinstance(value, Sequence):
        return b"[" + b",".join(encode(item) for item in value) + b"]"
    return json.dumps(value, allow_nan=False).encode()


def encode_text(text: str) -> bytes:
    """The bytes of a text that is already JSON; a lone surrogate becomes invalid UTF-8."""
    return text.encode("utf-8", "surrogatepass")


def encode_object(members: Mapping[str, bytes]) -> bytes:
    """A JSON object; the members are already JSON and keep their order."""
    return b"{" + b",".join([encode(key) + b":" + item for key, item in members.items()]) + b"}"


def decode(text: bytes) -> Any:
    """The value of a JSON text, decimals as Decimal."""
    return json.loads(text, parse_float=Decimal)


def epoch(moment: datetime) -> int:
    """Whole seconds since 1970, as Pipedrive stores times."""
    return int(moment.timestamp())


def timestamp(seconds: int, milliseconds: bool = False) -> str:
    """RFC 3339 in UTC; the API writes whole seconds, but its documentation also shows ``.000Z``."""
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return text + (".000Z" if milliseconds else "Z")
