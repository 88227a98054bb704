"""The commands that change something, from connecting to disconnecting."""

from __future__ import annotations

import csv
import logging
import os
import pty
import subprocess
from pathlib import Path

import pytest
import yaml

from wooxy_pipedrive_etl.cli import match
from wooxy_pipedrive_etl.sandbox.pipedrive import Fault
from wooxy_pipedrive_etl_tests.cli.command_line import PROGRAM, CommandLine
from wooxy_pipedrive_etl_tests.patience import PATIENCE_SECONDS
from wooxy_pipedrive_etl_tests.scenario import add_person, new_token


def _import(program: CommandLine, folder: Path, *rows: tuple[str, str | None], name: str = "acme") -> None:
    file = folder / "matching.yaml"
    variables = [{"pipedrive": key, "wooxy": wooxy, "format": "String"} for key, wooxy in rows]
    file.write_text(yaml.safe_dump({"ignore_empty_values": True, "variables": variables}), "utf-8")
    ended = program("match", name, "--import", str(file))
    assert (ended.code, ended.err) == (0, "")


def test_from_draft_to_list_and_back_again(program: CommandLine, tmp_path: Path, postgres_url: str) -> None:
    """On the production database; most other tests here use the embedded one."""
    program.variables["WOOXY_PIPEDRIVE_DATABASE_URL"] = postgres_url
    ended = program.connect("acme", "--default-region", "fi", "--consent", "require", "--on-delete", "keep")
    assert (ended.code, ended.err) == (0, "")
    assert "Next: wooxy-pipedrive match acme --export FILE" in ended.out
    assert program("status", "--json").json[0]["state"] == "draft"

    ended = program("sync", "acme")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("The matching of the connection acme has not been imported yet")

    ended = program("match", "acme", "--suggest")
    assert ended.code == 0
    assert "nothing is imported until you confirm with --import" in ended.out
    assert program("contacts", "acme", "--format", "json").json == []
    file = tmp_path / "matching.yaml"
    assert program("match", "acme", "--export", str(file)).code == 0
    content = yaml.safe_load(file.read_text("utf-8"))
    assert content["ignore_empty_values"] is True
    (city,) = [row for row in content["variables"] if row["pipedrive"] == "city"]
    assert city == {"pipedrive": "city", "label": "City", "wooxy": "city", "format": "String"}
    ended = program("match", "acme", "--import", str(file), "--overwrite-empty")
    assert ended.code == 0
    assert "Next: wooxy-pipedrive sync acme" in ended.out
    assert "Empty values overwrite stored ones." in program("match", "acme", "--show").out
    assert program("match", "acme", "--ignore-empty").out.startswith("Empty values leave stored ones")
    assert "Empty values are ignored." in program("match", "acme").out

    ended = program("sync", "acme", "--dry-run")
    assert ended.code == 0
    assert ended.out.startswith("Dry run: nothing was written. Would be 3 created, 0 updated")
    assert program("contacts", "acme", "--format", "json").json == []
    ended = program("sync", "acme")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("Synced: 3 created, 0 updated, 0 unchanged, 0 deleted, 0 rejected")
    contacts = program("contacts", "acme", "--format", "json").json
    assert len(contacts) == 3
    assert (
        program("status", "acme", "--json").json[0]["list_table"] == "shop_example_com.default_contact_list"
    )

    assert program("disconnect", "acme").code == 0
    assert program("sync", "acme").code == 1
    assert program("contacts", "acme", "--format", "json").json == contacts
    assert program.connect().code == 0
    ended = program("sync", "acme", "--remap")
    assert ended.out.startswith("Synced: 0 created, 0 updated, 3 unchanged")
    assert program("disconnect", "acme", "--forget").code == 0
    assert program("status", "--json").json == []


def test_many_deletions_need_the_option(program: CommandLine, tmp_path: Path) -> None:
    account = program.server.account
    for number in range(4, 31):
        add_person(account, number)
    program.connect()
    _import(program, tmp_path, ("emails", "email"), ("name", "name"))
    program.run_steps()
    for person_id in range(1, 26):
        account.delete_person(person_id)
    ended = program("sync", "acme", "--full")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == (
        "25 of the 30 contacts would be deleted at once, so nothing was written. See whether the token's user still "
        "sees all persons. If these deletions are right, run: wooxy-pipedrive sync acme --full --allow-mass-delete 25 "
        "(allow_mass_delete: 25 in the launchpad).\n"
    )
    assert "--allow-mass-delete 25" in program("status", "acme").out
    for wrong in ("24", "-1", "many"):
        ended = program("sync", "acme", "--full", "--allow-mass-delete", wrong)
        assert ended.code != 0
    assert len(program("contacts", "acme", "--format", "json").json) == 30
    ended = program("sync", "acme", "--allow-mass-delete", "25")
    assert ended.code == 0
    assert "25 deleted" in ended.out


def test_a_failed_run_prints_one_sentence_without_secrets(
    program: CommandLine,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No token appears in the home folder or the output, and no person in the output or the logs."""
    program.variables["WOOXY_PIPEDRIVE_PREVIEW"] = "masked"
    caplog.set_level(logging.DEBUG)
    account, faults = program.server.account, program.server.faults
    token = account.token
    said = [program.connect()]
    _import(
        program, tmp_path, ("emails", "email"), ("name", "name"), ("phones", "phoneNumber"), ("city", "town")
    )
    account.edit_person(1, emails=["odd address"], phones=["odd number"])
    faults.add(Fault("truncated_json", "/api/v2/persons", times=2))
    said.append(program("sync", "acme"))
    assert [ended.code for ended in said] == [0, 0]
    faults.clear()
    faults.add(Fault("scope_403", "/api/v2/persons", times=None))
    said.append(program("sync", "acme"))
    faults.clear()
    account.token = new_token()
    failed = program("sync", "acme")
    account.token = token
    said += [failed, program("issues", "acme"), program("status", "--json")]
    for ended in said[2:4]:
        assert (ended.code, ended.out) == (1, "")
        assert ended.err.count("\n") == 1
        assert "Traceback" not in ended.err
    assert "needs the scope" in said[2].err
    assert "401" in failed.err
    assert "valid API token" in failed.err

    told = "".join(ended.out + ended.err for ended in said) + caplog.text
    kept = b"".join(file.read_bytes() for file in program.home.rglob("*") if file.is_file())
    assert b"Person 2" in kept
    assert token not in told
    assert token.encode() not in kept
    for personal in ("Person 2", "person2@example.com", "100002", "odd address", "City 2"):
        assert personal not in told, personal
    # With masked previews, Dagster's storage contains no person either.
    dagster = b"".join(file.read_bytes() for file in (program.home / "dagster").rglob("*") if file.is_file())
    assert b"match_variables" in dagster
    for personal in ("Person 2", "person2@example.com", "100002", "odd address", "City 2"):
        assert personal.encode() not in dagster, personal


def test_exit_codes_and_output_of_a_real_process(program: CommandLine, tmp_path: Path) -> None:
    """What a shell sees: an empty stderr on success, one sentence and no traceback on failure."""
    program.connect()
    _import(program, tmp_path, ("emails", "email"))
    ended = program.process("sync", "acme")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("Synced: 3 created")
    ended = program.process("sync", "nowhere")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == "There is no connection named nowhere (there are: acme).\n"


def test_the_demo_once(program: CommandLine) -> None:
    ended = program.process("demo", "--once", "--persons", "25")
    assert (ended.code, ended.err) == (0, "")
    assert "Connected it as demo and matched" in ended.out
    assert "Synced 25 persons:" in ended.out
    # An earlier demo's list is reused.
    assert program("status", "demo", "--json").json[0]["state"] == "active"


def test_field_changes_are_shown_until_imported(program: CommandLine, tmp_path: Path) -> None:
    account = program.server.account
    assert program.connect().code == 0
    _import(program, tmp_path, ("emails", "email"), ("city", "town"))
    shown = program("match", "acme").out
    assert " new" not in shown
    for number in range(7):
        account.add_field(f"Fresh {number}", "varchar", code=f"fresh{number}")
    account.delete_field("city")
    program.run_steps()
    (row,) = program("status", "--json").json
    assert row["fields_waiting"] == [
        {"pipedrive": f"fresh{number}", "label": f"Fresh {number}"} for number in range(7)
    ]
    ((reason, label, key),) = [(red.pop("reason"), *sorted(red.values())) for red in row["red_rows"]]
    assert (label, key) == ("City", "city")
    assert "no longer in Pipedrive" in reason
    assert {change["kind"] for change in row["schema_changes"]} == {"new_field", "gone_field"}
    shown = program("match", "acme").out
    (fresh,) = [line for line in shown.splitlines() if "Fresh 3" in line and "gray" in line]
    assert "gray new" in fresh
    for ended in (shown, program("status").out):
        assert "Fresh 0, Fresh 1, Fresh 2, Fresh 3, Fresh 4 and 2 more" in ended
        assert "red, feeds nothing: City. The field is no longer in Pipedrive" in ended
        assert "The field City is gone from Pipedrive." in ended
    # A draft does not change what is waiting.
    assert program("match", "acme", "--suggest").code == 0
    assert program("status", "--json").json[0]["fields_waiting"] == row["fields_waiting"]
    _import(program, tmp_path, ("emails", "email"))
    assert program("status", "--json").json[0]["fields_waiting"] == []
    assert "new, not imported" not in program("match", "acme").out


def test_reconnecting_with_lost_fields_needs_the_option(program: CommandLine, tmp_path: Path) -> None:
    for number in range(12):
        program.server.account.add_field(f"Extra {number}", "varchar", code=f"extra{number}")
    assert program.connect().code == 0
    assert program("disconnect", "acme").code == 0
    for number in range(12):
        program.server.account.delete_field(f"extra{number}")
    ended = program.connect()
    assert ended.code == 1
    assert "lacks 12 of the 50 known fields" in ended.err
    assert "connect with --allow-lost-fields" in ended.err
    assert program.connect("acme", "--allow-lost-fields").code == 0


def test_a_rename_needs_the_option_or_an_answer(
    program: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program.connect()
    _import(program, tmp_path, ("emails", "email"), ("city", "town"))
    file = tmp_path / "matching.yaml"
    file.write_text(file.read_text("utf-8").replace("town", "place"), "utf-8")
    sentence = "Renames “town” to “place”; templates and segments that use “town” must be changed."
    ended = program("match", "acme", "--import", str(file))
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == f"{sentence} Nothing was imported; allow it with --allow-renames.\n"
    asked: list[str] = []

    def answering(answer: bool) -> None:
        def confirmed(question: str) -> bool:
            asked.append(question)
            return answer

        monkeypatch.setattr(match, "confirmed", confirmed)

    answering(False)
    assert program("match", "acme", "--import", str(file)).code == 1
    answering(True)
    assert "Renamed town to place." in program("match", "acme", "--import", str(file)).out
    assert asked == [f"{sentence}\nRename and import?"] * 2
    file.write_text(file.read_text("utf-8").replace("place", "town"), "utf-8")
    assert "Renamed place to town." in program("match", "acme", "--import", str(file), "--allow-renames").out
    assert len(asked) == 2


def test_the_empty_values_option_survives_discarding_a_draft(program: CommandLine, tmp_path: Path) -> None:
    program.connect()
    _import(program, tmp_path, ("emails", "email"))
    assert program("match", "acme", "--suggest").code == 0
    assert "The list follows with the next run." in program("match", "acme", "--overwrite-empty").out
    assert "Empty values overwrite stored ones." in program("match", "acme").out
    assert "Draft discarded: " in program("match", "acme", "--discard").out
    assert "Empty values overwrite stored ones." in program("match", "acme").out
    ended = program("match", "acme", "--discard")
    assert (ended.code, ended.err) == (1, "The connection acme has no draft that could be discarded.\n")


def test_domains_are_normalised_and_likely_typos_need_confirmation(program: CommandLine) -> None:
    assert program.connect("acme", domain="https://Shop.example.com/").out.startswith("Connected acme with ")
    for word in ("public", "sqlite"):
        assert "is not a domain" in program.connect("other", domain=word).err
    ended = program.connect("other", domain="shp.example.com")
    assert (ended.code, ended.out) == (1, "")
    assert "There is a list of shop.example.com, and none of shp.example.com." in ended.err
    assert "for shp.example.com." in program.connect("other", "--new-list", domain="shp.example.com").out


def test_a_rename_is_confirmed_on_a_terminal(program: CommandLine, tmp_path: Path) -> None:
    program.connect()
    _import(program, tmp_path, ("emails", "email"), ("city", "town"))
    file = tmp_path / "matching.yaml"
    file.write_text(file.read_text("utf-8").replace("town", "place"), "utf-8")
    ours, theirs = pty.openpty()
    os.write(ours, b"y\n")
    ended = subprocess.run(
        [PROGRAM, "match", "acme", "--import", file],
        env=program.full_environment,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    asked = os.read(ours, 10_000).decode()
    os.close(ours)
    os.close(theirs)
    assert "templates and segments that use “town” must be changed." in asked
    assert "Rename and import? [y/N]" in asked
    assert (ended.returncode, "Renamed town to place." in ended.stdout.decode()) == (0, True)


def test_a_variable_without_fitting_values_is_amber(program: CommandLine, tmp_path: Path) -> None:
    program.connect()
    _import(program, tmp_path, ("emails", "email"), ("city", "contactLanguage"))
    shown = program("match", "acme").out
    assert "▲ amber" in shown
    assert "3 of your 3 persons have a value and none fits: “City" in shown


def test_values_cannot_reverse_the_text_direction(program: CommandLine) -> None:
    for number in (1, 2, 3):
        program.server.account.edit_person(number, custom_fields={"city": "up\u202enwod"})
    program.connect()
    (line,) = [line for line in program("match", "acme").out.splitlines() if "City" in line]
    assert "up\ufffdnwod" in line


def test_contacts_for_a_spreadsheet(program: CommandLine, tmp_path: Path) -> None:
    """Names come from strangers' web forms, and a spreadsheet runs whatever looks like a formula."""
    program.server.account.edit_person(1, name='=HYPERLINK("http://x")', custom_fields={"city": "-2+3"})
    program.connect()
    _import(program, tmp_path, ("phones", "phoneNumber"), ("name", "name"), ("city", "city"))
    program.run_steps()
    file = tmp_path / "contacts.csv"
    ended = program("contacts", "acme", "--format", "spreadsheet", "--output", str(file))
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    assert file.stat().st_mode & 0o777 == 0o600
    with file.open(encoding="utf-8", newline="") as opened:
        first, *_ = csv.DictReader(opened)
    assert (first["name"], first["city"]) == ('\'=HYPERLINK("http://x")', "'-2+3")
    # Digits alone are not a formula.
    assert first["phoneNumber"].startswith("+358")
    plain = next(csv.DictReader(program("contacts", "acme", "--format", "csv").out.splitlines()))
    assert plain["city"] == "-2+3"
