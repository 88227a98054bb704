"""The program with a small account: connected afresh, or synced once for all tests that only read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from wooxy_pipedrive_etl.pipedrive.budget import PROCESS_BUDGETS
from wooxy_pipedrive_etl.sandbox.pipedrive import Limits, SandboxServer
from wooxy_pipedrive_etl_tests.patience import PATIENCE_SECONDS
from wooxy_pipedrive_etl_tests.scenario import FakeClock, small_account

from .command_line import CommandLine


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """Replaces the client's real waits."""
    clock = FakeClock()
    monkeypatch.setattr(PROCESS_BUDGETS, "clock", clock)
    return clock


@pytest.fixture
def program(tmp_path: Path) -> Iterator[CommandLine]:
    """With the embedded database, and nothing connected."""
    limits = Limits(burst_per_2s=100_000, webhook_timeout_seconds=PATIENCE_SECONDS)
    with SandboxServer(small_account(), limits=limits) as server:
        yield CommandLine(tmp_path / "home", server, {})


@pytest.fixture(scope="session")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """The connection acme, imported and synced, with several kinds of issues. Tests must not change it."""
    account = small_account(4)
    account.edit_person(2, emails=["no address"], phones=["no number"])
    account.create_person(name="Twin", emails=["PERSON1@example.com"])
    account.edit_person(3, phones=["12"])
    home = tmp_path_factory.mktemp("cli")
    with SandboxServer(account, limits=Limits(burst_per_2s=100_000)) as server:
        program = CommandLine(home / "home", server, {})
        assert program.connect().code == 0
        assert program("match", "acme", "--suggest").code == 0
        file = str(home / "matching.yaml")
        assert program("match", "acme", "--export", file).code == 0
        assert program("match", "acme", "--import", file).code == 0
        program.run_steps()
        yield program
