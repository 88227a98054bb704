"""The commands that show something: help, status, contacts, issues, the matching."""

from __future__ import annotations

import csv
import json
import re
from datetime import datetime
from pathlib import Path

import pytest

from wooxy_pipedrive_etl_tests.cli.command_line import CommandLine

COMMANDS = [
    *("connect", "match", "sync", "status", "contacts", "issues", "disconnect", "webhook", "serve"),
    *("sandbox", "demo"),
]
COUNTS = {
    *("fetched", "created", "updated", "unchanged", "deleted", "rejected", "duplicates", "conflicts"),
    *("dropped_values", "tokens_used", "requests"),
}


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_on_every_level(program: CommandLine, command: str) -> None:
    ended = program(*([command] if command else []), "--help")
    assert (ended.code, ended.err) == (0, "")
    assert re.search(rf"^Usage: .*wooxy-pipedrive {command}", ended.out)
    for named in [] if command else COMMANDS:
        assert re.search(rf"^  {named} +\S", ended.out, re.MULTILINE)


def test_status_as_json(synced: CommandLine) -> None:
    (row,) = synced("status", "--json").json
    assert synced("status", "acme", "--json").json == [row]
    assert (row["name"], row["domain"], row["state"]) == ("acme", "shop.example.com", "active")
    assert row["list_table"] == "default_contact_list_shop_example_com"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", row["watermark"])
    assert row["schema_changes"] == []
    last = row["last_run"]
    assert set(last) >= {"kind", *COUNTS}
    assert {name: last[name] for name in COUNTS - {"tokens_used", "requests"}} == {
        "fetched": 5,
        "created": 3,
        "updated": 0,
        "unchanged": 0,
        "deleted": 0,
        "rejected": 1,
        "duplicates": 1,
        "conflicts": 0,
        "dropped_values": 3,
    }
    assert last["kind"] == "full"
    assert last["requests"] >= 3
    assert last["tokens_used"] >= 20


def test_status_shows_a_pause_and_lost_access(program: CommandLine) -> None:
    program.connect()
    (row,) = program("status", "--json").json
    assert (row["access"], row["scopes"]) == ("api token", None)
    assert (row["access_lost"], row["paused"]) == (None, False)
    shown = program("status").out
    assert "paused" not in shown
    assert "Reconnect" not in shown
    program.change("acme", access_lost="revoked", paused=True)
    shown = program("status").out
    assert "\n  paused: no run starts automatically\n" in shown
    assert "access to Pipedrive lost (revoked): reconnect it in the browser" in shown
    assert "Integrations > acme > Reconnect\n" in shown


def test_status_does_not_invent_a_time(program: CommandLine) -> None:
    program.connect()
    program.change("acme", daily_limit=5_000, daily_left=40, noted_at=None)
    assert (
        "\n  tokens left: 40 of 5000 (it is not known as of when), 1000 of them in reserve\n"
        in program("status").out
    )
    program.change("acme", daily_limit=None, daily_left=40, noted_at=datetime(2026, 9, 18, 7, 0, 1))
    shown = program("status").out
    assert "\n  tokens left today: 40 (as of 2026-09-18T07:00:01Z)\n" in shown
    assert "None" not in shown


def test_status_for_people(synced: CommandLine, program: CommandLine) -> None:
    ended = synced("status")
    assert (ended.code, ended.err) == (0, "")
    for shown in ("acme: active, shop.example.com, 3 contacts", "3 created", "tokens left today"):
        assert shown in ended.out
    ended = program("status")
    assert ended.code == 0
    assert "There is no connection yet" in ended.out
    assert program("status", "--json").json == []


def test_contacts_as_json(synced: CommandLine) -> None:
    contacts = synced("contacts", "acme", "--format", "json").json
    assert [contact["contact_id"] for contact in contacts] == sorted(each["contact_id"] for each in contacts)
    assert len(contacts) == 3
    names = list(contacts[0])
    assert names[:4] == ["contact_id", "userId", "email", "phoneNumber"]
    assert {"city", "colour", "smsSubscribe", "createdAt", "updatedAt"} <= set(names)
    for contact in contacts:
        assert list(contact) == names
        assert isinstance(contact.pop("contact_id"), int)
        for flag in [name for name in contact if name == "active" or name.endswith("Subscribe")]:
            assert contact.pop(flag) in (True, False)
        assert all(value is None or isinstance(value, str) for value in contact.values())
        datetime.strptime(contact["createdAt"], "%Y-%m-%dT%H:%M:%SZ")
    assert {contact["email"] for contact in contacts} >= {"person1@example.com", "person4@example.com"}


def test_contacts_as_csv_and_into_a_file(synced: CommandLine, tmp_path: Path) -> None:
    contacts = synced("contacts", "acme", "--format", "json").json
    file = tmp_path / "contacts.csv"
    ended = synced("contacts", "acme", "--format", "csv", "--output", str(file))
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    assert file.read_text("utf-8") == synced("contacts", "acme", "--format", "csv").out
    with file.open(encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert rows == [{key: _cell(value) for key, value in contact.items()} for contact in contacts]
    file = tmp_path / "contacts.json"
    synced("contacts", "acme", "--format", "json", "--output", str(file))
    assert json.loads(file.read_text("utf-8")) == contacts


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def test_contacts_as_a_table(synced: CommandLine) -> None:
    ended = synced("contacts", "acme")
    assert ended.code == 0
    assert "person1@example.com" in ended.out
    assert "more columns: use --format csv or json" in ended.out


def test_issues_as_json(synced: CommandLine) -> None:
    issues = synced("issues", "acme", "--json").json
    assert all(list(issue) == ["person_id", "kind", "reason", "variable", "message"] for issue in issues)
    found = {(issue["person_id"], issue["kind"], issue["reason"], issue["variable"]) for issue in issues}
    assert found >= {
        (2, "rejected", "no_identifier", None),
        (2, "dropped_value", "invalid_email", "emails"),
        (2, "dropped_value", "invalid_phone", "phones"),
        (3, "dropped_value", "invalid_phone", "phones"),
    }
    (duplicate,) = [issue for issue in issues if issue["kind"] == "duplicate"]
    assert duplicate["reason"] == "duplicate_of"
    owner = ({1, 5} - {duplicate["person_id"]}).pop()
    assert str(owner) in duplicate["message"]
    # Messages never contain values.
    for issue in issues:
        for value in ("no address", "no number", "example.com", "Twin"):
            assert value not in issue["message"]


def test_issues_for_people(synced: CommandLine) -> None:
    ended = synced("issues", "acme")
    assert ended.code == 0
    assert "no_identifier" in ended.out


def test_the_matching_is_shown(synced: CommandLine) -> None:
    ended = synced("match", "acme")
    assert ended.code == 0
    assert synced("match", "acme", "--show").out.count("green") == ended.out.count("green") > 5
    for label in ("Colour", "Email/Work", "Phone"):
        assert label in ended.out
    assert "Empty values are ignored." in ended.out
