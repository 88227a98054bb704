"""The table of all field types and values, from the wire to both databases, in both formats."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any

from wooxy_pipedrive_etl.sandbox.pipedrive import Account
from wooxy_pipedrive_etl.sandbox.pipedrive.fields import CustomField, Option
from wooxy_pipedrive_etl_tests.mapping.value_cases import CASES, COLOURS, NAMES, ValueCase
from wooxy_pipedrive_etl_tests.scenario import (
    Connected,
    add_person,
    connected,
    email,
    empty_account,
    small_account,
)

# Persons of the cases have their own ids, beyond those that values refer to.
FIRST_ID = 1001


def _served(case: ValueCase) -> bool:
    """Whether an account's catalogue can contain the field; the unit test covers the other types and options."""
    options = case.field.options or []
    if any(option.get("gone") for option in options):
        return False
    if case.field.is_custom_field:
        return not options or case.field.field_type in ("enum", "set")
    return (case.field.field_code, case.field.field_type, str(options)) in _catalogue()


@cache
def _catalogue() -> set[tuple[str, str, str]]:
    """The system fields: code, type, options."""
    return {
        (
            row["field_code"],
            row["field_type"],
            str([{"id": option["id"], "label": option["label"]} for option in row.get("options") or []]),
        )
        for _, row in _account().catalogue()
    }


def _account() -> Account:
    account = empty_account()
    account.contact_sync = account.marketing = True
    account.labels = [Option(int(str(option["id"])), str(option["label"])) for option in COLOURS]
    return account


def _field_code(case: ValueCase) -> str:
    """A separate field for each list of options."""
    return hashlib.sha1(f"{case.record_key} {case.field.options}".encode()).hexdigest()


def _key(case: ValueCase) -> str:
    code = _field_code(case) if case.field.is_custom_field else case.record_key
    return code if case.part is None else f"{code}/{case.part}"


def _fill(account: Account, cases: list[ValueCase]) -> dict[int, ValueCase]:
    """Adds a person for each case, with only that value."""
    persons = {}
    for person_id, case in enumerate(cases, start=FIRST_ID):
        persons[person_id] = case
        if case.field.is_custom_field:
            code = _field_code(case)
            options = [Option(option["id"], option["label"]) for option in case.field.options or []]
            # Directly into the account, because it still has types that can no longer be created.
            account.custom_fields[code] = CustomField(person_id, code, code, case.field.field_type, options)
            raw = f'{{"id":{person_id},"custom_fields":{{"{code}":{case.raw}}}}}'
        else:
            raw = f'{{"id":{person_id},"{case.record_key}":{case.raw},"custom_fields":null}}'
        account.put_raw_person(person_id, raw)
    account.rename_user(account.token_owner_id, NAMES["user"][account.token_owner_id])
    for _ in range(54):
        account.add_organization("Another")
    assert account.add_organization(NAMES["org"][55]) == 55
    account.put_raw_person(77, f'{{"id":77,"name":"{NAMES["person"][77]}"}}')
    return persons


def _found(acme: Connected, targets: dict[str, str], persons: dict[int, ValueCase]) -> dict[int, Any]:
    contacts = {contact["userId"]: contact for contact in acme.contacts()}
    reasons = {(issue["person_id"], issue["variable"]): issue["reason"] for issue in acme.issues()}
    return {
        person_id: (
            case.name,
            contacts[str(person_id)][targets[_key(case)]],
            reasons.get((person_id, _key(case))),
        )
        for person_id, case in persons.items()
    }


def test_every_value_of_every_type_in_both_formats(database_url: str) -> None:
    cases = [case for case in CASES if _served(case)]
    account = _account()
    persons = _fill(account, cases)
    keys = sorted({_key(case) for case in cases})
    strings = {key: f"string{number}" for number, key in enumerate(keys)}
    datetimes = {key: f"datetime{number}" for number, key in enumerate(keys)}
    with connected(database_url, account) as acme:
        acme.import_rows({"id": "userId", **strings})
        assert acme.sync()["created"] == len(persons) + 1
        assert _found(acme, strings, persons) == {
            person_id: (case.name, case.string.value, case.string.reason)
            for person_id, case in persons.items()
        }
        acme.import_rows({"id": "userId", **{key: (name, "DateTime") for key, name in datetimes.items()}})
        acme.remap()
        assert _found(acme, datetimes, persons) == {
            person_id: (case.name, _instant(case.datetime.value), case.datetime.reason)
            for person_id, case in persons.items()
        }


def _instant(stored: str | None) -> str | None:
    return None if stored is None else stored.replace(" ", "T") + "Z"


def test_nearly_every_case_can_be_served() -> None:
    """So that a change to the table or the sandbox cannot silently empty the test above."""
    assert sum(map(_served, CASES)) >= 0.9 * len(CASES)


def test_a_respelled_contact_keeps_its_row_and_flags(database_url: str) -> None:
    """Earlier versions stored a domain as written; a newer one re-maps everyone automatically."""
    with connected(database_url, small_account(0)) as acme:
        add_person(acme.account, 1, emails=[email("Name@Пример.РФ")])
        acme.import_rows({"emails": "email", "phones": "phoneNumber"})
        acme.sync()
        (before,) = acme.contacts()
        assert before["email"] == "name@xn--e1afmkfd.xn--p1ai"
        acme.execute("UPDATE {list} SET email = 'name@пример.рф', \"smsSubscribe\" = (1 = 0)")
        acme.execute(f"UPDATE sync_stage_{acme.record().id} SET email = 'name@пример.рф'")  # noqa: S608
        acme.execute("UPDATE sync_states SET mapped_with = 'an older version'")
        acme.sync("changes")
        (after,) = acme.contacts()
        assert (after["contact_id"], after["email"]) == (before["contact_id"], before["email"])
        assert (after["smsSubscribe"], after["viberSubscribe"]) == (False, True)
        # The other spelling is the same address: the newer person owns the contact.
        add_person(acme.account, 2, emails=[email("name@xn--e1afmkfd.xn--p1ai")], phones=[])
        counts = acme.sync()
        assert (counts["duplicates"], counts["created"], counts["deleted"]) == (1, 0, 0)
        (last,) = acme.contacts()
        assert last["contact_id"] == before["contact_id"]
