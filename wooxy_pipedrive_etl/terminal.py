"""What the command line reads and writes: standard input and output, files, and `-`, which stands for either."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

# On a screen these could do anything, or turn the rest of the line around, and a label in Pipedrive may hold them.
_CONTROLS = dict.fromkeys(
    [*range(9), *range(11, 32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A)], "\ufffd"
)


class FileUnusable(Exception):
    """A file can't be read or written; the message is a sentence for a person."""


def prepare() -> None:
    """Lets every text be printed, whatever the locale. Pipes and files get UTF-8, as all files that we write do; a
    screen shows what it can."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="replace")


def typed_text(argument: str | None) -> str | None:
    """An argument as it was typed: a locale that knows ASCII only leaves the rest as bytes that no database takes."""
    return None if argument is None else os.fsencode(argument).decode("utf-8", errors="replace")


def say(sentence: str, *, beside: Path | None = None) -> None:
    """A line for a person: on standard output, unless the file `beside` goes there."""
    stream = sys.stderr if is_standard(beside) else sys.stdout
    stream.write(printable(sentence) + "\n")


def printable(text: str) -> str:
    """The text without what could change anything on a screen but its own place."""
    return text.translate(_CONTROLS)


def is_standard(path: Path | None) -> bool:
    return path == Path("-")


def read_text(path: Path) -> str:
    """Raises FileUnusable."""
    shown = "Standard input" if is_standard(path) else str(path)
    try:
        content = sys.stdin.buffer.read() if is_standard(path) else path.read_bytes()
        # As a file that is opened for text: with one kind of line end.
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
    """For people's data: a file that is its owner's alone, and whole or not there; None is standard output.

    Raises FileUnusable.
    """
    if path is None or is_standard(path):
        yield sys.stdout
        return
    try:
        if path.exists() and not path.is_file():
            # A pipe or a device takes what comes.
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
