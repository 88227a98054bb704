"""Bad input gets exit code 1 and one sentence per problem on stderr, and changes nothing."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from wooxy_pipedrive_etl_tests.cli.command_line import CommandLine, Ended


def _sentence(ended: Ended) -> str:
    assert (ended.code, ended.out) == (1, "")
    assert "Traceback" not in ended.err
    assert ended.err.endswith("\n")
    assert ended.err.count("\n") == 1, ended.err
    return ended.err.strip()


def test_an_unknown_connection(synced: CommandLine) -> None:
    for command in (
        ["match", "nowhere"],
        ["sync", "nowhere"],
        ["status", "nowhere"],
        ["contacts", "nowhere", "--format", "json"],
        ["issues", "nowhere"],
        ["disconnect", "nowhere", "--forget"],
        ["webhook", "nowhere"],
        ["webhook", "nowhere", "--remove"],
    ):
        assert _sentence(synced(*command)) == "There is no connection named nowhere (there are: acme)."


def test_connecting_with_invalid_settings_is_refused(synced: CommandLine) -> None:
    before = synced("status", "--json").json
    assert "acme exists already" in _sentence(synced.connect())
    assert "fed by the connection acme already" in _sentence(synced.connect("other"))
    synced.variables["TOKEN"] = " "
    try:
        empty = _sentence(synced.connect("other", domain="other.example.com"))
        assert empty == "The environment variable TOKEN is empty; put the API token there."
        synced.variables["TOKEN"] = "wrong"
        assert "valid API token" in _sentence(synced.connect("other", domain="other.example.com"))
    finally:
        del synced.variables["TOKEN"]
    for option, value, words in (
        ("--default-region", "Finland", "is not a region"),
        ("--domain", "no domain", "is not a domain"),
        ("--api-url", "http://acme.example", "https"),
        ("--api-url", "http://127.0.0.1:9", "GET /api/v1/users/me failed"),
    ):
        assert words in _sentence(synced.connect("other", option, value, domain="other.example.com"))
    assert synced("status", "--json").json == before


def test_options_that_contradict_each_other(synced: CommandLine, tmp_path: Path) -> None:
    assert "not both" in _sentence(synced("sync", "acme", "--full", "--remap"))
    alone = synced("match", "acme", "--import", str(tmp_path / "x"), "--suggest")
    assert "--import stands alone" in _sentence(alone)
    ended = synced("contacts", "acme", "--format", "xml")
    assert (ended.code, ended.out) == (2, "")
    assert "xml" in ended.err


MALFORMED = {
    "empty": ("", ["The file is empty."]),
    "no YAML": ("variables: [", ["not valid YAML, line 1"]),
    "another thing": ("just text", ["The file"]),
    "unknown names": ("ignore_empty_values: true\nvariables: []\nmore: 1\n", ["more"]),
    "wrong types": (
        "ignore_empty_values: maybe\nvariables:\n  - {pipedrive: city, wooxy: 5, format: Text}\n",
        ["ignore_empty_values", "Row 1", "Row 1"],
    ),
    "rules, row by row": (
        "ignore_empty_values: true\n"
        "variables:\n"
        "  - {pipedrive: emails, wooxy: email, format: String}\n"
        "  - {pipedrive: city, wooxy: Bad Name, format: String}\n"
        "  - {pipedrive: nowhere, wooxy: fine, format: String}\n"
        "  - {pipedrive: note, wooxy: createdAt, format: String}\n"
        "  - {pipedrive: colour, wooxy: shade, format: String}\n"
        "  - {pipedrive: name, wooxy: shade, format: String}\n",
        ["Row 2", "Row 3", "Row 4", "Row 5", "Row 6"],
    ),
    "an alias": ("ignore_empty_values: &a true\nvariables: *a\n", ["alias"]),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_all_errors_of_a_matching_file_are_listed(synced: CommandLine, tmp_path: Path, case: str) -> None:
    text, named = MALFORMED[case]
    kept, file = tmp_path / "kept.yaml", tmp_path / "matching.yaml"
    synced("match", "acme", "--export", str(kept))
    before = kept.read_text("utf-8"), synced("contacts", "acme", "--format", "json").out
    file.write_text(text, "utf-8")
    ended = synced("match", "acme", "--import", str(file))
    assert (ended.code, ended.out) == (1, "")
    lines = ended.err.splitlines()
    assert len(lines) == len(named), ended.err
    for line, words in zip(lines, named, strict=True):
        assert words in line
    synced("match", "acme", "--export", str(kept))
    assert (kept.read_text("utf-8"), synced("contacts", "acme", "--format", "json").out) == before


def test_files_that_cannot_be_read_or_written(synced: CommandLine, tmp_path: Path) -> None:
    nowhere = str(tmp_path / "no folder" / "file")
    assert "can't be read" in _sentence(synced("match", "acme", "--import", nowhere))
    assert "can't be written" in _sentence(synced("match", "acme", "--export", nowhere))
    assert "can't be written" in _sentence(synced("contacts", "acme", "--output", nowhere))
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00")
    assert "not UTF-8" in _sentence(synced("match", "acme", "--import", str(binary)))


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("no url", "is not a SQLAlchemy URL"),
        ("mysql://root@localhost/list", "use sqlite or postgresql"),
        ("sqlite://", "in memory"),
        ("sqlite:////proc/nowhere/list.db", "can't be opened"),
        ("postgresql://user:hidden-word@127.0.0.1:9/list", "can't be opened"),
    ],
)
def test_a_database_that_cannot_be_opened(program: CommandLine, url: str, words: str) -> None:
    program.variables["WOOXY_PIPEDRIVE_DATABASE_URL"] = url
    for command in (["status"], ["sync", "acme"]):
        told = _sentence(program(*command))
        assert words in told
        assert "hidden-word" not in told


def test_dagsters_storage_that_cannot_be_read(program: CommandLine) -> None:
    """It is a database too, but not the list's."""
    program.connect()
    storage = program.home / "dagster" / "history" / "runs.db"
    storage.parent.mkdir(parents=True)
    storage.write_text("Dear all, " * 1_000)
    assert _sentence(program("sync", "acme")) == (
        "Dagster's storage in DAGSTER_HOME is damaged, or its file is not a database (SQLITE_NOTADB); "
        "restore a back-up."
    )


def test_a_home_folder_that_cannot_be_created(program: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    program.variables["WOOXY_PIPEDRIVE_HOME"] = str(tmp_path / "file" / "home")
    assert "set WOOXY_PIPEDRIVE_HOME" in _sentence(program("status"))


def test_a_port_already_in_use(program: CommandLine) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for command in ("sandbox", "demo"):
            assert port in _sentence(program(command, "--port", port))
