"""A channel that someone opted out of stays off, however the number comes back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..scenario import Connected, connected, email, small_account
from .conftest import NewDatabase

ROWS = {"name": "name", "emails": "email", "phones": "phoneNumber"}
PHONE = "+35840100001"


@pytest.fixture
def acme(new_database: NewDatabase) -> Iterator[Connected]:
    """Two persons, the first of whom has opted out of SMS by hand."""
    with new_database() as url, connected(url, small_account(2)) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        acme.execute(f"""UPDATE {{list}} SET "smsSubscribe" = false WHERE "phoneNumber" = '{PHONE}'""")  # noqa: S608
        yield acme


def test_an_opt_out_outlives_person_and_contact(acme: Connected) -> None:
    acme.account.delete_person(1)
    assert acme.sync()["deleted"] == 1
    acme.account.create_person(name="The same", emails=[email("another@example.com")], phones=[PHONE])
    assert acme.sync()["created"] == 1
    contact = acme.contact(phoneNumber=PHONE)
    assert (contact["smsSubscribe"], contact["viberSubscribe"]) == (False, True)


def test_an_opt_out_survives_simultaneous_deletion_and_return(acme: Connected) -> None:
    acme.account.delete_person(1)
    acme.account.create_person(name="The same", emails=[email("another@example.com")], phones=[PHONE])
    acme.sync()
    assert acme.contact(phoneNumber=PHONE)["smsSubscribe"] is False


def test_an_opt_out_survives_changes_of_phone_number(acme: Connected) -> None:
    for number in ("+35840999999", PHONE, "+35840999998"):
        acme.account.edit_person(1, phones=[number])
        acme.sync()
        assert acme.contact(phoneNumber=number)["smsSubscribe"] is False


def test_an_opt_out_moves_with_its_phone_number(acme: Connected) -> None:
    acme.account.edit_person(1, phones=["+35840999999"])
    acme.account.edit_person(2, phones=[PHONE])
    acme.sync()
    assert acme.contact(phoneNumber=PHONE)["smsSubscribe"] is False


def test_an_opt_out_survives_unmatching_the_phone(acme: Connected) -> None:
    acme.import_rows({key: ROWS[key] for key in ("name", "emails")})
    acme.remap()
    acme.import_rows(ROWS)
    acme.remap()
    assert acme.contact(phoneNumber=PHONE)["smsSubscribe"] is False
    acme.account.edit_person(1, name="Touched")
    acme.sync()
    assert acme.contact(phoneNumber=PHONE)["smsSubscribe"] is False


def test_a_returning_number_is_not_a_first_number(new_database: NewDatabase) -> None:
    """The channels' one moment has passed, even if nobody was subscribed then."""
    with new_database() as url, connected(url, small_account(1), consent="require") as acme:
        acme.account.marketing = True
        acme.account.edit_person(1, marketing_status="unsubscribed")
        acme.import_rows(ROWS, ignore_empty=False)
        for phones in ([PHONE], [], [PHONE]):
            acme.account.edit_person(1, phones=phones)
            acme.sync()
            acme.account.edit_person(1, marketing_status="subscribed")
        assert acme.contact(phoneNumber=PHONE)["smsSubscribe"] is False
