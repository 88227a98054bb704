"""How long a test waits for something that must come.

On a busy machine everything takes many times longer. Every wait ends as soon as the result is there, so a long limit
costs nothing unless something is broken. Nothing here measures speed; `benchmarks/` does.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx

# Less than pytest allows a test (pyproject.toml), so that it fails with a sentence about what is missing.
PATIENCE_SECONDS = 240.0
PATIENCE_MILLISECONDS = PATIENCE_SECONDS * 1000

_SECONDS_BETWEEN_LOOKS = 0.01


def wait_until(come: Callable[[], object], what: str) -> None:
    """Checks again and again. `what`: the end of the sentence “There is still …”."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not come():
        if time.monotonic() > deadline:
            raise AssertionError(f"After {PATIENCE_SECONDS:g} seconds there is still {what}.")
        time.sleep(_SECONDS_BETWEEN_LOOKS)


def wait_for_end_of_threads(prefix: str) -> None:
    """Waits for all threads whose names begin like this."""

    def left() -> list[str]:
        return [thread.name for thread in threading.enumerate() if thread.name.startswith(prefix)]

    wait_until(lambda: not left(), f"a thread {prefix}…")


def join(thread: threading.Thread) -> None:
    thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive(), (
        f"After {PATIENCE_SECONDS:g} seconds the thread {thread.name} is still at work."
    )


def http_client(**options: Any) -> httpx.Client:
    """httpx waits 5 seconds for an answer by default."""
    return httpx.Client(**{"trust_env": False, "timeout": PATIENCE_SECONDS, **options})


@contextmanager
def running(command: Sequence[object], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A separate process, ended in any case when the context ends. `options`: those of `subprocess.Popen`."""
    with subprocess.Popen(list(map(str, command)), **{"text": True, **options}) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for_end(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Waits for a process that was told to end; returns its exit code, output and errors."""
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    return process.returncode, out, err
