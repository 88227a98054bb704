"""Small worlds for the tests of the mapping."""

from __future__ import annotations

from typing import Any

import pandas as pd
from hypothesis import settings

from wooxy_pipedrive_etl.contact_list.contact_list import ListVariable

# The same examples in every run, however busy the machine.
STEADY = settings(max_examples=40, deadline=None, derandomize=True)

BUILT_INS = [
    ("userId", "text", "String", True),
    ("email", "email", "String", True),
    ("phoneNumber", "phone", "String", True),
    ("name", "text", "String", True),
    ("firstName", "text", "String", True),
    ("lastName", "text", "String", True),
    ("active", "flag", "String", False),
    ("smsSubscribe", "flag", "String", False),
    ("emailSubscribe", "flag", "String", True),
    ("contactBirthday", "date", "DateTime", True),
    ("contactLanguage", "language", "String", True),
    ("contactGender", "gender", "String", True),
    ("contactTimezone", "timezone", "String", True),
    ("contactScore", "integer", "String", True),
    ("avatarLink", "text", "String", True),
    ("createdAt", "datetime", "DateTime", False),
]


def list_variables(*custom: tuple[str, str]) -> list[ListVariable]:
    """The list's variables: the built-in ones and the given custom ones (name, format)."""
    built_in = [
        ListVariable(name, column_type, row_format, True, targetable, False)
        for name, column_type, row_format, targetable in BUILT_INS
    ]
    own = [
        ListVariable(name, "datetime" if row_format == "DateTime" else "text", row_format, False, True, True)
        for name, row_format in custom
    ]
    return built_in + own


def persons(*raws: str, first_id: int = 1) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "person_id": pd.Series(range(first_id, first_id + len(raws)), dtype="int64"),
            "version": pd.Series([1_700_000_000_000_000] * len(raws), dtype="int64"),
            "raw": pd.Series(list(raws), dtype=object),
        }
    )


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [dict(zip(frame.columns, row, strict=True)) for row in frame.itertuples(index=False)]
