"""Dagster's `dg` finds the project in a checkout, and has no warnings."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import wooxy_pipedrive_etl.orchestration
from wooxy_pipedrive_etl.sync.selection import PRODUCTS
from wooxy_pipedrive_etl_tests.patience import PATIENCE_SECONDS

CHECKOUT = Path(__file__).parents[2]
SHIPPED = Path(wooxy_pipedrive_etl.orchestration.__path__[0]) / "dagster.yaml"


def _dg(home: Path, *arguments: str) -> str:
    """The output of `dg`; standard error must be empty."""
    ended = subprocess.run(
        [Path(sys.executable).with_name("dg"), *arguments],
        cwd=CHECKOUT,
        env={**os.environ, "DAGSTER_HOME": str(home), "PYTHONWARNINGS": "default"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


@pytest.fixture
def home(tmp_path: Path) -> Path:
    shutil.copyfile(SHIPPED, tmp_path / "dagster.yaml")
    return tmp_path


def test_dg_lists_the_definitions(home: Path) -> None:
    listed = json.loads(_dg(home, "list", "defs", "--json"))
    assert sorted(asset["asset_key"] for asset in listed["assets"]) == sorted(PRODUCTS)


def test_dg_finds_nothing_wrong(home: Path) -> None:
    assert "All definitions loaded successfully." in _dg(home, "check", "defs")
