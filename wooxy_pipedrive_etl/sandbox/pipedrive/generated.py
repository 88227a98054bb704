"""Persons generated on demand, so that an account of any size starts in seconds and needs little memory.

A person has its own head (names, addresses, times, relations), and custom fields in three groups, each with a few
hundred prepared variants. The numbers of variants have no common factor, so no two persons in an account of
realistic size have the same combination.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Final

from . import json_text
from .account import Account
from .fields import CONTACT_SYNC_FIELDS, CustomField
from .json_text import NULL, encode
from .keyset import RowTimes
from .people import LOCALES, Locale
from .rendering import Layout, Person
from .samples import Related, sample_value

PERSONS_PER_ORGANIZATION: Final = 50
_VARIANTS: Final = (499, 503, 509)
_OPTIONAL_VARIANTS: Final = 199
_FILLED_SHARE: Final = 0.7
_FIRST_DAY: Final = 1_736_499_600  # 2025-01-10T09:00:00Z
_LAST_DAY: Final = 1_793_520_000  # 2026-11-01T08:00:00Z
_SAME_SECOND: Final = 5  # bulk imports write several persons in one second

_FIELDS: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    ("Customer number", "varchar_auto", ()),
    ("Department", "varchar", ()),
    ("Account note", "text", ()),
    ("Discount", "double", ()),
    ("Budget", "monetary", ()),
    ("Contract date", "date", ()),
    ("Interests", "set", ("Fishing", "Skiing", "Opera, ballet", "Кіно", "Chess", "料理")),
    ("Tier", "enum", ("Gold", "Silver", "Bronze")),
    ("Account manager", "user", ()),
    ("Partner", "org", ()),
    ("Introduced by", "people", ()),
    ("Assistant's phone", "phone", ()),
    ("Call at", "time", ()),
    ("Visiting hours", "timerange", ()),
    ("Season", "daterange", ()),
    ("Delivery address", "address", ()),
    ("Lead source", "enum", ("Inbound", "Outbound", "Fair", "Referral")),
    ("Newsletter topics", "set", ("Product", "Events", "Offers")),
    ("Credit limit", "monetary", ()),
    ("Score", "double", ()),
    ("Last visit", "date", ()),
    ("Nickname", "varchar", ()),
    ("Language", "enum", ("English", "Suomi", "Українська", "日本語")),
    ("VAT number", "varchar", ()),
    ("Meeting notes", "text", ()),
    ("Price level", "double", ()),
    ("Next review", "date", ()),
    ("Reference", "varchar", ()),
    ("Channel", "enum", ("Shop", "Web", "Partner")),
    ("Satisfaction", "double", ()),
)


def large_account(
    persons: int = 100_000, custom_fields: int = 30, seed: int = 1, *, token: str | None = None
) -> Account:
    """An account with fields, users, organisations, labels, and persons with the ids 1 to `persons`."""
    rng = random.Random(seed)
    account = Account(token=token)
    account.marketing = True
    for name in ("Aino Mäkelä", "Тарас Шевченко", "Emily O'Brien", "佐藤 美咲"):
        account.add_user(name)
    for name in ("Customer", "Hot lead", "Партнер"):
        account.add_label(name)
    for number in range(max(1, persons // PERSONS_PER_ORGANIZATION)):
        locale = rng.choice(LOCALES)
        account.add_organization(f"{rng.choice(locale.last_names)[0]} {number + 1}")
    for round_, (name, field_type, options) in enumerate(islice(cycle(_FIELDS), custom_fields)):
        repeat = round_ // len(_FIELDS)
        account.add_field(f"{name} {repeat + 1}" if repeat else name, field_type, options)
    account.adopt_source(GeneratedPersons(account, persons, rng))
    return account


class GeneratedPersons:
    """The persons 1 to `count` of an account; the random generator's seed determines all values."""

    def __init__(self, account: Account, count: int, rng: random.Random) -> None:
        self._count = count
        self._users = list(account.users)
        self._organizations = list(account.organizations)
        ids = [each.id for each in account.labels]
        self._labels = [b"[]", b"[]", *(b"[%d]" % each for each in ids), encode(ids)]
        self._salt = rng.randrange(1 << 30)
        self._add_times, self._update_times = _times(count, rng)
        self._heads = [_LocaleHead(each) for each in LOCALES]
        days = range(_FIRST_DAY // 86_400, _LAST_DAY // 86_400 + 1)
        self._days = {day: json_text.timestamp(day * 86_400)[:10].encode() for day in days}
        codes = list(account.custom_fields)
        self._number_code = codes[0] if codes else None
        related = Related(self._users, self._organizations, range(1, min(count, 200) + 1))
        share = -(-len(codes[1:]) // len(_VARIANTS))
        self._groups = []
        for at, variants in enumerate(_VARIANTS):
            group = [account.custom_fields[code] for code in codes[1:][at * share : (at + 1) * share]]
            self._groups.append([_variant(group, related, rng) for _ in range(variants)])
        self._known = frozenset(codes)
        self._optional = [_optional(rng) for _ in range(_OPTIONAL_VARIANTS)]
        self._prepared: _Prepared | None = None

    def __contains__(self, person_id: object) -> bool:
        return isinstance(person_id, int) and 1 <= person_id <= self._count

    def ids(self) -> range:
        return range(1, self._count + 1)

    def times(self, person_id: int) -> RowTimes:
        return RowTimes(self._add_times[person_id - 1], self._update_times[person_id - 1])

    def related_id(self, person_id: int, key: str) -> int | None:
        mixed = self._mixed(person_id)
        return self._owner(mixed) if key == "owner_id" else self._organization(mixed)

    def person(self, person_id: int, layout: Layout) -> Person:
        """The person as an object that can be edited."""
        members = json_text.decode(self.plain_json(person_id, layout, ()))
        custom = members.pop("custom_fields") or {}
        # The account adds these itself when it renders the person.
        for key in ("id", "add_time", "update_time", "is_deleted", *CONTACT_SYNC_FIELDS, "ims"):
            members.pop(key, None)
        return Person(
            person_id,
            *self.times(person_id),
            {key: encode(value) for key, value in members.items()},
            {code: encode(value) for code, value in custom.items()},
            dict(self._optional[person_id % _OPTIONAL_VARIANTS]),
        )

    def plain_json(self, person_id: int, layout: Layout, optional: tuple[str, ...]) -> bytes:
        """The same as `person_json` of `person`, in a fraction of the time."""
        prepared = self._prepared
        if prepared is None or prepared.layout is not layout:
            prepared = self._prepared = self._prepare(layout)
        tails = prepared.tails.get(optional)
        if tails is None:
            tails = prepared.tails[optional] = [
                prepared.closing + _members(layout.optional_members(values, optional)) + b"}"
                for values in self._optional
            ]
        first, second, third = prepared.groups
        return b"".join(
            (
                self._head(person_id, prepared.zone),
                prepared.opening,
                prepared.number % person_id if prepared.number else b"",
                first[person_id % _VARIANTS[0]],
                second[person_id % _VARIANTS[1]],
                third[person_id % _VARIANTS[2]],
                tails[person_id % _OPTIONAL_VARIANTS],
            )
        )

    def _head(self, person_id: int, zone: bytes) -> bytes:
        mixed = self._mixed(person_id)
        draw, at = divmod(mixed, len(self._heads))
        head = self._heads[at]
        name, first, last, address = head.names[draw % len(head.names)]
        organization = self._organization(mixed)
        kind = (draw >> 12) % 20
        if kind == 0:
            emails = b"[]"
        elif kind < 4:
            emails = _TWO_EMAILS % (address, person_id, head.domain, address, person_id, head.domain)
        else:
            emails = _EMAIL % (address, person_id, head.domain)
        if kind == 0 or (draw >> 16) % 6:
            number = (person_id * 7919 + self._salt) % head.phone_numbers
            phones = head.phone % (b"work" if kind < 6 else b"mobile", number)
        else:
            phones = b"[]"
        added_day, added_second = divmod(self._add_times[person_id - 1], 86_400)
        updated_day, updated_second = divmod(self._update_times[person_id - 1], 86_400)
        return _HEAD % (
            person_id,
            name,
            first,
            last,
            self._days[added_day],
            _SECONDS[added_second],
            zone,
            self._days[updated_day],
            _SECONDS[updated_second],
            zone,
            self._owner(mixed),
            self._labels[(draw >> 10) % len(self._labels)],
            b"null" if organization is None else b"%d" % organization,
            phones,
            emails,
        )

    def _mixed(self, person_id: int) -> int:
        # Knuth's multiplicative hash gives neighbouring ids different names and relations.
        return (person_id * 2_654_435_761 + self._salt) & 0xFFFFFFFF

    def _owner(self, mixed: int) -> int:
        return self._users[(mixed >> 7) % len(self._users)]

    def _organization(self, mixed: int) -> int | None:
        return None if mixed % 7 == 0 else self._organizations[(mixed >> 4) % len(self._organizations)]

    def _prepare(self, layout: Layout) -> _Prepared:
        codes = [each.code for each in layout.custom_fields]
        own = [code for code in codes if code in self._known]
        opening = b""
        if layout.contact_sync:
            messenger = layout.behaviours.im_key.encode()
            opening = (
                b',"postal_address":null,"notes":null,"%b":[],"birthday":null,"job_title":null' % messenger
            )
        if not codes:
            opening += b',"custom_fields":' + layout.no_custom_fields
            return _Prepared(layout, opening, b"", [[b""] * size for size in _VARIANTS], b"")
        number = b""
        if self._number_code in own:
            number = b',"%b":"C-%%07d"' % self._number_code.encode()
        groups = [
            [
                b"".join([b',"%b":%b' % (code.encode(), variant[code]) for code in own if code in variant])
                for variant in group
            ]
            for group in self._groups
        ]
        later = b"".join(b',"%b":null' % code.encode() for code in codes if code not in self._known)
        # The first custom field must not follow a comma, whichever piece it is in.
        opening += b',"custom_fields":{'
        if number:
            number = number[1:]
        elif own:
            at = next(at for at, group in enumerate(groups) if group[0])
            groups[at] = [text[1:] for text in groups[at]]
        else:
            later = later[1:]
        return _Prepared(layout, opening, number, groups, later + b"}")


@dataclass
class _Prepared:
    """The pieces of a person that depend only on the account's layout and the person's variants."""

    layout: Layout
    opening: bytes
    number: bytes
    groups: list[list[bytes]]
    closing: bytes
    tails: dict[tuple[str, ...], list[bytes]] = field(default_factory=dict)

    @property
    def zone(self) -> bytes:
        return b".000Z" if self.layout.behaviours.milliseconds else b"Z"


class _LocaleHead:
    """The names and numbers of one country as JSON pieces."""

    def __init__(self, locale: Locale) -> None:
        self.names = [
            (encode(f"{first} {last}"), encode(first), encode(last), f"{first_ascii}.{last_ascii}".encode())
            for first, first_ascii in locale.first_names
            for last, last_ascii in locale.last_names
        ]
        self.domain = locale.domain.encode()
        number = b"%b%%0%dd" % (locale.phone_prefix.encode(), locale.phone_digits)
        self.phone = b'[{"label":"%b","value":"' + number + b'","primary":true}]'
        self.phone_numbers = 10**locale.phone_digits


_HEAD: Final = (
    b'{"id":%d,"name":%b,"first_name":%b,"last_name":%b,"add_time":"%bT%b%b","update_time":"%bT%b%b",'
    b'"visible_to":3,"owner_id":%d,"label_ids":%b,"org_id":%b,"is_deleted":false,"picture_id":null,'
    b'"phones":%b,"emails":%b'
)
_EMAIL: Final = b'[{"label":"work","value":"%b.%d@%b","primary":true}]'
_TWO_EMAILS: Final = (
    b'[{"label":"home","value":"home.%b.%d@%b","primary":false},'
    b'{"label":"work","value":"%b.%d@%b","primary":true}]'
)
_SECONDS: Final = [b"%02d:%02d:%02d" % (at // 3600, at // 60 % 60, at % 60) for at in range(86_400)]


def _times(count: int, rng: random.Random) -> tuple[array[int], array[int]]:
    """The add_times, which rise with the ids, and the update_times; three of four persons were edited later."""
    step = (_LAST_DAY - _FIRST_DAY) / max(count, 1)
    added = array("q", (_FIRST_DAY + int(at // _SAME_SECOND * _SAME_SECOND * step) for at in range(count)))
    draws = array("d", (rng.random() for _ in range(count)))
    edited = (
        moment + int((_LAST_DAY - moment) * (draw - 0.25) / 0.75) if draw > 0.25 else moment
        for moment, draw in zip(added, draws, strict=True)
    )
    return added, array("q", edited)


def _variant(group: Sequence[CustomField], related: Related, rng: random.Random) -> dict[str, bytes]:
    locale = rng.choice(LOCALES)
    return {
        each.code: encode(sample_value(each, locale, related, rng)) if rng.random() < _FILLED_SHARE else NULL
        for each in group
    }


def _optional(rng: random.Random) -> dict[str, bytes]:
    """The optional fields of one variant; any others have their defaults."""
    incoming = json_text.timestamp(rng.randrange(_FIRST_DAY, _LAST_DAY))
    return {
        "marketing_status": encode(rng.choices(("no_consent", "subscribed", "unsubscribed"), (6, 3, 1))[0]),
        "open_deals_count": encode(rng.randrange(5)),
        "email_messages_count": encode(rng.randrange(200)),
        "activities_count": encode(rng.randrange(30)),
        "last_incoming_mail_time": encode(rng.choice((None, incoming))),
    }


def _members(values: dict[str, bytes]) -> bytes:
    return b"".join(b',"%b":%b' % (key.encode(), value) for key, value in values.items())
