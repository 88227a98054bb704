"""A small, realistic account: people from many countries, every field type, and the awkward values of real data."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from .account import Account
from .people import LOCALES, Locale
from .samples import Related, sample_address, sample_date, sample_phone, sample_value

_FIRST: Final = datetime(2025, 1, 10, 9, 0, tzinfo=UTC)
_SPAN_SECONDS: Final = 650 * 86_400
_FILLED_SHARE: Final = 0.6
_PERSONS_PER_ORGANIZATION: Final = 6

_USERS: Final = ("Aino Mäkelä", "Тарас Шевченко", "Emily O'Brien", "佐藤 美咲")
_LABELS: Final = (("Customer", "green"), ("Hot lead", "red"), ("Партнер", "blue"), ("VIP, gold", "yellow"))
_JOB_TITLES: Final = ("Buyer", "CEO", "Керівник відділу", "Toimitusjohtaja", "部長", "Head of R&D", "")

_FIELDS: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    ("Customer number", "varchar_auto", ()),
    ("Department", "varchar", ()),
    ("Примітка", "text", ()),
    ("Discount %", "double", ()),
    ("Budget", "monetary", ()),
    # A separate field with the same label as a part of the one above.
    ("Budget/Currency", "varchar", ()),
    ("Contract date", "date", ()),
    ("Interests", "set", ("Fishing", "Skiing", "Opera, ballet", "Кіно", "料理", "Chess")),
    ("Customer tier", "enum", ("Gold", "Silver", "Bronze")),
    # Names are not unique in Pipedrive.
    ("Region", "enum", ("North", "South", "North")),
    ("Region", "varchar", ()),
    ("Account manager", "user", ()),
    ("Partner company", "org", ()),
    ("Introduced by", "people", ()),
    ("Assistant's phone", "phone", ()),
    ("Best time to call", "time", ()),
    ("Visiting hours", "timerange", ()),
    ("Season", "daterange", ()),
    ("Delivery address", "address", ()),
    # Names that collide with the list's variables, or that can't be used as variable names unchanged.
    ("Email", "varchar", ()),
    ("Contact language", "enum", ("English", "Suomi", "Українська", "日本語")),
    ("2nd visit", "date", ()),
    ("🎁 Gift?", "set", ("🍷 Wine", "🍫 Chocolate", 'A "surprise"')),
    ('"; DROP TABLE default_contact_list; --', "varchar", ()),
    ("  ", "varchar", ()),
    ("Long " + "name " * 49, "varchar", ()),
)


def seeded_account(persons: int = 300, seed: int = 1, *, token: str | None = None) -> Account:
    """An account with `persons` persons visible to the token, plus a few deleted, merged and hidden ones."""
    rng = random.Random(seed)
    account = Account(token=token)
    account.contact_sync = account.marketing = True
    clock = account.clock
    moments = _Moments(rng, persons + 20)
    account.clock = moments
    _fill(account, persons, rng, moments)
    account.clock = clock
    return account


def _fill(account: Account, persons: int, rng: random.Random, moments: _Moments) -> None:
    users = [account.token_owner_id, *(account.add_user(name) for name in _USERS)]
    users.append(account.add_user("Gone Colleague", active=False))
    labels = [account.add_label(name, color) for name, color in _LABELS]
    organizations = [
        account.add_organization(_organization_name(rng, at))
        for at in range(max(3, persons // _PERSONS_PER_ORGANIZATION))
    ]
    codes = [account.add_field(name, field_type, options) for name, field_type, options in _FIELDS]
    people: list[int] = []
    related = Related(users, organizations, people)
    awkward = list(_awkward_persons(account, codes))
    for at in range(persons):
        locale = LOCALES[at % len(LOCALES)]
        values = _person_values(account, at, locale, related, labels, rng)
        # From the fourth on, every other person is awkward, until all awkward ones are used.
        if at >= 3 and at % 2 and at // 2 <= len(awkward):
            values = _overlaid(values, awkward[at // 2 - 1])
        moments.next()
        people.append(account.create_person(validate=False, **values))
    _edit_some(account, people, rng, moments)
    _remove_some(account, rng, moments)
    # Persons still refer to this option and organisation.
    account.delete_option(codes[8], account.custom_fields[codes[8]].options[2].id)
    account.delete_organization(organizations[-1])


class _Moments:
    """A clock that `next` advances; sometimes two persons share a second, as after an import."""

    def __init__(self, rng: random.Random, steps: int) -> None:
        self._rng = rng
        # There are a third as many edits as persons, and the average step is half this long.
        self._step = _SPAN_SECONDS / steps * 1.5
        self._now = _FIRST

    def __call__(self) -> datetime:
        return self._now

    def next(self) -> None:
        if self._rng.random() > 0.1:
            self._now += timedelta(seconds=int(self._rng.uniform(1, self._step)))


def _organization_name(rng: random.Random, at: int) -> str:
    locale = LOCALES[at % len(LOCALES)]
    name = rng.choice(locale.last_names)[0]
    # Duplicate names are common, and so are names that need quoting.
    return rng.choice((f"{name} Oy", f"{name} & Sons", f'"{name}", Ltd.', name, "Example"))


def _person_values(
    account: Account, at: int, locale: Locale, related: Related, labels: list[int], rng: random.Random
) -> dict[str, Any]:
    first, first_ascii = rng.choice(locale.first_names)
    last, last_ascii = rng.choice(locale.last_names)
    emails = [_point("work", f"{first_ascii}.{last_ascii}.{at}@{locale.domain}", True)]
    if rng.random() < 0.2:
        emails.append(_point("home", f"{last_ascii}{at}@example.org", False))
    phones = [_point(rng.choice(("mobile", "work")), sample_phone(locale, at * 7919), True)]
    if rng.random() < 0.2:
        phones.append(_point("other", sample_phone(locale, at * 7919 + 500_000), False))
    return {
        "first_name": first,
        "last_name": last,
        "emails": emails,
        "phones": phones if rng.random() < 0.85 else [],
        "owner_id": rng.choice(related.users),
        "org_id": rng.choice((None, rng.choice(related.organizations))),
        "label_ids": rng.sample(labels, k=rng.choice((0, 0, 1, 2))),
        "visible_to": rng.choice((3, 7)),
        "birthday": rng.choice((None, f"{rng.randint(1940, 2005)}{sample_date(rng)[4:]}")),
        "job_title": rng.choice((None, *_JOB_TITLES)),
        "notes": rng.choice((None, None, "Met at the fair.\nCalls back.")),
        "postal_address": rng.choice((None, sample_address(locale, rng))),
        "im": [{"value": f"{first_ascii}{at}", "primary": True, "label": "skype"}]
        if rng.random() < 0.1
        else [],
        "marketing_status": rng.choices(
            ("no_consent", "subscribed", "unsubscribed", "archived"), (5, 4, 2, 1)
        )[0],
        "open_deals_count": rng.randrange(4),
        "email_messages_count": rng.randrange(90),
        "custom_fields": {
            code: sample_value(custom, locale, related, rng) if rng.random() < _FILLED_SHARE else None
            for code, custom in account.custom_fields.items()
        },
    }


def _point(label: str, value: str, primary: bool) -> dict[str, Any]:
    return {"label": label, "value": value, "primary": primary}


def _overlaid(values: dict[str, Any], overlay: dict[str, Any]) -> dict[str, Any]:
    overlay = dict(overlay)
    custom = {**values["custom_fields"], **overlay.pop("custom_fields", {})}
    if "name" in overlay:
        values = {key: value for key, value in values.items() if key not in ("first_name", "last_name")}
    return {**values, **overlay, "custom_fields": custom}


def _awkward_persons(account: Account, codes: list[str]) -> list[dict[str, Any]]:
    """Values that replace an ordinary person's. All are legal in Pipedrive or were seen in real accounts."""
    by_name = {account.custom_fields[code].name: code for code in codes}
    number, department, note = by_name["Customer number"], by_name["Department"], by_name["Примітка"]
    discount, budget, contract = by_name["Discount %"], by_name["Budget"], by_name["Contract date"]
    season, call, address = by_name["Season"], by_name["Best time to call"], by_name["Delivery address"]
    night = {"value": "22:00:00", "until": "06:00:00", "timezone_id": 318, "timezone_name": None}
    visiting, interests = by_name["Visiting hours"], by_name["Interests"]
    fishing, skiing = (each.id for each in account.custom_fields[interests].options[:2])
    return [
        {"emails": [], "phones": []},
        {"emails": [], "phones": [_point("mobile", "+358 (40) 765-43.21", True)]},
        {"emails": [], "phones": [_point("work", "00358407654322", True)]},
        {"phones": [_point("mobile", "040 765 4323", True)]},
        {"emails": [], "phones": [_point("work", "ask the switchboard", True)]},
        {"emails": [_point("work", "not an address", True)]},
        {"emails": [_point("work", "broken@", True), _point("home", "second.choice@example.org", False)]},
        {"emails": [_point("", "no.label@example.org", True)]},
        {"emails": [{"value": "label.missing@example.org", "primary": True}]},
        {"emails": [_point("home", "first@example.org", False), _point("work", "primary.second@example.org", True)]},
        {"emails": [_point("work", "primary.a@example.org", True), _point("home", "primary.b@example.org", True)]},
        {"emails": [_point("work", "  Shared.Address@Example.ORG ", True)], "phones": []},
        {"emails": [_point("work", "shared.address@example.org", True)], "phones": []},
        {"emails": [_point("work", "phone.a@example.org", True)], "phones": [_point("work", "+358 40 1112233", True)]},
        {"emails": [_point("work", "phone.b@example.org", True)], "phones": [_point("home", "+358401112233", True)]},
        {"name": "Cher"},
        {"name": ""},
        {"name": "  Extra   Spaces  "},
        {"name": "=HYPERLINK(\"https://example.com\")"},
        {"name": "Robert'); DROP TABLE persons;--"},
        {"name": "<b>Bold</b> & Co"},
        {"name": "👩‍👩‍👧 Family Emoji"},
        {"name": "Zero\u200bWidth Join\u200der"},
        {"name": "\u202eRight To Left\u202c"},
        {"name": "N\u0303 Decomposed e\u0301"},
        {"name": "Very " + "Long " * 50 + "Name"},
        {"birthday": "0000-00-00", "custom_fields": {contract: "-0001-11-30"}},
        {"birthday": "1904-02-29", "custom_fields": {contract: "2026-02-29"}},
        {"custom_fields": {discount: 9007199254740993, budget: {"value": Decimal("0.10"), "currency": "EUR"}}},
        {"custom_fields": {discount: Decimal("1E+21"), budget: {"value": 0, "currency": "JPY"}}},
        {"custom_fields": {discount: Decimal("-0.0000001"), budget: {"value": None, "currency": None}}},
        {"custom_fields": {number: "", department: "   ", note: "\r\n"}},
        {"custom_fields": {number: "007", note: "line one\r\nline two\ttabbed\\back"}},
        {"custom_fields": {season: {"value": "2026-06-01", "until": None}, call: {"value": "09:00:00"}}},
        {"custom_fields": {visiting: night}},
        {"custom_fields": {address: {"value": "Somewhere"}}, "postal_address": {"value": "", "country": ""}},
        {"custom_fields": {interests: [skiing, fishing]}, "update_time": None},
        {"custom_fields": {interests: [987_654_321]}},
        {"label_ids": [4, 999], "org_id": 999_999},
    ]  # fmt: skip


def _edit_some(account: Account, people: list[int], rng: random.Random, moments: _Moments) -> None:
    for person_id in rng.sample(people, k=len(people) // 3):
        moments.next()
        account.edit_person(person_id, job_title=rng.choice(_JOB_TITLES))


def _remove_some(account: Account, rng: random.Random, moments: _Moments) -> None:
    removals: list[Callable[[int], None]] = [
        account.delete_person,
        account.delete_person,
        account.hide_person,
        account.hide_person,
    ]
    for at, remove in enumerate(removals):
        moments.next()
        remove(account.create_person(name=f"Left Us {at}", emails=[f"left.us.{at}@example.org"]))
    moments.next()
    kept = account.visible_person_ids()
    if kept:
        double = account.create_person(name="A Double", emails=["double@example.org"])
        account.merge_persons(rng.choice(kept[:3]), double)
