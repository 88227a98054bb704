"""What several commands use to read arguments, print and ask."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wooxy_pipedrive_etl.terminal import is_standard, printable, say, typed_text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

    from wooxy_pipedrive_etl.views.status import ConnectionStatus

Name = Annotated[str, typer.Argument(metavar="NAME", help="The connection's name.", callback=typed_text)]

# The width of a table when the output is not a screen.
_WIDTH = 250
# How many lines of a kind are enough for an overview.
SHOWN = 5


def print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def escaped(text: str | None) -> str:
    """Labels and values are other people's text, not our markup."""
    from rich.markup import escape

    return escape(printable(text or ""))


def console(beside: Path | None = None) -> Console:
    """For tables; when the output is not a screen, a line is as wide as its content. `beside`: as in `say`."""
    from rich.console import Console

    stream = sys.stderr if is_standard(beside) else sys.stdout
    return Console(file=stream, soft_wrap=True, highlight=False, width=None if stream.isatty() else _WIDTH)


def confirmed(question: str) -> bool:
    """Whether the user says yes; no if nobody can be asked."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    return typer.confirm(question, err=True)


@contextmanager
def progress_bars() -> Iterator[None]:
    """Bars when a user is watching; otherwise no output in between."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from wooxy_pipedrive_etl.sync import progress

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def watch(what: str, done: int, total: int | None) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        progress.watch(watch)
        yield


def print_schema(standing: ConnectionStatus, indent: str, *, beside: Path | None = None) -> None:
    """The latest changes in Pipedrive's fields, and which of them need the user."""
    from wooxy_pipedrive_etl.views.status import instant

    for change in standing.schema_changes[:SHOWN]:
        say(f"{indent}{instant(change.recorded_at)} {change.message}", beside=beside)
    waiting, red = standing.fields_waiting, standing.red_rows
    if waiting:
        labels = ", ".join(field.label for field in waiting[:SHOWN])
        more = f" and {len(waiting) - SHOWN} more" if len(waiting) > SHOWN else ""
        say(f"{indent}new, not imported until you match and import them: {labels}{more}", beside=beside)
    for field in red[:SHOWN]:
        say(f"{indent}red, feeds nothing: {field.label}. {field.reason}", beside=beside)
    if len(red) > SHOWN:
        say(f"{indent}and {len(red) - SHOWN} more red rows", beside=beside)
