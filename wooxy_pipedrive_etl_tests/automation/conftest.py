"""Keeps the tests of this folder off the user's own files and away from real waits."""

from __future__ import annotations

from pathlib import Path

import pytest

from wooxy_pipedrive_etl_tests.scenario import FakeClock, isolate


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeClock:
    return isolate(monkeypatch, tmp_path)
