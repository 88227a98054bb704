"""The choices offered when an account is connected with a domain."""

from __future__ import annotations

import difflib
from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple

import phonenumbers

from wooxy_pipedrive_etl.errors import InvalidSetting
from wooxy_pipedrive_etl.store import Store, connections
from wooxy_pipedrive_etl.store.connections import ConnectionRecord
from wooxy_pipedrive_etl.store.database import reading

from .accounts import domain_of


def names_taken(store: Store) -> list[str]:
    with reading(store.engine) as db:
        return [record.name for record in connections.list_connections(db)]


class Region(NamedTuple):
    """A default region for phone numbers: its code (ISO 3166-1, two letters), the country's name, and its calling
    code."""

    code: str
    name: str
    calling_code: int


# Regions with phone numbers that are not in ISO 3166-1.
_OTHER_REGIONS = {"AC": "Ascension Island", "TA": "Tristan da Cunha", "XK": "Kosovo"}
# How similar two domains must be for one to be a probable typo: one letter in fifteen.
_ALIKE = 0.9


@lru_cache(maxsize=1)
def regions() -> list[Region]:
    """All regions that numbers without a country code may be read as, sorted by name. The names are those of the tz
    database."""
    table = files("tzdata").joinpath("zoneinfo/iso3166.tab").read_text("utf-8")
    named = dict(line.split("\t") for line in table.splitlines() if line and not line.startswith("#"))
    return sorted(
        (
            Region(code, (named | _OTHER_REGIONS)[code], phonenumbers.country_code_for_region(code))
            for code in phonenumbers.SUPPORTED_REGIONS
        ),
        key=lambda region: region.name,
    )


def similar_domain(store: Store, typed: str) -> str | None:
    """A domain with a list of which the typed one (which has no list) could be a typo."""
    try:
        domain = domain_of(typed)
    except InvalidSetting:
        return None
    with reading(store.engine) as db:
        known = connections.domains(db)
    if domain in known:
        return None
    return next(iter(difflib.get_close_matches(domain, known, n=1, cutoff=_ALIKE)), None)


def free_domains(store: Store) -> list[str]:
    """Domains that have a list that no connection feeds."""
    with reading(store.engine) as db:
        return connections.domains_without_connection(db)


def disconnected(store: Store, company_id: int) -> list[ConnectionRecord]:
    """The company's connections that would resume if given their name and domain."""
    with reading(store.engine) as db:
        return [
            record
            for record in connections.list_connections(db)
            if record.state == "disconnected" and record.company_id == company_id
        ]
