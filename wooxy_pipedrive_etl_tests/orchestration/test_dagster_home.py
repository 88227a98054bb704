"""Dagster's folder, made by whichever process comes first."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from wooxy_pipedrive_etl_tests.patience import PATIENCE_SECONDS

# Imports everything first, so that all processes find the folder missing at the same moment.
_AT_ONCE = """
import os, sys
from wooxy_pipedrive_etl.orchestration.dagster_home import open_dagster

read, write = os.pipe()
children = []
for _ in range(6):
    child = os.fork()
    if child == 0:
        os.close(write)
        os.read(read, 1)
        with open_dagster() as instance:
            instance.get_runs_count()
        os._exit(0)
    children.append(child)
os.close(write)
sys.exit(any([os.waitpid(child, 0)[1] for child in children]))
"""


def test_programs_starting_together_create_one_storage(tmp_path: Path) -> None:
    folder = tmp_path / "dagster"
    subprocess.run(
        [sys.executable, "-c", _AT_ONCE],
        env=os.environ | {"DAGSTER_HOME": str(folder)},
        check=True,
        timeout=PATIENCE_SECONDS,
        stderr=subprocess.DEVNULL,
    )
    assert (folder / "dagster.yaml").read_text() == Path("dagster.yaml").read_text()
    databases = [folder / "schedules" / "schedules.db", folder / "history" / "runs.db"]
    for path in databases:
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,), path


def test_prepare_keeps_existing_files(tmp_path: Path) -> None:
    folder = tmp_path / "dagster"
    folder.mkdir()
    (folder / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    program = Path(sys.executable).with_name("wooxy-pipedrive")
    for _ in range(2):
        done = subprocess.run(
            [program, "prepare"],
            env=os.environ | {"DAGSTER_HOME": str(folder)},
            check=True,
            capture_output=True,
            text=True,
        )
        assert done.stdout == f"Dagster's folder is ready: {folder}\n"
    assert (folder / "dagster.yaml").read_text() == "telemetry:\n  enabled: false\n"
    assert (folder / "history" / "runs.db").exists()
