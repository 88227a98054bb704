"""One table for all field types: raw v2 JSON on the left, what is stored on the right, for both formats.

The unit test and the end-to-end test (HTTP, both databases) run the same cases.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wooxy_pipedrive_etl.person_fields import PersonField

NAMES = {
    "user": {9001: "Liisa Korhonen"},
    "org": {55: "Virtanen Oy"},
    "person": {77: "Ümit Öztürk"},
}
COLOURS = [{"id": 31, "label": "Gold"}, {"id": 32, "label": "Silver"}, {"id": 33, "label": " Bronze "}]
DOWNWARDS = [{"id": number, "label": f"Option {number}"} for number in range(10, 0, -1)]
CODES = [{"id": "subscribed", "label": "Subscribed"}, {"id": "no_consent", "label": "No consent"}]


@dataclass(frozen=True)
class Stored:
    """What a column holds: None is empty; with a reason, an issue tells why (the value may be kept in part)."""

    value: str | None
    reason: str | None = None


@dataclass(frozen=True)
class ValueCase:
    """A field as the catalogue has it, one of its values as JSON text, and what each format of one part stores.

    `record_key` is where the record has the value: a key of `custom_fields`, or of the record itself.
    """

    name: str
    field: PersonField
    record_key: str
    raw: str
    part: str | None
    string: Stored
    datetime: Stored

    @property
    def key(self) -> str:
        return self.record_key if self.part is None else f"{self.record_key}/{self.part}"


def field(
    code: str, field_type: str, *, name: str = "A field", custom: bool = True, options: Any = None
) -> PersonField:
    return PersonField(code, name, field_type, custom, False, options)


# The sixteen that users can create, and some that only system fields have today.
CREATABLE_TYPES = [
    *("varchar", "varchar_auto", "text", "phone", "double", "monetary", "date", "daterange"),
    *("time", "timerange", "enum", "set", "user", "org", "people", "address"),
]
CUSTOM_TYPES = [*CREATABLE_TYPES, "int", "boolean", "json", "varchar_options", "status", "billing_frequency"]
CUSTOM_CODES = {field_type: f"{number:040x}" for number, field_type in enumerate(CUSTOM_TYPES, start=10)}

_NOT_A_DATE = "invalid_datetime"


def custom(
    field_type: str,
    raw: str,
    string: str | None,
    *,
    part: str | None = None,
    reason: str | None = None,
    datetime: str | None = None,
    options: Any = None,
) -> ValueCase:
    """A case of a custom field. DateTime drops any text that is not a date, so cases need not say so."""
    if options is None and field_type in ("enum", "set"):
        options = COLOURS
    return ValueCase(
        name=f"{field_type}{'/' + part if part else ''}: {raw if len(raw) < 60 else raw[:60] + '…'}",
        field=field(CUSTOM_CODES[field_type], field_type, options=options),
        record_key=CUSTOM_CODES[field_type],
        raw=raw,
        part=part,
        string=Stored(string, reason),
        datetime=_as_datetime(string, reason, datetime),
    )


def system(
    catalogue_code: str,
    field_type: str,
    raw: str,
    string: str | None,
    *,
    key: str | None = None,
    part: str | None = None,
    reason: str | None = None,
    datetime: str | None = None,
    options: Any = None,
) -> ValueCase:
    """A case of a system field; `key` if the record spells it differently from the catalogue."""
    return ValueCase(
        name=f"{catalogue_code}{'/' + part if part else ''}: {raw if len(raw) < 60 else raw[:60] + '…'}",
        field=field(catalogue_code, field_type, custom=False, options=options),
        record_key=key or catalogue_code,
        raw=raw,
        part=part,
        string=Stored(string, reason),
        datetime=_as_datetime(string, reason, datetime),
    )


def _as_datetime(string: str | None, reason: str | None, datetime: str | None) -> Stored:
    if datetime is not None:
        return Stored(datetime, reason)
    return Stored(None, reason if string is None else _NOT_A_DATE)


_MONEY = '{"value":1200.50,"currency":"EUR"}'
_RANGE = '{"value":"2026-12-01","until":"2026-12-31"}'
_TIME = '{"value":"09:00:00","timezone_id":318,"timezone_name":"Europe/London"}'
_TIMES = '{"value":"09:00:00","until":"11:30:00","timezone_id":318,"timezone_name":"Europe/London"}'
_ADDRESS = (
    '{"value":"530 Sample Ave, New York","street_number":"530","route":"Sample Avenue","subpremise":"11",'
    '"sublocality":"Manhattan","locality":"New York","admin_area_level_1":"NY","admin_area_level_2":null,'
    '"country":"United States","postal_code":"10036","formatted_address":"530 Sample Ave, NY 10036, USA"}'
)
_EMAILS = (
    '[{"value":"home@example.fi","primary":false,"label":"home"},'
    '{"value":" Work@Example.fi ","primary":true,"label":"Work"},'
    '{"value":"second@example.fi","primary":false,"label":"work"}]'
)
_BAD_PRIMARY = (
    '[{"value":"nonsense","primary":true,"label":"work"},'
    '{"value":"ok@example.fi","primary":false,"label":""}]'
)
_PHONES = (
    '[{"value":"call me","primary":true,"label":"mobile"},{"value":"+358 40 111 2233","label":"mobile"},'
    '{"value":"040 999","label":"other"}]'
)

EMPTIES = ("null", '""', '"  \\t\\n "', "[]", "{}", '"0000-00-00"', '"-0001-11-30"')

CASES: list[ValueCase] = [
    # Every spelling of empty, for every type that users can create and for those only the system has.
    *(
        custom(field_type, raw, None, part=part)
        for field_type in CUSTOM_TYPES
        for part in ([None] if not field_type.endswith("range") else ["start", "end"])
        for raw in EMPTIES
        if not (
            raw.startswith('"') and "-" in raw and field_type not in ("varchar", "text", "date", "daterange")
        )
    ),
    # Text
    custom("varchar", '"ACME-77"', "ACME-77"),
    custom("varchar", '"  spaces around  "', "spaces around"),
    custom("varchar", '"2026-01-31"', "2026-01-31", datetime="2026-01-31 00:00:00"),
    custom(
        "varchar",
        '"2026-01-31T23:30:00.250-02:00"',
        "2026-01-31T23:30:00.250-02:00",
        datetime="2026-02-01 01:30:00",
    ),
    custom("varchar", '"2026-01-31 23:30"', "2026-01-31 23:30", datetime="2026-01-31 23:30:00"),
    custom("varchar", '"31.01.2026"', "31.01.2026"),
    custom("varchar", '"01/02/2026"', "01/02/2026"),
    custom("varchar", '"see 0000-00-00"', "see 0000-00-00"),
    custom("varchar", '"0000-00-00 00:00:00"', None),
    custom("varchar", '"Ñandú 漢字 🎈"', "Ñandú 漢字 🎈"),
    custom("varchar", '"\\ud83c\\udf88"', "🎈"),
    custom("varchar", '"half \\ud83c"', None, reason="invalid_value"),
    custom("varchar", '"nul \\u0000"', None, reason="invalid_value"),
    custom("varchar", "0", "0"),
    custom("varchar", "1.50", "1.50"),
    custom("varchar", "true", "true"),
    custom("varchar", '{"a":1}', None, reason="odd_shape"),
    custom("varchar", '["a"]', None, reason="odd_shape"),
    custom("text", '"long text\\nwith lines "', "long text\nwith lines"),
    custom("varchar_auto", '"auto"', "auto"),
    custom("phone", '" +358 40 111 2233 "', "+358 40 111 2233"),
    custom("phone", '[{"value":"1","primary":true}]', None, reason="odd_shape"),
    custom("json", '{"b": [1, 2.50, null], "a": "ä"}', '{"b":[1,2.50,null],"a":"ä"}'),
    custom("json", '" text "', "text"),
    custom("json", "[1, 2]", "[1,2]"),
    custom("status", '"open"', "open"),
    custom("varchar_options", '"no_consent"', "No consent", options=CODES),
    custom("varchar_options", '"other"', None, reason="unknown_option", options=CODES),
    custom("varchar_options", '"free"', "free"),
    # Numbers
    custom("double", "12.5", "12.5"),
    custom("double", "12.50", "12.50"),
    custom("double", "0", "0"),
    custom("double", "-3", "-3"),
    custom("double", "1e3", "1000"),
    custom("double", "1.25E-7", "0.000000125"),
    custom("double", "0.30000000000000004", "0.30000000000000004"),
    custom("double", "9007199254740993", "9007199254740993"),
    custom("double", "123456789012345678901234567890.5", "123456789012345678901234567890.5"),
    custom("double", '" 12.50 "', "12.50"),
    custom("double", '"1e2"', "100"),
    custom("double", '"1,200"', None, reason="invalid_value"),
    custom("double", '"twelve"', None, reason="invalid_value"),
    custom("double", "1e400", None, reason="invalid_value"),
    custom("double", "1e999999999", None, reason="invalid_value"),
    custom("double", "1e99999999999999999999", None, reason="invalid_value"),
    custom("double", "-1e-999999999", None, reason="invalid_value"),
    custom("double", "9" * 401, None, reason="invalid_value"),
    custom("double", "9" * 400, "9" * 400),
    custom("double", "true", None, reason="odd_shape"),
    custom("double", "[1]", None, reason="odd_shape"),
    custom("int", "42", "42"),
    custom("boolean", "true", "true"),
    custom("boolean", "false", "false"),
    custom("boolean", "0", "false"),
    custom("boolean", '"1"', "true"),
    custom("boolean", '"maybe"', None, reason="invalid_value"),
    custom("boolean", "[true]", None, reason="odd_shape"),
    # Money
    custom("monetary", _MONEY, "1200.50"),
    custom("monetary", _MONEY, "EUR", part="currency"),
    custom("monetary", '{"value":0,"currency":"EUR"}', "0"),
    custom("monetary", '{"value":null,"currency":"EUR"}', None),
    custom("monetary", '{"value":null,"currency":"EUR"}', "EUR", part="currency"),
    custom("monetary", '{"value":5}', None, part="currency"),
    custom("monetary", "7.10", "7.10"),
    custom("monetary", "7.10", None, part="currency"),
    custom("monetary", '{"value":{"x":1},"currency":"EUR"}', None, reason="odd_shape"),
    custom("monetary", "[1]", None, reason="odd_shape"),
    # Dates and times
    custom("date", '"2026-12-24"', "2026-12-24", datetime="2026-12-24 00:00:00"),
    custom("date", '"2024-02-29"', "2024-02-29", datetime="2024-02-29 00:00:00"),
    custom("date", '"2026-02-29"', "2026-02-29"),
    custom("date", '"0001-01-01"', "0001-01-01", datetime="0001-01-01 00:00:00"),
    custom("date", '"9999-12-31"', "9999-12-31", datetime="9999-12-31 00:00:00"),
    custom("date", '"2026-12-24T10:00:00Z"', "2026-12-24 10:00:00", datetime="2026-12-24 10:00:00"),
    custom("date", '"0000-00-00T00:00:00Z"', None),
    custom("date", "20261224", None, reason="odd_shape"),
    custom("date", "0", None, reason="odd_shape"),
    custom("daterange", _RANGE, "2026-12-01", part="start", datetime="2026-12-01 00:00:00"),
    custom("daterange", _RANGE, "2026-12-31", part="end", datetime="2026-12-31 00:00:00"),
    custom("daterange", '{"value":"2026-12-01","until":null}', None, part="end"),
    custom("daterange", '{"value":"0000-00-00","until":"2026-02-30"}', None, part="start"),
    custom("daterange", '{"value":"0000-00-00","until":"2026-02-30"}', "2026-02-30", part="end"),
    custom("daterange", "[1]", None, part="start", reason="odd_shape"),
    custom("time", _TIME, "09:00:00"),
    custom("time", _TIME, "Europe/London", part="timezone"),
    custom("time", '{"value":"9:05","timezone_id":318}', "09:05:00"),
    custom("time", '{"value":"9:05","timezone_id":318}', None, part="timezone"),
    custom("time", '"17:45"', "17:45:00"),
    custom("time", '"25:00:00"', None, reason="invalid_value"),
    custom("time", "900", None, reason="odd_shape"),
    custom("timerange", _TIMES, "09:00:00", part="start"),
    custom("timerange", _TIMES, "11:30:00", part="end"),
    custom("timerange", _TIMES, "Europe/London", part="timezone"),
    # Options
    custom("enum", "31", "Gold"),
    custom("enum", '"32"', "Silver"),
    custom("enum", "33", "Bronze"),
    custom("enum", "99", None, reason="unknown_option"),
    custom("enum", '{"id":31,"label":"Gold"}', "Gold"),
    custom("enum", '{"id":99,"label":"Known to the record"}', "Known to the record"),
    custom("enum", "[31]", None, reason="odd_shape"),
    custom(
        "enum", "31", "Gone", options=[{"id": 30, "label": "Here"}, {"id": 31, "label": "Gone", "gone": True}]
    ),
    custom("set", "[33,31]", "Gold, Bronze"),
    custom("set", "[31]", "Gold"),
    custom("set", "[2,9]", "Option 9, Option 2", options=DOWNWARDS),
    custom("set", '["32",31,31]', "Gold, Silver"),
    custom("set", '[{"id":32,"label":"Silver"},{"id":31,"label":"Gold"}]', "Gold, Silver"),
    custom("set", '"32,31"', "Gold, Silver"),
    custom("set", "[99]", None, reason="unknown_option"),
    custom("set", "[99,32]", "Silver", reason="unknown_option"),
    custom("set", "[[31],32]", "Silver", reason="odd_shape"),
    # Names
    custom("user", "9001", "Liisa Korhonen"),
    custom("user", '{"id":9001,"name":"Another"}', "Liisa Korhonen"),
    custom("user", "9999", None, reason="invalid_value"),
    custom("user", "true", None, reason="odd_shape"),
    custom("org", "55", "Virtanen Oy"),
    custom("org", '{"value":56,"name":"Only here"}', "Only here"),
    custom("org", '"55"', "Virtanen Oy"),
    custom("people", "77", "Ümit Öztürk"),
    custom("people", "[77]", None, reason="odd_shape"),
    # Addresses
    custom("address", _ADDRESS, "530 Sample Ave, New York"),
    *(
        custom("address", _ADDRESS, value, part=part)
        for part, value in {
            "street_number": "530",
            "route": "Sample Avenue",
            "subpremise": "11",
            "sublocality": "Manhattan",
            "locality": "New York",
            "admin_area_level_1": "NY",
            "admin_area_level_2": None,
            "country": "United States",
            "postal_code": "10036",
            "formatted_address": "530 Sample Ave, NY 10036, USA",
        }.items()
    ),
    custom("address", '"Plain street 1"', "Plain street 1"),
    custom("address", '"Plain street 1"', None, part="country"),
    custom("address", '{"value":"x","country":["y"]}', None, part="country", reason="odd_shape"),
    custom("address", '["x"]', None, part="country", reason="odd_shape"),
    custom("address", "[]", None, part="country"),
    custom("address", "7.25", "7.25"),
    # Unknown types
    custom("billing_frequency", '{"every": 1.0, "unit": "month"}', '{"every":1.0,"unit":"month"}'),
    custom("billing_frequency", '"monthly"', "monthly"),
    custom("billing_frequency", "12", "12"),
    custom("billing_frequency", "false", "false"),
    # System fields
    system("name", "varchar", '"Maija Virtanen"', "Maija Virtanen"),
    system("last_name", "varchar", "null", None),
    system(
        "add_time", "date", '"2026-02-03T08:15:30Z"', "2026-02-03 08:15:30", datetime="2026-02-03 08:15:30"
    ),
    system(
        "update_time",
        "date",
        '"2026-02-03T08:15:30.000Z"',
        "2026-02-03 08:15:30",
        datetime="2026-02-03 08:15:30",
    ),
    system("update_time", "date", "null", None),
    system(
        "last_incoming_mail_time",
        "date",
        '"2026-02-03 08:15:30"',
        "2026-02-03 08:15:30",
        datetime="2026-02-03 08:15:30",
    ),
    system("birthday", "date", '"1990-05-17"', "1990-05-17", datetime="1990-05-17 00:00:00"),
    system("birthday", "date", '"-0001-11-30"', None),
    system("open_deals_count", "int", "3", "3"),
    system("owner_id", "user", "9001", "Liisa Korhonen"),
    system("org_id", "org", "55", "Virtanen Oy"),
    system("org_id", "org", "null", None),
    system("org_id", "org", "56", None, reason="invalid_value"),
    system("label_ids", "set", "[32,31]", "Gold, Silver", options=COLOURS),
    system("label", "enum", "[32]", "Silver", key="label_ids", options=COLOURS),
    system("label_ids", "set", "[]", None, options=COLOURS),
    system("marketing_status", "varchar_options", '"subscribed"', "Subscribed", options=CODES),
    system("marketing_status", "varchar_options", '"subscribed"', "subscribed"),
    system("postal_address", "address", _ADDRESS, "New York", part="locality"),
    system("postal_address", "varchar", '{"value":"Esimerkkikatu 1"}', "Esimerkkikatu 1"),
    system("im", "varchar", '[{"value":"maija.v","primary":true,"label":"skype"}]', "maija.v"),
    system("ims", "varchar", "[]", None, key="im"),
    # E-mails and phones of the person
    system("email", "varchar", _EMAILS, "Work@Example.fi", key="emails"),
    system("emails", "email", _EMAILS, "Work@Example.fi", part="work"),
    system("emails", "email", _EMAILS, "home@example.fi", part="home"),
    system("emails", "email", _EMAILS, None, part="other"),
    system("emails", "email", _BAD_PRIMARY, "ok@example.fi"),
    system("emails", "email", _BAD_PRIMARY, "nonsense", part="work"),
    system("emails", "email", '["a@example.fi"]', "a@example.fi"),
    system("emails", "email", '"a@example.fi"', "a@example.fi"),
    system("emails", "email", '[{"value":"","primary":true}]', None),
    system("emails", "email", '[[1],{"value":"a@example.fi"}]', "a@example.fi", reason="odd_shape"),
    system("emails", "email", '[{"value":{"a":1}}]', None, reason="odd_shape"),
    system("emails", "email", f'[{{"value":{"9" * 401}}}]', None, reason="odd_shape"),
    system("phone", "phone", _PHONES, "+358 40 111 2233", key="phones"),
    system("phones", "phone", _PHONES, "+358 40 111 2233", part="mobile"),
    system("phones", "phone", _PHONES, "040 999", part="other"),
    system("phones", "phone", '[{"value":358401112233}]', "358401112233"),
    system("phones", "phone", "[]", None),
]
