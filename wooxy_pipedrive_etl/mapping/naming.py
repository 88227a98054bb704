"""Names of custom Wooxy variables that are suggested for a label."""

from __future__ import annotations

import re
from collections.abc import Collection

from anyascii import anyascii

from wooxy_pipedrive_etl.custom_variables import MAX_LENGTH, is_reserved

_APOSTROPHES = re.compile("['`’ʼ\"]")
_WORDS = re.compile("[A-Za-z0-9]+")


def lower_camel_case(label: str) -> str:
    """`Budget/Currency` → `budgetCurrency`, `ДАТА` → `data`; "" if nothing of the label can be written this way."""
    words: list[str] = _WORDS.findall(_APOSTROPHES.sub("", anyascii(label)))
    if not words:
        return ""
    # Words all in capitals are emphasis or abbreviations; capitals inside other words are the user's own.
    words = [word.lower() if word.isupper() else word for word in words]
    return words[0][0].lower() + words[0][1:] + "".join(word[0].upper() + word[1:] for word in words[1:])


def suggest_name(label: str, taken: Collection[str]) -> str:
    """A valid name for a label that is not among `taken` (names in lower case) and not reserved."""
    name = lower_camel_case(label)
    if not name or not name[0].isalpha():
        name = "field" + name
    candidate, number = name[:MAX_LENGTH], 1
    while candidate.lower() in taken or is_reserved(candidate):
        number += 1
        candidate = name[: MAX_LENGTH - len(str(number))] + str(number)
    return candidate
