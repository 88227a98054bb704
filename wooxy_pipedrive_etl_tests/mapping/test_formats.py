"""What each column type accepts from a text, and what it refuses."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wooxy_pipedrive_etl.mapping.formats import FORMATS, Dropped, to_email, to_phone
from wooxy_pipedrive_etl_tests.mapping.helpers import STEADY

LONG_LABEL = "b" * 63


def _reason(value: Any) -> Any:
    return value.reason if isinstance(value, Dropped) else value


@pytest.mark.parametrize(
    ("text", "email"),
    [
        ("Maija.Virtanen@Example.FI", "maija.virtanen@example.fi"),
        (" a@example.fi\u00a0", "a@example.fi"),
        ("o'neil+news_1@sub-domain.example.co.uk", "o'neil+news_1@sub-domain.example.co.uk"),
        ("用户@例子.广告", "用户@xn--fsqu00a.xn--4rr70v"),
        ("name@пример.рф", "name@xn--e1afmkfd.xn--p1ai"),
        ("a@例子。广告", "a@xn--fsqu00a.xn--4rr70v"),
        ("Mu\u0308ller@Bu\u0308cher.example", "müller@xn--bcher-kva.example"),
        ("a@BÜCHER.example", "a@xn--bcher-kva.example"),
        ("a@" + "ü" * 60 + ".fi", None),
        ("a@bü_cher.fi", None),
        ("a@☕.\u200dfi", None),
        ("a@xn--bcher-kva.example", "a@xn--bcher-kva.example"),
        ("x" * 64 + "@example.fi", "x" * 64 + "@example.fi"),
        (f"a@{LONG_LABEL}.fi", f"a@{LONG_LABEL}.fi"),
        ("a--b@c--d.fi", "a--b@c--d.fi"),
        ("x" * 65 + "@example.fi", None),
        (f"a@{LONG_LABEL}b.fi", None),
        ("a@" + ".".join([LONG_LABEL] * 4) + ".fi", None),
        ("a b@example.fi", None),
        ("a@exam ple.fi", None),
        ("a\u200b@example.fi", "a@example.fi"),
        ("\ufeffa@example\u2060.fi\u200e", "a@example.fi"),
        ("a@b@example.fi", None),
        ("example.fi", None),
        ("@example.fi", None),
        ("a@", None),
        (".a@example.fi", None),
        ("a.@example.fi", None),
        ("-a@example.fi", None),
        ("a-@example.fi", None),
        ("a..b@example.fi", None),
        ("a@.example.fi", None),
        ("a@example.fi.", None),
        ("a@-example.fi", None),
        ("a@example-.fi", None),
        ("a@example..fi", None),
        ("a@localhost", None),
        ("a@127.0.0.1", None),
        ("a@[127.0.0.1]", None),
        ("a@ex_ample.fi", None),
        ("Maija <a@example.fi>", "a@example.fi"),
        ('"Virtanen, Maija" <A@example.fi>', "a@example.fi"),
        ("Virtanen, Maija <a@example.fi>", "a@example.fi"),
        ("<mailto:a@example.fi>", "a@example.fi"),
        ("Maija a@example.fi", None),
        ("Maija <a@example.fi> b@example.fi", None),
        ("<a@example.fi", None),
        ("a@example.fi, b@example.fi", "a@example.fi"),
        ("none; b@example.fi", "b@example.fi"),
        ("a@exam\nb@example.fi", "b@example.fi"),
        ("a@example.fi;", "a@example.fi"),
        ("a@example.fi b@example.fi", None),
        ("john doe@example.org", None),
        ('"a@example.fi', None),
        ("mailto:a@example.fi", "a@example.fi"),
        ("MAILTO:A@example.fi?subject=Hello", "a@example.fi"),
        ('"a"@example.fi', None),
        ("a@example.fi\n", "a@example.fi"),
        ("a@exam\nple.fi", None),
    ],
)
def test_email(text: str, email: str | None) -> None:
    assert _reason(to_email(text)) == (email or "invalid_email")


@pytest.mark.parametrize(
    ("text", "phone"),
    [
        ("+358401112233", "+358401112233"),
        ("+358 40 111 2233", "+358401112233"),
        ("+358\u00a040\u2009111\u202f22\u300033", "+358401112233"),
        ("\u202a+358 40 111 2233\u202c", "+358401112233"),
        ("+358-40.111-2233", "+358401112233"),
        ("+358 (40) 111\u20112233", "+358401112233"),
        ("(+358) 40 [111] 2233", "+358401112233"),
        ("00358 40 1112233", "+358401112233"),
        ("00 358 40 1112233", "+358401112233"),
        ("＋３５８ 401112233", "+358401112233"),
        ("+٣٥٨401112233", "+358401112233"),
        ("+1 (202) 555-0143", "+12025550143"),
        ("+44 (0)20 7946 0958", "+442079460958"),
        ("0044 (0) 20 7946 0958", "+442079460958"),
        ("+4402079460958", "+442079460958"),
        ("+39 (0)6 1234 5678", "+390612345678"),
        ("+39 06 1234 5678", "+390612345678"),
        ("+49 (0)89 1234567", "+49891234567"),
        ("+6834123", "+6834123"),
        ("+123456789012345", "+123456789012345"),
        ("+1234567890123456", None),
        ("+12345", None),
        ("+0358401112233", None),
        ("++358401112233", None),
        ("+358+401112233", None),
        ("040 111 2233", None),
        ("358401112233", None),
        ("+358 40 111 2233 x5", None),
        ("+358 40 111 2233 ext. 5", None),
        ("+358 40 111 2233;5", None),
        ("+358 40 111 2233, 12345#", None),
        ("+1 202 555 0143, ext. 5", None),
        ("+1 202 555 0143,,,w5", None),
        ("+7 495 123-45-67, доб. 12", None),
        ("tel:+358401112233;ext=5", None),
        ("+358 40/1112233", None),
        ("030/1234567", None),
        ("+358 40 111 2233, +358 40 111 2234", "+358401112233"),
        ("+358 40 111 2233 / +358 40 111 2234", "+358401112233"),
        ("none; 00358 40 111 2233", "+358401112233"),
        ("040 111 2233\n+358 40 111 2234", "+358401112234"),
        ("+358 40 111 2233 / 34", None),
        ("+1-800-FLOWERS", None),
        ("tel:+358401112233", "+358401112233"),
        ("TEL: +358-40-111-2233", "+358401112233"),
        ("tel:7042;phone-context=+1-914-555", None),
        ("\u200e+358 40\u2060 111 2233\ufeff", "+358401112233"),
        ("call me", None),
        ("+", None),
        ("00", None),
        ("()", None),
    ],
)
def test_phone_without_a_default_region(text: str, phone: str | None) -> None:
    assert _reason(to_phone(text)) == (phone or "invalid_phone")


@pytest.mark.parametrize(
    ("text", "region", "phone"),
    [
        ("040 111 2233", "FI", "+358401112233"),
        ("040 111 2233", "fi", "+358401112233"),
        ("(0)40 111 2233", "FI", "+358401112233"),
        ("020 7946 0958", "GB", "+442079460958"),
        ("06 1234 5678", "IT", "+390612345678"),
        ("(202) 555-0143", "US", "+12025550143"),
        ("011 358 40 1112233", "US", "+358401112233"),
        ("+358401112233", "US", "+358401112233"),
        ("00358401112233", "US", "+358401112233"),
        ("5", "FI", None),
        ("555-0143", "US", None),
        ("040 111 2233", "XX", None),
        ("040 111 2233 x4", "FI", None),
        ("040 111 2233; 040 111 2234", "FI", "+358401112233"),
        ("040 1112233/040 1112234", "FI", "+358401112233"),
        # An area code and the rest; neither alone is a number.
        ("030/1234567", "DE", None),
        ("tel:7042;phone-context=+1-914-555", "US", None),
    ],
)
def test_phone_with_a_default_region(text: str, region: str, phone: str | None) -> None:
    assert _reason(to_phone(text, region)) == (phone or "invalid_phone")


DATE_TIMES = [
    ("2026-02-28", "2026-02-28 00:00:00"),
    ("2026-02-28T10:20:30Z", "2026-02-28 10:20:30"),
    ("2026-02-28 10:20:30", "2026-02-28 10:20:30"),
    ("2026-02-28T10:20:30", "2026-02-28 10:20:30"),
    ("2026-02-28 10:20:30Z", "2026-02-28 10:20:30"),
    ("2026-02-28t10:20:30z", "2026-02-28 10:20:30"),
    ("2026-02-28 10:20", "2026-02-28 10:20:00"),
    ("2026-02-28T10:20:30.999999999Z", "2026-02-28 10:20:30"),
    ("2026-02-28T23:20:30-05:00", "2026-03-01 04:20:30"),
    ("2026-03-01T01:00:00+02:00", "2026-02-28 23:00:00"),
    ("0001-01-01", "0001-01-01 00:00:00"),
    ("0001-01-01T00:00:00Z", "0001-01-01 00:00:00"),
    ("9999-12-31 23:59:59", "9999-12-31 23:59:59"),
]
NO_DATE_TIMES = [
    *("2026-02-29", "2026-13-01", "2026-1-2", "20260228", "2026-W05-2", "2026-059", "28.02.2026"),
    *("02/28/2026", "28/02/2026", "Feb 28, 2026", "2026-02", "2026", "10:20:30", "tomorrow", "1767225600"),
    *("2026-02-28T24:00:00Z", "2026-02-28T10:60:00Z", "2026-02-28T10:20:60Z", "2026-W05-2T08:15:30Z"),
    *("0000-01-01", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "2026-02-28T10:20:30+25:00"),
    *("2026-02-28T10:20:30+02:75", "10000-01-01", "-2026-02-28", "٢٠٢٦-02-28", "2026-02-28 10:20:30 EET"),
]


@pytest.mark.parametrize(("text", "moment"), DATE_TIMES)
def test_datetime(text: str, moment: str) -> None:
    assert FORMATS["datetime"](text) == moment


@pytest.mark.parametrize("column_type", ["datetime", "date"])
@pytest.mark.parametrize("text", NO_DATE_TIMES)
def test_no_datetime(text: str, column_type: str) -> None:
    assert _reason(FORMATS[column_type](text)) == "invalid_datetime"


@pytest.mark.parametrize(
    ("column_type", "text", "value"),
    [
        ("date", "1990-05-17", "1990-05-17"),
        ("date", "1990-05-17T00:00:00+03:00", "1990-05-17"),
        ("integer", "42", 42),
        ("integer", "-7", -7),
        ("integer", "12.0", 12),
        ("integer", "12.5", "invalid_value"),
        ("integer", "1,200", "invalid_value"),
        ("integer", "9223372036854775807", 2**63 - 1),
        ("integer", "9223372036854775808", "invalid_value"),
        ("integer", "9" * 400, "invalid_value"),
        ("integer", "lots", "invalid_value"),
        ("flag", "true", True),
        ("flag", "False", False),
        ("flag", "perhaps", "invalid_value"),
        ("language", "EN", "en"),
        ("language", "en-GB", "en"),
        ("language", "zh_Hant_TW", "zh"),
        ("language", "English", "invalid_value"),
        ("language", "xx", "invalid_value"),
        ("language", "eng", "invalid_value"),
        ("gender", "1", 1),
        ("gender", "M", 1),
        ("gender", "Female", 2),
        ("gender", "unknown", 0),
        ("gender", "Undefined", 0),
        ("gender", "n/a", 9),
        ("gender", "Not Applicable", 9),
        ("gender", "3", "invalid_value"),
        ("timezone", "Europe/Helsinki", "Europe/Helsinki"),
        ("timezone", "europe/helsinki", "Europe/Helsinki"),
        ("timezone", "UTC", "UTC"),
        ("timezone", "America/New York", "America/New_York"),
        ("timezone", "Helsinki", "invalid_value"),
        ("timezone", "localtime", "invalid_value"),
        ("text", "anything", "anything"),
    ],
)
def test_built_in_types(column_type: str, text: str, value: Any) -> None:
    result = _reason(FORMATS[column_type](text))
    assert result == value
    assert type(result) is type(value)


TEXTS = (
    st.text()
    | st.text(alphabet="0123456789+()[]. -\u00a0x٣")
    | st.from_regex(r"\+?[0-9 ()]{5,18}", fullmatch=True)
)
EMAILS = (
    st.builds("{}@{}.{}".format, st.text(min_size=1), st.text(min_size=1), st.text(min_size=1)) | st.emails()
)


@settings(STEADY, max_examples=150)
@given(TEXTS, st.sampled_from([None, "FI", "GB", "IT", "US"]))
def test_phones_are_e164_and_stable(text: str, region: str | None) -> None:
    phone = to_phone(text, region)
    if isinstance(phone, str):
        assert re.fullmatch(r"\+[1-9][0-9]{6,14}", phone)
        assert to_phone(phone, region) == to_phone(phone) == phone


HALVES = st.text(alphabet="ab@.fi", min_size=1)
MARKS = st.sampled_from(["", "\u200b", "\ufeff", "\u200e", "\u2068"])


@settings(STEADY, max_examples=150)
@given(
    st.sampled_from(["a.b@example.fi", "o'neil+x@sub.example.org", "name@xn--e1afmkfd.xn--p1ai"]),
    st.sampled_from(
        ["{}", "mailto:{}", "Somebody <{}>", '"Doe, John" <mailto:{}>', "no; {}", "{}, b@b.fi", "\n{}"]
    ),
    MARKS,
    st.booleans(),
)
def test_decorated_addresses_are_normalised(address: str, dress: str, mark: str, is_upper: bool) -> None:
    dressed = dress.format(address.upper() if is_upper else address)
    assert to_email(f"{mark}{dressed}{mark}".replace("@", f"{mark}@")) == address


@settings(STEADY, max_examples=150)
@given(
    st.sampled_from(["+358401112233", "+442079460958"]),
    st.sampled_from(["{}", "tel:{}", "{}; +12025550143", "none, {}", "{} / +12025550143", "{}\n"]),
    st.sampled_from(["", " ", "-", "\u2011", "\u00a0", "."]),
    MARKS,
)
def test_decorated_numbers_are_normalised(number: str, dress: str, between: str, mark: str) -> None:
    spaced = between.join([number[:3], number[3:6], number[6:]])
    assert to_phone(mark + dress.format(spaced)) == number


@settings(STEADY, max_examples=150)
@given(HALVES, st.sampled_from([" ", "\t", "\u00a0"]), HALVES)
def test_an_address_containing_blanks_is_dropped(left: str, blank: str, right: str) -> None:
    assert isinstance(to_email(left + blank + right), Dropped)


@settings(STEADY, max_examples=150)
@given(EMAILS | st.text())
def test_normalised_emails_are_valid_and_stable(text: str) -> None:
    email = to_email(text)
    if isinstance(email, str):
        assert email.count("@") == 1
        assert not re.search(r"\s", email)
        assert email == email.lower() == to_email(email)
        assert email.partition("@")[2].isascii()


@settings(STEADY, max_examples=150)
@given(st.sampled_from(sorted(FORMATS)), st.text() | TEXTS)
def test_no_text_makes_a_format_fail(column_type: str, text: str) -> None:
    value = FORMATS[column_type](text)
    assert isinstance(value, str | int | bool | Dropped)


@settings(STEADY, max_examples=150)
@given(st.datetimes())
def test_isoformat_is_always_read(moment: Any) -> None:
    assert FORMATS["datetime"](moment.isoformat()) == moment.replace(microsecond=0).isoformat(" ")
