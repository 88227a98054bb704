"""From a value as text to what a Wooxy column takes.

Each function takes a non-empty text without surrounding spaces, and returns the value, or a `Dropped` with the reason.
There is one function for each type of column; `FORMATS` names them.
"""

from __future__ import annotations

import re
import unicodedata
import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache, partial

import phonenumbers

from wooxy_pipedrive_etl.mapping.invisible import without_invisible


@dataclass(frozen=True, slots=True)
class Dropped:
    """A value, or a part of one, that was left out: the reason code, a description for people, and what is kept."""

    reason: str
    message: str
    kept: str | None = None


INVALID_DATETIME = Dropped("invalid_datetime", "is not an ISO date or date-time")
INVALID_DATE = Dropped("invalid_datetime", "is not an ISO date")
INVALID_EMAIL = Dropped("invalid_email", "is not a valid e-mail address")
INVALID_PHONE = Dropped("invalid_phone", "is not a phone number with a country code")
INVALID_INTEGER = Dropped("invalid_value", "is not a whole number of at most 64 bits")
INVALID_FLAG = Dropped("invalid_value", "is neither true nor false")
INVALID_LANGUAGE = Dropped("invalid_value", "is not an ISO 639-1 language code")
INVALID_GENDER = Dropped("invalid_value", "is none of 0, 1, 2, 9 and their aliases")
INVALID_TIMEZONE = Dropped("invalid_value", "is not an IANA time zone")

Formatted = str | int | bool | Dropped

# Dates and date-times ------------------------------------------------------------------------------------

_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_DATE_TIME = re.compile(
    rf"({_DATE})[Tt ]([0-9]{{2}}:[0-9]{{2}})(?::([0-9]{{2}})(?:[.,][0-9]+)?)?"
    r" ?(?:([Zz])|([+-])([0-9]{2}):?([0-9]{2}))?"
)
ZERO_DATES = ("0000-00-00", "-0001-11-30")
"""Pipedrive's dates that stand for no date."""
_ZERO_DATE = re.compile(rf"(?:{'|'.join(ZERO_DATES)})(?:[Tt ][0-9:.,]*[Zz]?)?")


def is_zero_date(text: str) -> bool:
    """Whether it is one of `ZERO_DATES`, alone or with a time."""
    return text.startswith(ZERO_DATES) and _ZERO_DATE.fullmatch(text) is not None


def to_datetime(text: str) -> str | Dropped:
    """`YYYY-MM-DD HH:MM:SS` in UTC from an ISO date (midnight) or date-time (UTC unless it has an offset)."""
    length = len(text)
    try:
        if length == 10 and text[4:8:3] == "--":
            date.fromisoformat(text)
            return text + " 00:00:00"
        # The usual spellings, recognised by the positions of their separators; newer Pythons would accept 24:00 as
        # well.
        if (
            (length == 19 or (length == 20 and text[19] == "Z"))
            and text[4:17:3] in ("--T::", "-- ::")
            and text[11:13] != "24"
        ):
            datetime.fromisoformat(text)
            return text if length == 19 and text[10] == " " else f"{text[:10]} {text[11:19]}"
        return _any_datetime(text)
    except (ValueError, OverflowError):
        return INVALID_DATETIME


def to_datetimes(texts: list[str]) -> list[str] | None:
    """The results of `to_datetime`, if all texts have the form `YYYY-MM-DDTHH:MM:SSZ`; otherwise None."""
    lines = "\n".join([*texts, ""])
    separators = [lines[at::21] for at in (4, 7, 10, 13, 16, 19)]
    # Newer Pythons would accept 24:00 as well.
    if separators != [separator * len(texts) for separator in "--T::Z"] or "T24" in lines:
        return None
    try:
        list(map(datetime.fromisoformat, texts))
    except ValueError:
        return None
    return lines.replace("T", " ").replace("Z", "").splitlines()


def _any_datetime(text: str) -> str | Dropped:
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        return INVALID_DATETIME
    day, minutes, seconds, _, sign, hours_off, minutes_off = match.groups()
    if minutes.startswith("24") or int(minutes_off or 0) > 59:
        return INVALID_DATETIME
    zone = f"{sign}{hours_off}:{minutes_off}" if sign else "+00:00"
    moment = datetime.fromisoformat(f"{day}T{minutes}:{seconds or '00'}{zone}")
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ")


def to_date(text: str) -> str | Dropped:
    """`YYYY-MM-DD` from an ISO date or date-time: the day as written, whatever the zone."""
    moment = to_datetime(text)
    return INVALID_DATE if isinstance(moment, Dropped) else text[:10]


# Identifiers ---------------------------------------------------------------------------------------------

# What stands between several in one value.
_SEPARATORS = r",;\r\n\x85\u2028\u2029"
_SEPARATOR = re.compile(f"[{_SEPARATORS}]")
_PLAIN_EMAIL = re.compile(
    r"[a-z0-9_+]+(?:[.-][a-z0-9_+]+)*@(?:[a-z0-9]+(?:-+[a-z0-9]+)*\.)+[a-z][a-z0-9]*(?:-+[a-z0-9]+)*"
)
_LOCAL_SYMBOLS = frozenset("!#$%&'*+-/=?^_`{|}~.")


def to_email(text: str) -> str | Dropped:
    """The first valid address in lower case: one @, local part ≤ 64, labels ≤ 63, no spaces, no leading or trailing dot
    or hyphen.

    A domain in another script is returned in its ASCII form (UTS 46, IDNA 2008). Accepts `mailto:`, a display name with
    the address in angle brackets, several addresses separated by commas, semicolons or line breaks, and invisible
    characters. A space never separates addresses.
    """
    email = text.strip().lower()
    # In an address this short, no part can be too long.
    if len(email) <= 64 and _PLAIN_EMAIL.fullmatch(email):
        return email
    text = without_invisible(text)
    is_several = _SEPARATOR.search(text) is not None and text.count('"') % 2 == 0
    for part in _EMAIL_PARTS.findall(text) if is_several else [text]:
        address = _address(part.strip())
        if address is not None:
            return address
    return INVALID_EMAIL


# The parts between commas, semicolons and line breaks, ignoring those in quotes.
_EMAIL_PARTS = re.compile(rf'(?:"(?:[^"\\]|\\.)*"|[^"{_SEPARATORS}])+')
_IN_BRACKETS = re.compile(r"[^<>]*<([^<>]*)>")


def _address(text: str) -> str | None:
    """The single address in a part of a value, or None."""
    in_brackets = _IN_BRACKETS.fullmatch(text) if text.endswith(">") else None
    if in_brackets:
        text = in_brackets[1].strip()
    if text[:7].lower() == "mailto:":
        text = text[7:].partition("?")[0].strip()
    # One address can be typed with composed or decomposed letters.
    email = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).lower())
    local, at, domain = email.partition("@")
    if not at or not _is_local_part(local):
        return None
    ascii_domain = domain if domain.isascii() else _ascii_domain(domain)
    return f"{local}@{ascii_domain}" if ascii_domain is not None and _is_domain(ascii_domain) else None


def _ascii_domain(domain: str) -> str | None:
    # It has large tables, and few addresses need them.
    import idna

    try:
        return idna.encode(domain, uts46=True).decode()
    except (idna.IDNAError, UnicodeError):
        return None


def _is_local_part(local: str) -> bool:
    return (
        0 < len(local) <= 64
        and local[0] not in ".-"
        and local[-1] not in ".-"
        and ".." not in local
        and all(c.isalnum() or c in _LOCAL_SYMBOLS if c.isascii() else _is_visible(c) for c in local)
    )


def _is_domain(domain: str) -> bool:
    labels = domain.split(".")
    return len(labels) > 1 and len(domain) <= 253 and not labels[-1].isdigit() and all(map(_is_label, labels))


def _is_label(label: str) -> bool:
    return (
        0 < len(label) <= 63
        and label[0] != "-"
        and label[-1] != "-"
        and label.isascii()
        and all(c.isalnum() or c == "-" for c in label)
    )


def _is_visible(character: str) -> bool:
    """Neither a space nor a control, format or surrogate character."""
    return unicodedata.category(character)[0] not in "CZ"


_PLAIN_PHONE = re.compile(r"\+[1-9][0-9]{6,14}")
_SPACES = dict.fromkeys(map(ord, " -.\u00a0"))
_BRACKETED_ZERO = re.compile(r"\(0\)|\[0\]")


def to_phone(text: str, default_region: str | None = None) -> str | Dropped:
    """E.164 from the first valid number: one with a country code or, given a default region (ISO 3166-1), a national
    one.

    Accepts spaces, brackets, dots, hyphens, `tel:`, a leading `00`, a trunk zero in brackets, and several numbers
    separated by commas, semicolons, slashes or line breaks. A number with an extension is not a person's own; anything
    else (letters, a slash within a number) is not a number.
    """
    if _PLAIN_PHONE.fullmatch(text):
        return _settle_trunk_zero(text)
    spaceless = text.translate(_SPACES)
    if _PLAIN_PHONE.fullmatch(spaceless):
        return _settle_trunk_zero(spaceless)
    for part in _phone_parts(text):
        number = _one_phone(part, default_region)
        if not isinstance(number, Dropped):
            return number
    return INVALID_PHONE


# Text after a number and a comma or semicolon that is not a number itself: an extension, dialled after a pause or
# named.
_EXTENSION = re.compile(
    r"[,;]\s*(?:(?:ext(?:ension|n)?|x|int|доб|вн|#|[*pw])\W*)?[0-9]{1,6}\s*#?\s*(?:[,;\r\n]|$)", re.IGNORECASE
)


def _phone_parts(text: str) -> list[str]:
    """The parts that may be a number; empty if one of them has an extension."""
    lower = text.lower()
    is_local = "phone-context" in lower and not lower.removeprefix("tel:").lstrip().startswith("+")
    if is_local or _EXTENSION.search(text):
        return []
    parts: list[str] = []
    for part in _SEPARATOR.split(text):
        alternatives = part.split("/")
        # A slash may also separate an area code from the rest.
        are_numbers = all(sum(map(str.isdecimal, each)) >= 7 for each in alternatives)
        parts += alternatives if are_numbers else [part]
    return parts


def _one_phone(text: str, default_region: str | None) -> str | Dropped:
    text = without_invisible(text).strip()
    if text[:4].lower() == "tel:":
        text = text[4:]
    compact = "".join(_phone_character(c) for c in text)
    bracketed_zero = _BRACKETED_ZERO.search(compact)
    number = re.sub(r"[()\[\]]", "", compact)
    if number.startswith("00"):
        number = "+" + number[2:]
    if number.startswith("+"):
        if bracketed_zero:
            number = _without_bracketed_zero(compact, number)
        return _settle_trunk_zero(number) if _PLAIN_PHONE.fullmatch(number) else INVALID_PHONE
    if default_region is None or not re.fullmatch(r"[0-9]{3,20}", number):
        return INVALID_PHONE
    return _national_number(number, default_region.upper())


def _phone_character(character: str) -> str:
    """One character of a number in its simplest form; empty for characters that only make it readable.

    Format characters (category Cf) appear when numbers are copied from a phone's address book.
    """
    if character in "0123456789+()[]" or character in "（）＋":
        return unicodedata.normalize("NFKC", character)
    category = unicodedata.category(character)
    if category in ("Zs", "Cf", "Pd") or character in ".\t\n\r\u2212":
        return ""
    return str(unicodedata.decimal(character)) if category == "Nd" else character


def _without_bracketed_zero(compact: str, number: str) -> str:
    """`+44(0)20…` means 020 inside the country and +4420 outside; in a few countries the zero stays."""
    before, _, after = compact.partition(_BRACKETED_ZERO.search(compact)[0])  # type: ignore[index]
    before, after = (re.sub(r"[()\[\]]", "", part) for part in (before, after))
    before = "+" + before[2:] if before.startswith("00") else before
    without = before + after
    return number if _is_valid(number) and not _is_valid(without) else without


def _settle_trunk_zero(number: str) -> str | Dropped:
    """`+44020…` is `+4420…` with the trunk zero left in by mistake, if only the latter is a valid number."""
    while (at := _zero_after_country_code(number[:5])) and not _is_valid(number):
        without = number[:at] + number[at + 1 :]
        if not _is_valid(without):
            break
        number = without
    return number


@lru_cache(maxsize=10_000)
def _zero_after_country_code(beginning: str) -> int | None:
    """The position of the zero in a number with this beginning: `+` and four digits decide."""
    for end in (2, 3, 4):
        if int(beginning[1:end]) in phonenumbers.COUNTRY_CODE_TO_REGION_CODE:
            return end if beginning[end : end + 1] == "0" else None
    return None


def _is_valid(number: str) -> bool:
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return False
    # The parser itself drops a trunk zero; only a spelling that it leaves unchanged counts.
    return phonenumbers.is_valid_number(parsed) and _e164(parsed) == number


def _national_number(number: str, region: str) -> str | Dropped:
    try:
        parsed = phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException:
        return INVALID_PHONE
    possible = phonenumbers.is_possible_number_with_reason(parsed)
    e164 = _e164(parsed)
    if possible != phonenumbers.ValidationResult.IS_POSSIBLE or not _PLAIN_PHONE.fullmatch(e164):
        return INVALID_PHONE
    return _settle_trunk_zero(e164)


def _e164(parsed: phonenumbers.PhoneNumber) -> str:
    return str(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164))


# Built-in variables with a type of their own -------------------------------------------------------------

_INTEGER = re.compile(r"[+-]?[0-9]{1,400}(?:\.0{0,400})?")
_FLAGS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
# Wooxy's aliases for its four codes.
_GENDER_ALIASES = {
    0: ("0", "unknown", "undefined", "empty"),
    1: ("1", "m", "male"),
    2: ("2", "f", "female"),
    9: ("9", "n/a", "na", "not applicable"),
}
_GENDERS = {alias: code for code, aliases in _GENDER_ALIASES.items() for alias in aliases}
_ISO_639_1 = """
aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz
ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is
it iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt
my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm
sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu
"""
_LANGUAGES = frozenset(_ISO_639_1.split())
_LANGUAGE_TAG = re.compile(r"([A-Za-z]{2})(?:[-_][A-Za-z0-9]{1,8})*")


def to_text(text: str) -> str:
    return text


def to_integer(text: str) -> int | Dropped:
    if not _INTEGER.fullmatch(text):
        return INVALID_INTEGER
    number = int(Decimal(text))
    return number if -(2**63) <= number < 2**63 else INVALID_INTEGER


def to_flag(text: str) -> bool | Dropped:
    flag = _FLAGS.get(text.lower())
    return INVALID_FLAG if flag is None else flag


def to_gender(text: str) -> int | Dropped:
    gender = _GENDERS.get(text.lower())
    return INVALID_GENDER if gender is None else gender


def to_language(text: str) -> str | Dropped:
    """`en`, also from `EN` and `en-GB`."""
    tag = _LANGUAGE_TAG.fullmatch(text)
    language = tag[1].lower() if tag else ""
    return language if language in _LANGUAGES else INVALID_LANGUAGE


def to_timezone(text: str) -> str | Dropped:
    """The IANA name in its official spelling."""
    return _timezones().get(text.lower().replace(" ", "_"), INVALID_TIMEZONE)


@lru_cache(maxsize=1)
def _timezones() -> dict[str, str]:
    # Two names in the machine's zone files are not time zones.
    names = zoneinfo.available_timezones() - {"localtime", "Factory"}
    return {name.lower(): name for name in sorted(names)}


FORMATS: dict[str, Callable[[str], Formatted]] = {
    "text": to_text,
    "datetime": to_datetime,
    "date": to_date,
    "email": to_email,
    "phone": to_phone,
    "integer": to_integer,
    "flag": to_flag,
    "gender": to_gender,
    "language": to_language,
    "timezone": to_timezone,
}


def formatter(column_type: str, default_region: str | None) -> Callable[[str], Formatted]:
    """The function for a type of column. Raises KeyError for a type that the list does not have."""
    if column_type == "phone" and default_region is not None:
        return partial(to_phone, default_region=default_region)
    return FORMATS[column_type]
