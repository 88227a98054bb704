"""`-` as a file, files with personal data, and output under unusual locales."""

from __future__ import annotations

import json
import os
import stat
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from wooxy_pipedrive_etl.sandbox.pipedrive import Limits, SandboxServer
from wooxy_pipedrive_etl_tests.cli.command_line import CommandLine
from wooxy_pipedrive_etl_tests.scenario import small_account

ASCII_ONLY = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": ""}


def test_version(program: CommandLine) -> None:
    ended = program("--version")
    assert (ended.code, ended.out, ended.err) == (
        0,
        f"wooxy-pipedrive {version('wooxy-pipedrive-etl')}\n",
        "",
    )
    # It needs neither the database nor the folder.
    assert not program.home.exists()


def test_a_matching_can_be_piped_between_programs(program: CommandLine) -> None:
    program.connect()
    exported = program("match", "acme", "--export", "-", "--suggest", "--show")
    assert exported.code == 0
    assert yaml.safe_load(exported.out)["variables"]
    # Messages for the user stay out of the file.
    assert "suggestions used" in exported.err
    assert "Empty values are ignored." in exported.err
    assert "Wrote the matching" not in exported.out + exported.err
    imported = program("match", "acme", "--import", "-", stdin=exported.out.encode())
    assert (imported.code, imported.err) == (0, "")
    assert "variables are matched" in imported.out


def test_standard_input_must_be_utf8_text(program: CommandLine) -> None:
    program.connect()
    ended = program("match", "acme", "--import", "-", stdin=b"\xff\xfe\x00")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == "Standard input can't be read (it is not UTF-8 text).\n"


def test_contacts_into_standard_output(synced: CommandLine) -> None:
    shown = synced("contacts", "acme", "--format", "csv")
    assert synced("contacts", "acme", "--format", "csv", "--output", "-") == shown
    assert not Path("-").exists()


def test_only_the_owner_can_read_exported_contacts(synced: CommandLine, tmp_path: Path) -> None:
    file, open_to_all = tmp_path / "contacts.json", tmp_path / "older.json"
    open_to_all.write_text("older", "utf-8")
    open_to_all.chmod(0o644)
    for each in (file, open_to_all):
        assert synced("contacts", "acme", "--format", "json", "--output", str(each)).code == 0
        assert stat.S_IMODE(each.stat().st_mode) == 0o600
        assert len(json.loads(each.read_text("utf-8"))) == 3
    assert sorted(tmp_path.iterdir()) == [file, open_to_all]


def test_a_failed_export_leaves_the_old_file(synced: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "contacts.json"
    file.write_text("older", "utf-8")
    assert synced("contacts", "nowhere", "--output", str(file)).code == 1
    assert file.read_text("utf-8") == "older"
    assert list(tmp_path.iterdir()) == [file]


def test_contacts_can_be_written_to_a_device(synced: CommandLine) -> None:
    assert synced("contacts", "acme", "--format", "json", "--output", os.devnull).code == 0
    assert Path(os.devnull).is_char_device()


@pytest.mark.parametrize("format", ["table", "csv", "json"])
def test_an_ascii_locale_does_not_garble_output(accented: CommandLine, format: str) -> None:
    ended = accented.process("contacts", "acme", "--format", format, **ASCII_ONLY)
    assert (ended.code, ended.err) == (0, "")
    assert "Ünal 見本" in ended.out


def test_an_ascii_locale_does_not_garble_errors(accented: CommandLine) -> None:
    ended = accented.process("contacts", "näyte", **ASCII_ONLY)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == "There is no connection named näyte (there are: acme).\n"


@pytest.fixture(scope="module")
def accented(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """A list with a contact whose name is not ASCII. Tests must not change it."""
    home = tmp_path_factory.mktemp("accented")
    account = small_account(1)
    account.edit_person(1, name="Ünal 見本")
    with SandboxServer(account, limits=Limits(burst_per_2s=100_000)) as server:
        program = CommandLine(home / "home", server, {})
        assert program.connect().code == 0
        matching = program("match", "acme", "--export", "-").out
        assert program("match", "acme", "--import", "-", stdin=matching.encode()).code == 0
        program.run_steps()
    return program
