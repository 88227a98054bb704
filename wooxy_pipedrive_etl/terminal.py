"""What the command line reads and writes: standard input and output, files, and `-`, which means either."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

# On a screen these could do anything, or reverse the rest of the line, and a label in Pipedrive may contain them.
_CONTROLS = dict.fromkeys(
    [*range(9), *range(11, 32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A)], "\ufffd"
)


class FileUnusable(Exception):
    """A file can't be read or written; the message is a sentence for a person."""


def prepare() -> None:
    """Makes every text printable, whatever the locale. Pipes and files get UTF-8, like all files that we write; a
    screen shows what it can."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="replace")


def typed_text(argument: str | None) -> str | None:
    """An argument as it was typed: an ASCII-only locale leaves other characters as bytes that no database accepts."""
    return None if argument is None else os.fsencode(argument).decode("utf-8", errors="replace")


def say(sentence: str, *, beside: Path | None = None) -> None:
    """Prints a line for the user: to standard output, unless the file `beside` goes there."""
    stream = sys.stderr if is_standard(beside) else sys.stdout
    stream.write(printable(sentence) + "\n")


def printable(text: str) -> str:
    """The text without anything that could change more of a screen than its own place."""
    return text.translate(_CONTROLS)


def is_standard(path: Path | None) -> bool:
    return path == Path("-")


def read_text(path: Path) -> str:
    """Raises FileUnusable."""
    shown = "Standard input" if is_standard(path) else str(path)
    try:
        content = sys.stdin.buffer.read() if is_standard(path) else path.read_bytes()
        # As in a file opened as text: with one kind of line ending.
        return io.TextIOWrapper(io.BytesIO(content), encoding="utf-8").read()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise FileUnusable(f"{shown} can't be read ({reason}).") from None


def write_text(path: Path, text: str) -> None:
    """Raises FileUnusable."""
    if is_standard(path):
        sys.stdout.write(text)
        return
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise FileUnusable(f"{path} can't be written ({error.strerror}).") from None


@contextmanager
def private_file(path: Path | None) -> Iterator[TextIO]:
    """For personal data: writes a file that only its owner can read, completely or not at all; None is standard output.

    Raises FileUnusable.
    """
    if path is None or is_standard(path):
        yield sys.stdout
        return
    try:
        if path.exists() and not path.is_file():
            # A pipe or a device accepts anything.
            with path.open("w", encoding="utf-8", newline="") as file:
                yield file
        else:
            with _replaced(path.resolve()) as file:
                yield file
    except BrokenPipeError:
        raise
    except OSError as error:
        raise FileUnusable(f"{path} can't be written ({error.strerror}).") from None


@contextmanager
def _replaced(path: Path) -> Iterator[TextIO]:
    aside = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(handle, "w", encoding="utf-8", newline="") as file:
            yield file
        os.replace(aside, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(aside)
        raise
