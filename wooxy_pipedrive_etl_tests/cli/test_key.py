"""`wooxy-pipedrive key`, and what other commands say about a key that did not store the existing opt-outs."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import pytest
import typer

from wooxy_pipedrive_etl.store import Store, tables
from wooxy_pipedrive_etl_tests.cli.command_line import CommandLine

ACCEPT = ("key", "accept")


@pytest.fixture
def keyless(program: CommandLine, tmp_path: Path) -> CommandLine:
    """A connection with an opt-out, and no key file."""
    file = str(tmp_path / "matching.yaml")
    assert program.connect().code == 0
    program("match", "acme", "--suggest", "--export", file)
    assert program("match", "acme", "--import", file).code == 0
    with patch.dict("os.environ", program.environment):
        store = Store.open()
    with store.engine.begin() as db:
        (domain,), (key,) = db.execute(tables.domains.select()), db.execute(tables.keys.select())
        db.execute(
            tables.opt_outs.insert().values(
                domain_id=domain.id, phone_hash="h", channel="smsSubscribe", key_id=key.id
            )
        )
    store.close()
    (program.home / "key").unlink()
    return program


def test_every_command_reports_the_missing_key(keyless: CommandLine) -> None:
    for command in (
        ("status",),
        ("contacts", "acme"),
        ("issues", "acme"),
        ("match", "acme"),
        ("sync", "acme"),
        ("disconnect", "acme", "--forget"),
        ("webhook", "acme"),
        ("serve", "--port", "0"),
    ):
        ended = keyless(*command)
        assert ended.code == 1
        assert ended.err.startswith(
            f"The key file {keyless.home / 'key'} is missing, and WOOXY_PIPEDRIVE_KEY"
        )
        assert ended.err.count("\n") == 1
        assert "put the old key back from your backup" in ended.err
        assert "wooxy-pipedrive key accept --new-numbers-opted-out" in ended.err
        assert not (keyless.home / "key").exists()


def test_accepting_a_new_key_explains_what_changes(keyless: CommandLine) -> None:
    ended = keyless(*ACCEPT, "--new-numbers-opted-out")
    assert ended.code == 0
    assert "1 opt-outs that it can't read stay" in ended.out
    assert "Credentials are of another key, too: disconnect, and connect again" in ended.out
    assert "numbers that are new to the list are not subscribed" in keyless("status").out
    assert [row["new_numbers_opted_out"] for row in keyless("status", "--json").json] == [True]
    assert keyless("sync", "acme").err.startswith("The stored credentials can't be read with this key")
    assert keyless("disconnect", "acme").code == 0
    assert keyless.connect().code == 0


def test_forgetting_opt_outs_needs_a_second_option(keyless: CommandLine) -> None:
    ended = keyless(*ACCEPT, "--forget-opt-outs")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("Nothing was forgotten.")
    assert not (keyless.home / "key").exists()
    ended = keyless(*ACCEPT, "--forget-opt-outs", "--really-forget")
    assert ended.code == 0
    assert "1 opt-outs that it can't read are forgotten" in ended.out
    assert [row["new_numbers_opted_out"] for row in keyless("status", "--json").json] == [False]


@pytest.mark.parametrize(("typed", "code"), [("forget", 0), ("yes", 1)])
def test_a_person_at_the_terminal_is_asked(
    keyless: CommandLine, typed: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wooxy_pipedrive_etl.cli.key._is_watched", lambda: True)
    monkeypatch.setattr(typer, "prompt", lambda *_args, **_options: typed)
    assert keyless(*ACCEPT, "--forget-opt-outs").code == code


def test_one_answer_is_needed(keyless: CommandLine) -> None:
    for answers in ((), ("--new-numbers-opted-out", "--forget-opt-outs", "--really-forget")):
        assert keyless(*ACCEPT, *answers).err.startswith("Choose one: ")
