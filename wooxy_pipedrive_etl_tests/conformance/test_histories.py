"""After every sync of any history the list is what the naive oracle says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from wooxy_pipedrive_etl.sandbox.pipedrive import Behaviours

from ..databases import Databases
from ..scenario import email
from .conftest import NewDatabase
from .history import History

# A few; `histories.py` plays as many as you like.
_EXAMPLES = {"SQLite": 3, "PostgreSQL": 1}


def test_random_histories_match_the_oracle(databases: Databases, new_database: NewDatabase) -> None:
    machine = type("OneHistory", (History,), {"new_database": staticmethod(new_database)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=_EXAMPLES[databases.name],
            stateful_step_count=25,
            derandomize=True,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


NOBODY_ELSE = dict.fromkeys(("email", "userId", "name", "active", "emailSubscribe"))
MAIJA = {
    "marketing_status": "no_consent",
    "name": "Maija",
    "emails": [email("ann@example.com")],
    "phones": [email("+358401000001")],
}


@pytest.fixture
def history(new_database: NewDatabase) -> Iterator[History]:
    """One person with an e-mail address and a number, synced; tests continue by hand."""
    history = type("ByHand", (History,), {"new_database": staticmethod(new_database)})()
    history.begin(
        persons=[MAIJA],
        prior=[],
        matched={"name", "phones"},
        ignore_empty=True,
        consent="respect",
        on_delete="delete",
        behaviours=Behaviours(),
        in_windows=False,
    )
    yield history
    history.teardown()


def sms(history: History) -> list[Any]:
    return [contact["smsSubscribe"] for contact in history.acme.contacts()]


def test_an_opt_out_withdrawn_unseen_still_counts(history: History) -> None:
    """No run has seen it. The program and the oracle agree, whether the contact is deleted too or not."""
    ways: list[Callable[[], object]] = [
        lambda: history.edit_contact_by_hand(which=0, contact={**NOBODY_ELSE, "phoneNumber": None}),
        lambda: history.delete_contact_by_hand(which=0),
    ]
    for go in ways:
        history.set_channel_by_hand(which=0, channel="smsSubscribe", flag=False)
        history.full_run(again=True)
        history.set_channel_by_hand(which=0, channel="smsSubscribe", flag=True)
        go()
        history.full_run(again=True)
        assert sms(history) == [False]


def test_an_opt_out_of_another_contact_counts(history: History) -> None:
    """The first contact's flag was true all along, so nobody has withdrawn anything."""
    history.contact_by_hand({**NOBODY_ELSE, "phoneNumber": "+358401000001", "smsSubscribe": False})
    history.full_run(again=True)
    history.delete_contact_by_hand(which=1)
    history.full_run(again=True)
    assert sms(history) == [True]
    history.edit_contact_by_hand(which=0, contact={**NOBODY_ELSE, "phoneNumber": "+358401000002"})
    history.full_run(again=True)
    assert sms(history) == [False]
