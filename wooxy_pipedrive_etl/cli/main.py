"""The program: its commands, in the order of the help, and how it reports errors."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from wooxy_pipedrive_etl.loading import end_quickly
from wooxy_pipedrive_etl.terminal import FileUnusable, prepare, say

from . import connections, key, look, match, services, sync

app = typer.Typer(
    name="wooxy-pipedrive",
    help="Keeps the Default Contact List of a Wooxy domain equal to the persons of a Pipedrive account.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        say(f"wooxy-pipedrive {version('wooxy-pipedrive-etl')}")
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and end.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """The options of the top level."""


for _command in (
    connections.connect,
    match.match,
    sync.sync,
    look.status,
    look.contacts,
    look.issues,
    connections.disconnect,
    connections.webhook,
    services.serve,
    services.prepare,
    services.sandbox,
    services.demo,
):
    app.command()(_command)
_keys = typer.Typer(help="The key that credentials and opt-outs are stored with.", no_args_is_help=True)
_keys.command()(key.accept)
app.add_typer(_keys, name="key")


def main() -> None:
    """The program's entry point: errors in one sentence on stderr, exit code 0 only on success."""
    prepare()
    end_quickly()
    try:
        app(prog_name="wooxy-pipedrive")
    except KeyboardInterrupt:
        _fail("Stopped.", 130)
    except BrokenPipeError:
        # The program that read our output (`| head`) has ended.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        sentence = _sentence_of(error)
        if sentence is None:
            raise
        _fail(sentence, _exit_code(error))


def _sentence_of(error: Exception) -> str | None:
    """The message for an expected error; None for a defect."""
    from wooxy_pipedrive_etl.failures import EXPECTED_ERRORS
    from wooxy_pipedrive_etl.store.errors import DATABASE_ERRORS
    from wooxy_pipedrive_etl.store.sentences import database_sentence

    if isinstance(error, (FileUnusable, *EXPECTED_ERRORS)):
        return str(error)
    return database_sentence(error) if isinstance(error, DATABASE_ERRORS) else None


def _exit_code(error: Exception) -> int:
    """128 plus the signal's number, as in a shell, if a signal ended the run; otherwise 1."""
    from wooxy_pipedrive_etl.errors import Stopped

    return 128 + error.signal_number if isinstance(error, Stopped) else 1


def _fail(message: str, code: int = 1) -> None:
    sys.stderr.write(message.rstrip() + "\n")
    sys.exit(code)
