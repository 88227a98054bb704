"""Plausible values for every field type, drawn from a seeded random generator."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from .fields import CustomField
from .people import Locale

_WORDS = (
    "annual", "renewal", "visited the fair", "asked for a quote", "prefers e-mail", "знижка", "näyte",
    "見積り", "calls back", "key account", "très intéressé", "on hold",
)  # fmt: skip
_CURRENCIES = ("EUR", "USD", "GBP", "UAH", "JPY", "SEK")
_TIMEZONES = (
    (318, "Europe/London"),
    (311, "Europe/Helsinki"),
    (374, "Asia/Tokyo"),
    (147, "America/New_York"),
)


@dataclass(frozen=True)
class Related:
    """Ids for values of the types user, org and people."""

    users: Sequence[int]
    organizations: Sequence[int]
    people: Sequence[int]


def sample_value(custom: CustomField, locale: Locale, related: Related, rng: random.Random) -> Any:
    """A v2 value for the field; null only if there is nothing to refer to."""
    kind = custom.field_type
    if kind in ("varchar", "varchar_auto"):
        return f"{rng.choice(_WORDS)} {rng.randrange(1000)}"
    if kind == "text":
        return "\n".join(rng.choices(_WORDS, k=rng.randint(1, 5)))
    if kind == "double":
        return rng.choice(
            (rng.randrange(1000), Decimal(rng.randrange(100_000)) / 100, Decimal("0.30000000000000004"))
        )
    if kind == "monetary":
        return {
            "value": rng.choice((1200, rng.randrange(100_000), Decimal("99.90"))),
            "currency": rng.choice(_CURRENCIES),
        }
    if kind == "date":
        return sample_date(rng)
    if kind == "daterange":
        start, end = sorted((sample_date(rng), sample_date(rng)))
        return {"value": start, "until": end}
    if kind == "time":
        zone_id, zone = rng.choice(_TIMEZONES)
        return {"value": _time(rng, 8, 12), "timezone_id": zone_id, "timezone_name": zone}
    if kind == "timerange":
        zone_id, zone = rng.choice(_TIMEZONES)
        return {
            "value": _time(rng, 8, 12),
            "until": _time(rng, 13, 20),
            "timezone_id": zone_id,
            "timezone_name": zone,
        }
    if kind == "enum":
        return rng.choice(custom.options).id if custom.options else None
    if kind == "set":
        chosen = rng.sample(custom.options, k=rng.randint(1, len(custom.options))) if custom.options else []
        return [each.id for each in chosen] or None
    if kind == "phone":
        return sample_phone(locale, rng.randrange(1_000_000))
    if kind == "address":
        address = sample_address(locale, rng)
        return {**address, "formatted_address": f"{address['value']}, {locale.country}"}
    ids = {"user": related.users, "org": related.organizations, "people": related.people}[kind]
    return rng.choice(ids) if ids else None


def sample_date(rng: random.Random) -> str:
    return f"{rng.randint(2019, 2027)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"


def sample_phone(locale: Locale, number: int) -> str:
    """An E.164 number; distinct for every `number` below 10 ** phone_digits."""
    return f"{locale.phone_prefix}{number % 10**locale.phone_digits:0{locale.phone_digits}d}"


def sample_address(locale: Locale, rng: random.Random) -> dict[str, Any]:
    """A postal address; custom address fields also have `formatted_address`."""
    number = str(rng.randint(1, 200))
    return {
        "value": f"{locale.street} {number}, {locale.city}",
        "street_number": number,
        "route": locale.street,
        "subpremise": rng.choice((None, "", "11", "A 4")),
        "sublocality": None,
        "locality": locale.city,
        "admin_area_level_1": None,
        "admin_area_level_2": None,
        "country": locale.country,
        "postal_code": f"{rng.randrange(100_000):05d}",
    }


def _time(rng: random.Random, first_hour: int, last_hour: int) -> str:
    return f"{rng.randint(first_hour, last_hour):02d}:{rng.choice((0, 15, 30, 45)):02d}:00"
