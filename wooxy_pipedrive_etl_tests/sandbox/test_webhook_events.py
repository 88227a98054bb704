"""Which changes of an account cause an event, and what the event looks like."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from wooxy_pipedrive_etl.sandbox.pipedrive import Account, Behaviours, RawJson, add_odd_persons, large_account

from .receiver import Receiver
from .served import Clock, Served

Serve = Callable[..., Served]
NewEvents = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def new_events(serve: Serve, account: Account, receiver: Receiver) -> NewEvents:
    """Serves the account with a webhook; gives the events since the last call, possibly none."""
    served = serve(account)
    served.subscribe(receiver.url)

    def look() -> list[dict[str, Any]]:
        served.server.webhooks.wait_until_delivered()
        events = [each.json for each in receiver.received]
        receiver.received.clear()
        return events

    return look


def test_a_new_person(new_events: NewEvents, account: Account, clock: Clock) -> None:
    other = account.add_user("Other")
    account.add_user("Gone", active=False)
    account.add_field("Tier", "enum", ["Gold"])
    label = account.add_label("Hot")
    clock.tick(0.25)
    person = account.create_person(
        name="Maija Virtanen", emails=["maija@example.fi"], label_ids=[label], org_id=55
    )
    (event,) = new_events()
    meta = event["meta"]
    for key in ("id", "correlation_id"):
        assert uuid.UUID(meta.pop(key))
    assert meta == {
        "action": "create",
        "entity": "person",
        "company_id": "777",
        "entity_id": str(person),
        "is_bulk_edit": False,
        "timestamp": "2026-03-01T12:00:00.250Z",
        "type": "general",
        "user_id": "9001",
        "version": "2.0",
        "webhook_id": "4710",
        "webhook_owner_id": "9001",
        "change_source": "app",
        "attempt": 1,
        "host": "example.pipedrive.com",
        "permitted_user_ids": ["9001", str(other)],
    }
    assert event["data"] == {
        "id": person,
        "name": "Maija Virtanen",
        "first_name": "Maija",
        "last_name": "Virtanen",
        "org_id": 55,
        "owner_id": 9001,
        "label": label,
        "label_ids": [label],
        "emails": [{"label": "work", "value": "maija@example.fi", "primary": True}],
        "phones": [],
        "custom_fields": {},
        "visible_to": "3",
        "add_time": "2026-03-01T12:00:00Z",
        "update_time": "2026-03-01T12:00:00Z",
    }
    assert event["previous"] is None


def test_an_edit_event_contains_only_changed_previous_values(
    new_events: NewEvents, account: Account, clock: Clock
) -> None:
    tier = account.add_field("Tier", "enum", ["Gold", "Silver"])
    note = account.add_field("Note", "text")
    kept = account.add_field("Kept", "varchar")
    person = account.create_person(name="Ann Lee", custom_fields={note: "old", kept: "same"})
    new_events()
    clock.tick()
    account.edit_person(person, name="Ann Li", custom_fields={tier: 2, note: None})
    (event,) = new_events()
    assert (event["meta"]["action"], event["meta"]["entity_id"]) == ("change", str(person))
    assert event["data"]["name"] == "Ann Li"
    assert event["data"]["update_time"] == "2026-03-01T12:00:01Z"
    assert event["data"]["custom_fields"] == {
        tier: {"type": "enum", "id": 2},
        kept: {"type": "varchar", "value": "same"},
    }
    assert event["previous"] == {
        "name": "Ann Lee",
        "last_name": "Lee",
        "custom_fields": {tier: None, note: {"type": "text", "value": "old"}},
    }


@pytest.mark.parametrize(
    ("field_type", "value", "shown"),
    [
        ("varchar", "text", {"value": "text"}),
        ("varchar_auto", "text", {"value": "text"}),
        ("text", "a\nb", {"value": "a\nb"}),
        ("phone", "+35891234567", {"value": "+35891234567"}),
        ("double", 12.5, {"value": 12.5}),
        ("date", "2026-12-24", {"value": "2026-12-24"}),
        ("monetary", {"value": 1200, "currency": "EUR"}, {"value": 1200, "currency": "EUR"}),
        (
            "daterange",
            {"value": "2026-12-01", "until": "2026-12-31"},
            {"from": "2026-12-01", "until": "2026-12-31"},
        ),
        (
            "time",
            {"value": "09:00:00", "timezone_id": 318, "timezone_name": "Europe/London"},
            {"value": "09:00:00", "timezone_id": 318},
        ),
        (
            "timerange",
            {
                "value": "09:00:00",
                "until": "11:30:00",
                "timezone_id": 318,
                "timezone_name": "Europe/London",
            },
            {"from": "09:00:00", "until": "11:30:00", "timezone_id": 318},
        ),
        ("enum", 1, {"id": 1}),
        ("set", [1, 2], {"values": [{"id": 1}, {"id": 2}]}),
        ("user", 9001, {"id": 9001}),
        ("people", 7, {"id": 7}),
        ("org", 55, {"id": 55}),
        (
            "address",
            {"value": "Street 1", "locality": "", "country": None},
            {"value": "Street 1", "locality": "", "country": None},
        ),
    ],
)
def test_custom_field_values_include_their_type(
    new_events: NewEvents, account: Account, field_type: str, value: Any, shown: dict[str, Any]
) -> None:
    options = ("A", "B") if field_type in ("enum", "set") else ()
    code = account.add_field("Field", field_type, options)
    account.create_person(name="A", custom_fields={code: value})
    (event,) = new_events()
    assert event["data"]["custom_fields"] == {code: {"type": field_type, **shown}}


def test_numbers_keep_digits_and_malformed_values_pass_through(
    serve: Serve, account: Account, receiver: Receiver
) -> None:
    served = serve(account)
    served.subscribe(receiver.url)
    number = account.add_field("Number", "double")
    amount = account.add_field("Amount", "monetary")
    several = account.add_field("Several", "set", ["A"])
    person = account.create_person(
        name="A", custom_fields={number: Decimal("1.50"), amount: {"value": Decimal("0.10")}}
    )
    account.edit_person(person, validate=False, custom_fields={several: "odd", amount: RawJson("{no JSON")})
    account.edit_person(person, validate=False, custom_fields={amount: [1]}, label_ids="odd", visible_to=None)
    account.edit_person(person, validate=False, custom_fields="odd")
    served.server.webhooks.wait_until_delivered()
    first, second, third, fourth = (each.body.decode() for each in receiver.received)
    assert f'"{number}":{{"type":"double","value":1.50}}' in first
    assert f'"{amount}":{{"type":"monetary","value":0.10}}' in first
    assert f'"{several}":{{"type":"set","value":"odd"}}' in second
    assert f'"{amount}":{{"type":"monetary","value":{{no JSON}}' in second
    assert f'"{amount}":{{"type":"monetary","value":[1]}}' in third
    assert '"label":null,"label_ids":"odd"' in third
    assert '"custom_fields":"odd"' in fourth


def test_deletions_send_old_states_and_restorations_send_changes(
    new_events: NewEvents, account: Account, clock: Clock
) -> None:
    person = account.create_person(name="Ann Lee")
    new_events()
    clock.tick(60)
    account.delete_person(person)
    clock.tick(60)
    account.restore_person(person)
    deleted, restored = new_events()
    assert (deleted["meta"]["action"], deleted["data"]) == ("delete", None)
    assert deleted["meta"]["timestamp"] == "2026-03-01T12:01:00.000Z"
    assert (deleted["previous"]["name"], deleted["previous"]["update_time"]) == (
        "Ann Lee",
        "2026-03-01T12:00:00Z",
    )
    assert "merged_to_id" not in deleted["meta"]
    assert (restored["meta"]["action"], restored["previous"]) == ("change", {})
    assert restored["data"]["update_time"] == "2026-03-01T12:02:00Z"


@pytest.mark.parametrize(("event", "actions"), [("create", ["create"]), ("none", [])])
def test_a_restoration_may_send_another_event(
    new_events: NewEvents, account: Account, event: Any, actions: list[str]
) -> None:
    account.behaviours = Behaviours(restored_person_event=event)
    person = account.create_person(name="A")
    account.delete_person(person)
    new_events()
    account.restore_person(person)
    events = new_events()
    assert [each["meta"]["action"] for each in events] == actions
    assert [each["previous"] for each in events] == [None] * len(actions)


def test_a_merge_sends_two_linked_events(new_events: NewEvents, account: Account) -> None:
    winner = account.create_person(name="A", emails=["a@example.org"])
    loser = account.create_person(name="B", emails=["b@example.org"])
    new_events()
    account.merge_persons(winner, loser)
    gone, changed = new_events()
    assert (gone["meta"]["action"], gone["meta"]["entity_id"]) == ("delete", str(loser))
    assert gone["meta"]["merged_to_id"] == str(winner)
    assert (gone["data"], gone["previous"]["name"]) == (None, "B")
    assert (changed["meta"]["action"], changed["meta"]["entity_id"]) == ("change", str(winner))
    assert changed["meta"]["merged_from_id"] == str(loser)
    assert [each["value"] for each in changed["data"]["emails"]] == ["a@example.org", "b@example.org"]
    assert [each["value"] for each in changed["previous"]["emails"]] == ["a@example.org"]


def test_only_persons_send_events(new_events: NewEvents, account: Account) -> None:
    tier = account.add_field("Tier", "enum", ["Gold"])
    label = account.add_label("Hot")
    organization = account.add_organization("Acme")
    account.create_person(name="A", custom_fields={tier: 1}, label_ids=[label], org_id=organization)
    assert len(new_events()) == 1
    account.rename_option(tier, 1, "Silver")
    account.delete_option(tier, 1)
    account.rename_field(tier, "Level")
    account.delete_field(tier)
    account.rename_label(label, "Cold")
    account.delete_label(label)
    account.rename_organization(organization, "Acme Oy")
    account.delete_organization(organization)
    account.rename_user(account.token_owner_id, "Bot")
    account.contact_sync = account.marketing = True
    assert new_events() == []


def test_hidden_persons_send_no_events(new_events: NewEvents, account: Account) -> None:
    person, winner = account.create_person(name="A"), account.create_person(name="B")
    new_events()
    account.hide_person(person)
    account.edit_person(person, name="Hidden")
    account.delete_person(person)
    account.restore_person(person)
    assert new_events() == []
    account.merge_persons(winner, person)
    assert [each["meta"]["entity_id"] for each in new_events()] == [str(winner)]
    account.hide_person(winner)
    account.show_person(winner)
    assert new_events() == []


def test_refused_changes_send_no_events(new_events: NewEvents, account: Account) -> None:
    person = account.create_person(name="A")
    new_events()
    for refused in (
        lambda: account.edit_person(person, nonsense=1),
        lambda: account.create_person(nonsense=1),
        lambda: account.merge_persons(person, person),
        lambda: account.restore_person(person),
    ):
        with pytest.raises(Exception, match=r"\.$"):
            refused()
    assert new_events() == []


def test_malformed_persons_are_sent_unchanged(new_events: NewEvents, account: Account) -> None:
    account.put_raw_person(7, '{"id":"odd"}')
    account.put_raw_person(7, "[]")
    created, changed = new_events()
    assert (created["meta"]["action"], created["data"], created["previous"]) == (
        "create",
        {"id": "odd"},
        None,
    )
    assert (changed["meta"]["action"], changed["data"], changed["previous"]) == ("change", [], {"id": "odd"})
    account.delete_person(7)
    account.put_raw_person(7, "1")
    assert [(each["meta"]["action"], each["previous"]) for each in new_events()] == [("delete", [])]
    assert len(add_odd_persons(account)) * 2 == len(new_events())


def test_generated_persons_send_events_too(serve: Serve, receiver: Receiver) -> None:
    account = large_account(persons=50, custom_fields=30)
    served = serve(account)
    served.subscribe(receiver.url)
    name = served.person(5)["name"]
    account.edit_person(5, name="Edited")
    account.delete_person(6)
    served.server.webhooks.wait_until_delivered()
    edited, deleted = (each.json for each in receiver.received)
    assert edited["previous"]["name"] == name
    assert set(edited["previous"]) <= {"name", "first_name", "last_name"}
    assert deleted["previous"]["id"] == 6
    shown = {each["type"] for each in deleted["previous"]["custom_fields"].values()}
    assert len(shown) > 5


def test_without_webhooks_there_are_no_observers(serve: Serve, account: Account, receiver: Receiver) -> None:
    served = serve(account)
    assert account.observers == []
    webhook = served.subscribe(receiver.url)
    assert len(account.observers) == 1
    served.call("DELETE", f"/api/v1/webhooks/{webhook['id']}")
    assert account.observers == []
    served.subscribe(receiver.url)
    served.server.stop()
    assert account.observers == []
