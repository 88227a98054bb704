"""How long a test waits for what is bound to come.

Beside other work everything takes many times longer than alone. Every wait ends as soon as what it waits for is there:
a long limit costs nothing, unless something is broken. Nothing here is a measure of speed: that is what
`benchmarks/` is for.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx

# Less than pytest gives a test (pyproject.toml), so that it ends with a sentence about what did not come.
PATIENCE_SECONDS = 240.0
PATIENCE_MILLISECONDS = PATIENCE_SECONDS * 1000

_SECONDS_BETWEEN_LOOKS = 0.01


def wait_until(come: Callable[[], object], what: str) -> None:
    """Looks again and again. `what`: the end of the sentence “There is still …”."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not come():
        if time.monotonic() > deadline:
            raise AssertionError(f"After {PATIENCE_SECONDS:g} seconds there is still {what}.")
        time.sleep(_SECONDS_BETWEEN_LOOKS)


def wait_for_end_of_threads(prefix: str) -> None:
    """Of all threads whose names begin like that."""

    def left() -> list[str]:
        return [thread.name for thread in threading.enumerate() if thread.name.startswith(prefix)]

    wait_until(lambda: not left(), f"a thread {prefix}…")


def join(thread: threading.Thread) -> None:
    thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive(), (
        f"After {PATIENCE_SECONDS:g} seconds the thread {thread.name} is still at work."
    )


def http_client(**options: Any) -> httpx.Client:
    """httpx itself gives an answer 5 seconds."""
    return httpx.Client(**{"trust_env": False, "timeout": PATIENCE_SECONDS, **options})


@contextmanager
def running(command: Sequence[object], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A process of its own, which is gone afterwards, whatever happens. `options`: those of `subprocess.Popen`."""
    with subprocess.Popen(list(map(str, command)), **{"text": True, **options}) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for_end(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Waits for the end of a process that was told to end: its exit code, output and errors."""
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    return process.returncode, out, err
