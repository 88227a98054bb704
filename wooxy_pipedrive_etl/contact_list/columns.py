"""The variables of a Default Contact List: Wooxy's built-in ones, custom ones, and their column types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from wooxy_pipedrive_etl.custom_variables import CUSTOM_TYPES as CUSTOM_TYPES
from wooxy_pipedrive_etl.custom_variables import name_problem

from .errors import ListError

IDENTIFIERS = ("userId", "email", "phoneNumber")
CHANNELS = (
    "smsSubscribe",
    "viberSubscribe",
    "emailSubscribe",
    "telegramSubscribe",
    "desktopWebPushSubscribe",
    "mobileWebPushSubscribe",
)


@dataclass(frozen=True)
class Variable:
    """A column of the list. `targetable`: a matching may fill it (`emailSubscribe` only from `marketing_status`)."""

    name: str
    type: str
    format: str
    targetable: bool


def _built_in(name: str, type: str = "text", *, targetable: bool = True) -> Variable:
    return Variable(name, type, "DateTime" if type in ("date", "datetime") else "String", targetable)


BUILT_IN: tuple[Variable, ...] = (
    _built_in("userId"),
    _built_in("email", "email"),
    _built_in("phoneNumber", "phone"),
    _built_in("name"),
    _built_in("firstName"),
    _built_in("lastName"),
    _built_in("active", "flag", targetable=False),
    *(_built_in(channel, "flag", targetable=channel == "emailSubscribe") for channel in CHANNELS),
    _built_in("contactBirthday", "date"),
    _built_in("contactLanguage", "language"),
    _built_in("contactGender", "gender"),
    _built_in("contactTimezone", "timezone"),
    _built_in("contactScore", "integer"),
    _built_in("avatarLink"),
    _built_in("facebookLink"),
    _built_in("instagramLink"),
    _built_in("linkedInLink"),
    _built_in("twitterLink"),
    _built_in("tiktokLink"),
    _built_in("sourceId"),
    _built_in("sourceName"),
    _built_in("customerSourceId"),
    _built_in("cacValue"),
    _built_in("cacCurrency"),
    _built_in("createdAt", "datetime", targetable=False),
    _built_in("updatedAt", "datetime", targetable=False),
)

# PostgreSQL allows 1,600 columns and SQLite 2,000. This is below both, so that every list fits into either database.
MAX_COLUMNS = 1500


def check_custom_name(name: str) -> None:
    """Raises ListError if no custom variable may have this name."""
    problem = name_problem(name)
    if problem is not None:
        raise ListError(problem)


# Without fractions of a second, so that SQLite's text compares and sorts like PostgreSQL's timestamps.
_DATETIME = sa.DateTime().with_variant(
    sqlite.DATETIME(  # type: ignore[no-untyped-call]
        storage_format="%(year)04d-%(month)02d-%(day)02d %(hour)02d:%(minute)02d:%(second)02d",
        regexp=r"(\d+)-(\d+)-(\d+) (\d+):(\d+):(\d+)",
    ),
    "sqlite",
)

_SQL_TYPES: dict[str, sa.types.TypeEngine[Any]] = {
    "datetime": _DATETIME,
    "date": sa.Date(),
    "flag": sa.Boolean(),
    "integer": sa.BigInteger(),
    "gender": sa.SmallInteger(),
}


def sql_type(variable_type: str) -> sa.types.TypeEngine[Any]:
    return _SQL_TYPES.get(variable_type, sa.Text())


def storage(variable_type: str) -> str:
    """How the database stores a variable type: text, datetime, date, flag or integer."""
    return {"gender": "integer"}.get(variable_type, variable_type if variable_type in _SQL_TYPES else "text")
