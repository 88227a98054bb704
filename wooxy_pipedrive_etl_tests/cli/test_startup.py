"""What a command imports: help and status load nothing that only a run needs."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from pathlib import Path

import pytest

from wooxy_pipedrive_etl.loading import loading
from wooxy_pipedrive_etl_tests.cli.command_line import CommandLine, Ended

HEAVY = {
    *(
        "alembic",
        "cryptography",
        "dagster",
        "filelock",
        "httpx",
        "jsonschema",
        "numpy",
        "pandas",
        "phonenumbers",
    ),
    *("psycopg", "starlette", "tenacity", "uvicorn", "yaml"),
}
# Runs the command, then reports which modules of HEAVY are loaded.
_PROGRAM = """
import json, sys
from wooxy_pipedrive_etl.cli import main
wanted = set(json.loads(sys.argv.pop(1)))
try:
    main()
finally:
    print("LOADED", json.dumps(sorted(wanted & set(sys.modules))), file=sys.stderr)
"""


def _loaded(program: CommandLine, *arguments: str) -> tuple[Ended, set[str]]:
    command = [sys.executable, "-c", _PROGRAM, json.dumps(sorted(HEAVY | {"sqlalchemy"})), *arguments]
    ended = subprocess.run(
        command, env=program.full_environment, capture_output=True, encoding="utf-8", timeout=120, check=False
    )
    told, _, loaded = ended.stderr.partition("LOADED")
    return Ended(ended.returncode, ended.stdout, told), set(json.loads(loaded))


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["status", "--help"], ["sync", "--help"]])
def test_help_loads_next_to_nothing(program: CommandLine, arguments: list[str]) -> None:
    ended, loaded = _loaded(program, *arguments)
    assert (ended.code, ended.err) == (0, "")
    assert loaded == set()


@pytest.mark.parametrize("arguments", [["status"], ["status", "acme", "--json"]])
def test_the_status_loads_the_database_alone(synced: CommandLine, arguments: list[str]) -> None:
    ended, loaded = _loaded(synced, *arguments)
    assert (ended.code, ended.err) == (0, "")
    assert "acme" in ended.out
    assert loaded == {"sqlalchemy"}


def test_the_list_is_written_without_pandas(synced: CommandLine, tmp_path: Path) -> None:
    for format in ("csv", "json", "table"):
        ended, loaded = _loaded(
            synced, "contacts", "acme", "--format", format, "--output", str(tmp_path / format)
        )
        assert (ended.code, ended.err) == (0, "")
        assert not loaded & {"dagster", "pandas", "alembic", "httpx"}


def test_loaded_libraries_are_excluded_from_garbage_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    frozen: list[bool] = []
    monkeypatch.setattr(gc, "freeze", lambda: frozen.append(gc.isenabled()))
    with loading():
        assert not gc.isenabled()
    assert (gc.isenabled(), frozen) == (True, [])
    with loading():
        monkeypatch.setitem(sys.modules, "a_library", sys)
    assert (gc.isenabled(), frozen) == (True, [False])


def test_the_program_exits_without_garbage_collection(program: CommandLine) -> None:
    command = _PROGRAM.replace("import json, sys", "import atexit, gc, json, sys").replace(
        "try:",
        "atexit.register(lambda: print('FROZEN', gc.get_freeze_count() > 0, file=sys.stderr))\ntry:",
        1,
    )
    ended = subprocess.run(
        [sys.executable, "-c", command, "[]", "--version"],
        env=program.full_environment,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=True,
    )
    assert "FROZEN True" in ended.stderr
