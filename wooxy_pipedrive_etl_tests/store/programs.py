"""Other programs on the same database: real processes driven over pipes, so that no test depends on timing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from wooxy_pipedrive_etl_tests.patience import running


@contextmanager
def program(code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Runs Python code in a separate process, which always ends with the context."""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with running([sys.executable, "-c", code, *arguments], **pipes) as process:
        yield process


def read_line(process: subprocess.Popen[str]) -> str:
    """Waits for a line from the program."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def say(process: subprocess.Popen[str]) -> None:
    """Lets the program continue from its `input()`."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
