"""Malformed persons: records that a list should never contain, but that a program must survive."""

from __future__ import annotations

from typing import Final

from .account import Account

ODD_PERSONS: Final[dict[str, str]] = {
    "null": "null",
    "text": '"person"',
    "number": "17",
    "array": "[]",
    "empty object": "{}",
    "no id": '{"name":"No Id","emails":[{"value":"no.id@example.org","primary":true}]}',
    "id null": '{"id":null,"name":"Null Id"}',
    "id a text": '{"id":"%(id)s","name":"Text Id","emails":[]}',
    "id a fraction": '{"id":%(id)s.5,"name":"Half"}',
    "id beyond 64 bits": '{"id":99999999999999999999,"name":"Huge Id"}',
    "only an id": '{"id":%(id)s}',
    "e-mails a text": '{"id":%(id)s,"name":"Odd","emails":"odd@example.org","phones":{}}',
    "e-mails of nulls": '{"id":%(id)s,"name":"Odd","emails":[null,1,"x@example.org",{},{"value":null}],"phones":null}',
    "name an object": '{"id":%(id)s,"name":{"first":"Odd"},"emails":[{"value":"odd.name@example.org"}]}',
    "custom fields an array": '{"id":%(id)s,"name":"Odd","custom_fields":[1,2]}',
    "times that are none": '{"id":%(id)s,"name":"Odd","add_time":"yesterday","update_time":"0000-00-00T00:00:00Z"}',
    "times as numbers": '{"id":%(id)s,"name":"Odd","add_time":1700000000,"update_time":true}',
    "labels a text": '{"id":%(id)s,"name":"Odd","label_ids":"1,2","org_id":{"value":1},"owner_id":"x"}',
    "deleted but listed": '{"id":%(id)s,"name":"Gone","is_deleted":true,"emails":[{"value":"gone@example.org"}]}',
    "a NUL": '{"id":%(id)s,"name":"Nul\\u0000Byte","emails":[{"value":"nul@example.org","primary":true}]}',
    "a lone surrogate": '{"id":%(id)s,"name":"Half \\ud83d","emails":[{"value":"half@example.org","primary":true}]}',
    "a number beyond floats": '{"id":%(id)s,"name":"Odd","open_deals_count":1e400,"visible_to":-0.0}',
    "a key twice": '{"id":%(id)s,"name":"First","name":"Second","emails":[]}',
    "deep nesting": '{"id":%(id)s,"name":"Deep","notes":' + "[" * 60 + "]" * 60 + "}",
}
"""The JSON of each, by what is wrong with it; ``%(id)s`` stands for the person's id."""


def add_odd_persons(account: Account) -> dict[str, int]:
    """Adds all of them to the account; returns the id of each, by what is wrong with it."""
    ids = {}
    for what, text in ODD_PERSONS.items():
        person_id = account.create_person(name=what)
        account.put_raw_person(person_id, text.replace("%(id)s", str(person_id)))
        ids[what] = person_id
    return ids
