"""Channels: when a flag may change automatically, and the memory of opt-outs."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from wooxy_pipedrive_etl.store import tables

from .desk import FED, Desk, hash_phone, person

FED_EMAIL = (*FED, "emailSubscribe")


def flags(row: dict[str, Any]) -> tuple[bool | None, ...]:
    return row["smsSubscribe"], row["viberSubscribe"], row["emailSubscribe"]


def test_creation_with_a_phone_subscribes(desk: Desk) -> None:
    desk.sync(person(1, phoneNumber="+491"))
    row = desk.only()
    assert row["active"] is True
    assert flags(row) == (True, True, None)
    others = ("telegramSubscribe", "desktopWebPushSubscribe", "mobileWebPushSubscribe")
    assert [row[name] for name in others] == [None, None, None]


def test_creation_without_a_phone_does_not(desk: Desk) -> None:
    desk.sync(person(1, email="a@x.com"))
    assert desk.only()["active"] is True
    assert flags(desk.only()) == (None, None, None)


def test_an_unfed_phone_subscribes_nobody(desk: Desk) -> None:
    desk.sync(person(1, email="a@x.com", phoneNumber="+491"), fed=("email",))
    assert flags(desk.only()) == (None, None, None)


def test_only_the_first_phone_subscribes(desk: Desk) -> None:
    desk.sync(person(1, email="a@x.com"))
    desk.sync(person(1, email="a@x.com", phoneNumber="+491"))
    assert flags(desk.only()) == (True, True, None)
    desk.edit(1, smsSubscribe=False, viberSubscribe=None)
    desk.sync(person(1, email="a@x.com", phoneNumber="+492"))
    assert flags(desk.only()) == (False, None, None)


def test_the_first_phone_keeps_a_false_flag(desk: Desk) -> None:
    desk.sync(person(1, email="a@x.com"))
    desk.edit(1, smsSubscribe=False)
    desk.sync(person(1, email="a@x.com", phoneNumber="+491"))
    assert flags(desk.only()) == (False, True, None)


def test_a_refilled_phone_is_not_a_first_phone(desk: Desk) -> None:
    desk.sync(person(1, email="a@x.com", phoneNumber="+491"))
    desk.sync(person(1, email="a@x.com"), ignore_empty=False)
    assert desk.only()["phoneNumber"] is None
    desk.edit(1, smsSubscribe=None)
    desk.sync(person(1, email="a@x.com", phoneNumber="+491"), ignore_empty=False)
    assert flags(desk.only()) == (None, True, None)


def test_a_phone_entered_by_hand_counts_as_first(desk: Desk) -> None:
    desk.sync(person(1, email="a@x.com"))
    desk.edit(1, phoneNumber="+490")
    desk.sync(person(1, email="a@x.com", phoneNumber="+491"))
    desk.edit(1, phoneNumber=None)
    desk.sync(person(1, email="a@x.com", phoneNumber="+492"))
    assert flags(desk.only()) == (None, None, None)


def test_an_adopted_phone_counts_as_the_first(desk: Desk) -> None:
    desk.put(email="a@x.com", phoneNumber="+490")
    desk.sync(person(1, email="a@x.com", phoneNumber="+491"))
    assert (desk.only()["phoneNumber"], flags(desk.only())) == ("+491", (None, None, None))


def test_an_adopted_phone_counts_even_once_emptied(desk: Desk) -> None:
    desk.put(email="a@x.com", phoneNumber="+490")
    desk.sync(person(1, email="a@x.com"), ignore_empty=False)
    desk.sync(person(1, email="a@x.com", phoneNumber="+491"), ignore_empty=False)
    assert (desk.only()["phoneNumber"], flags(desk.only())) == ("+491", (None, None, None))


@pytest.mark.parametrize("before", [None, ""])
def test_an_adopted_contact_gets_its_first_phone(desk: Desk, before: str | None) -> None:
    desk.put(email="a@x.com", phoneNumber=before, viberSubscribe=False)
    desk.sync(person(1, email="a@x.com", phoneNumber="+491"))
    assert flags(desk.only()) == (True, False, None)


@pytest.mark.parametrize(
    ("consent", "subscribed"),
    [
        (
            "respect",
            {"subscribed": True, "unsubscribed": None, "no_consent": True, "archived": True, None: True},
        ),
        (
            "require",
            {"subscribed": True, "unsubscribed": None, "no_consent": None, "archived": None, None: None},
        ),
        (
            "ignore",
            {"subscribed": True, "unsubscribed": True, "no_consent": True, "archived": True, None: True},
        ),
    ],
)
@pytest.mark.parametrize("created", [True, False])
def test_consent(desk: Desk, consent: str, subscribed: dict[str | None, bool | None], created: bool) -> None:
    people = [person(n, marketing=said, email=f"p{n}@x.com") for n, said in enumerate(subscribed)]
    if not created:
        desk.sync(*people, consent=consent)
    desk.sync(*(one | {"phoneNumber": f"+49{one['person_id']}"} for one in people), consent=consent)
    expected = [(flag, flag, None) for flag in subscribed.values()]
    assert [flags(row) for row in desk.rows()] == expected
    # That was its one moment; later statuses do not count.
    later = {"marketing_status": "subscribed"}
    desk.sync(*(one | later | {"phoneNumber": f"+48{one['person_id']}"} for one in people), consent=consent)
    assert [flags(row) for row in desk.rows()] == expected


def test_opt_outs_survive_updates_and_owner_changes(desk: Desk) -> None:
    desk.sync(person(1, email="a@x.com", phoneNumber="+491"), person(2, at=-1, email="a@x.com"))
    desk.edit(1, smsSubscribe=False, viberSubscribe=False)
    desk.sync(person(1, email="b@x.com", phoneNumber="+491", name="n"))
    desk.sync(person(2, email="b@x.com", phoneNumber="+493"))
    assert desk.links() == {2: 1}
    assert flags(desk.only()) == (False, False, None)


def test_opt_outs_survive_deletion_and_recreation(desk: Desk) -> None:
    desk.sync(person(1, phoneNumber="+491"), person(2, phoneNumber="+492"))
    desk.edit(1, smsSubscribe=False, emailSubscribe=False)
    desk.sync()
    assert desk.opt_outs() == {(hash_phone("+491"), "smsSubscribe"), (hash_phone("+491"), "emailSubscribe")}
    desk.sync(person(1, phoneNumber="+491"), person(2, phoneNumber="+492"))
    assert [flags(row) for row in desk.rows()] == [(False, True, False), (True, True, None)]


def test_opt_outs_survive_deleting_the_row_by_hand(desk: Desk) -> None:
    desk.sync(person(1, phoneNumber="+491"))
    desk.edit(1, viberSubscribe=False)
    desk.sync(person(1, phoneNumber="+491"))
    desk.remove(1)
    desk.sync(person(1, phoneNumber="+491"))
    assert flags(desk.only()) == (True, False, None)


def test_opt_outs_of_a_former_number_are_remembered(desk: Desk) -> None:
    desk.sync(person(1, email="a@x.com", phoneNumber="+491"))
    desk.edit(1, smsSubscribe=False)
    desk.sync(person(1, email="a@x.com", phoneNumber="+492"))
    desk.sync(person(1, email="a@x.com", phoneNumber="+492"), person(2, phoneNumber="+491"))
    assert [flags(row) for row in desk.rows()] == [(False, True, None), (False, True, None)]


def test_a_first_phone_that_is_remembered(desk: Desk) -> None:
    desk.sync(person(1, phoneNumber="+491"))
    desk.edit(1, smsSubscribe=False)
    desk.sync(person(2, email="b@x.com"))
    desk.sync(person(2, email="b@x.com", phoneNumber="+491"))
    assert flags(desk.only()) == (False, True, None)


def test_a_changed_phone_that_is_remembered(desk: Desk) -> None:
    """Whoever gets an opted-out number, it stays opted out."""
    desk.sync(person(1, phoneNumber="+491"), person(2, email="b@x.com", phoneNumber="+492"))
    desk.edit(1, smsSubscribe=False)
    desk.sync(person(2, email="b@x.com", phoneNumber="+492"))
    desk.sync(person(2, email="b@x.com", phoneNumber="+491"))
    assert flags(desk.only()) == (False, True, None)


@pytest.mark.parametrize("leaves", ["deleted", "changed"])
def test_a_withdrawn_opt_out_is_forgotten(desk: Desk, leaves: str) -> None:
    one = person(1, email="a@x.com", phoneNumber="+491")
    desk.sync(one)
    desk.edit(1, smsSubscribe=False)
    desk.sync(one)
    desk.edit(1, smsSubscribe=True)
    desk.sync(*([] if leaves == "deleted" else [one | {"phoneNumber": "+492"}]))
    assert desk.opt_outs() == set()
    desk.sync(person(3, phoneNumber="+491"))
    assert flags(desk.rows()[-1]) == (True, True, None)


def test_an_opt_out_between_plan_and_apply_stays(desk: Desk) -> None:
    desk.sync(person(1, email="a@x.com"))
    desk.stage(person(1, email="a@x.com", phoneNumber="+491"))
    desk.plan()
    desk.edit(1, smsSubscribe=False)
    desk.apply()
    assert flags(desk.only()) == (False, True, None)


# emailSubscribe from marketing_status --------------------------------------------------------------------


ALL_SAID = (True, False, None)


def test_email_channel_on_creation(desk: Desk) -> None:
    people = [person(n, email=f"p{n}@x.com", emailSubscribe=said) for n, said in enumerate(ALL_SAID)]
    desk.sync(*people, fed=FED_EMAIL)
    assert [row["emailSubscribe"] for row in desk.rows()] == list(ALL_SAID)


def test_email_channel_remembered_opt_out_wins_on_creation(desk: Desk) -> None:
    desk.sync(person(1, phoneNumber="+491"))
    desk.edit(1, emailSubscribe=False)
    desk.sync()
    desk.sync(person(1, phoneNumber="+491", emailSubscribe=True), fed=FED_EMAIL)
    assert desk.only()["emailSubscribe"] is False


@pytest.mark.parametrize("adopted", [True, False])
@pytest.mark.parametrize("ignore_empty", [True, False])
def test_email_channel_later_only_turns_false(desk: Desk, adopted: bool, ignore_empty: bool) -> None:
    cases = list(enumerate(itertools.product(ALL_SAID, ALL_SAID), start=1))
    if not adopted:
        desk.sync(*(person(n, email=f"p{n}@x.com") for n, _ in cases))
    for n, (before, _) in cases:
        if adopted:
            desk.put(email=f"p{n}@x.com", emailSubscribe=before)
        else:
            desk.edit(n, emailSubscribe=before)
    staged = [person(n, email=f"p{n}@x.com", emailSubscribe=said) for n, (_, said) in cases]
    summary = desk.sync(*staged, fed=FED_EMAIL, ignore_empty=ignore_empty)
    assert [row["emailSubscribe"] for row in desk.rows()] == [
        False if said is False else before for _, (before, said) in cases
    ]
    assert summary.updated == 2


def lose_memory(desk: Desk) -> None:
    """Leaves an opt-out that was stored with a lost key."""
    row = {"domain_id": desk.list.domain_id, "phone_hash": "unreadable", "channel": "smsSubscribe"}
    with desk.engine.begin() as db:
        db.execute(tables.opt_outs.insert().values(row))


def test_no_new_subscriptions_while_opt_outs_are_unreadable(desk: Desk) -> None:
    lose_memory(desk)
    desk.sync(person(1, email="a@x.com", phoneNumber="+491", emailSubscribe=True), fed=FED_EMAIL)
    assert flags(desk.only()) == (None, None, None)
    first = person(1, email="a@x.com", phoneNumber="+491")
    desk.sync(first, person(2, email="b@x.com"))
    desk.edit(2, viberSubscribe=True, emailSubscribe=True)
    desk.sync(first, person(2, email="b@x.com", phoneNumber="+492"))
    assert flags(desk.contact(2)) == (None, True, True)


def test_known_contacts_keep_flags_despite_unreadable_opt_outs(desk: Desk) -> None:
    desk.sync(person(1, email="a@x.com", phoneNumber="+491"), person(2, email="b@x.com", phoneNumber="+492"))
    desk.edit(1, smsSubscribe=False, emailSubscribe=True)
    lose_memory(desk)
    desk.sync(
        person(1, email="a@x.com", phoneNumber="+491", name="n"),
        person(2, email="b@x.com", phoneNumber="+493"),
    )
    assert flags(desk.contact(1)) == (False, True, True)
    assert flags(desk.contact(2)) == (None, None, None)
    assert (hash_phone("+491"), "smsSubscribe") in desk.opt_outs()
