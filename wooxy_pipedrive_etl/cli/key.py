"""`key accept`: decides what to do with opt-outs whose key is lost."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from wooxy_pipedrive_etl.terminal import say


def accept(
    new_numbers_opted_out: Annotated[
        bool,
        typer.Option(
            "--new-numbers-opted-out", help="Numbers that are new to a list are not subscribed, from now on."
        ),
    ] = False,
    forget_opt_outs: Annotated[
        bool,
        typer.Option(
            "--forget-opt-outs",
            help="Forget them: people who opted out may be subscribed again. Asked for twice.",
        ),
    ] = False,
    really_forget: Annotated[
        bool,
        typer.Option("--really-forget", help="Confirms --forget-opt-outs without a question."),
    ] = False,
) -> None:
    """Go on with another key than the one that opt-outs in the database were stored with.

    First look for the old key in your backup: put back, it reads all of them again, and nothing is lost.
    """
    from wooxy_pipedrive_etl.errors import SyncError
    from wooxy_pipedrive_etl.store import keys
    from wooxy_pipedrive_etl.store.database import open_database
    from wooxy_pipedrive_etl.store.home import database_url, home
    from wooxy_pipedrive_etl.store.migrations import upgrade
    from wooxy_pipedrive_etl.store.secrets import open_secret_box

    if new_numbers_opted_out == forget_opt_outs:
        raise SyncError("Choose one: --new-numbers-opted-out or --forget-opt-outs.")
    if forget_opt_outs and not (really_forget or _typed("forget")):
        raise SyncError(
            "Nothing was forgotten. Whoever opted out could be subscribed again; if that is right, say it twice: "
            "wooxy-pipedrive key accept --forget-opt-outs --really-forget"
        )
    engine = open_database(database_url())
    upgrade(engine)
    secrets = open_secret_box(home)
    count = keys.accept(engine, secrets, forget_opt_outs=forget_opt_outs)
    if not count:
        say("The key may be used, and there are no opt-outs that it can't read.")
    elif forget_opt_outs:
        say(f"The key may be used. {count} opt-outs that it can't read are forgotten.")
    else:
        say(
            f"The key may be used. {count} opt-outs that it can't read stay, and numbers that are new to their lists "
            "are not subscribed, until you run: wooxy-pipedrive key accept --forget-opt-outs"
        )
    if not keys.reads_all_credentials(engine, secrets):
        say(
            "Credentials are of another key, too: disconnect, and connect again, each connection that has any."
        )


def _typed(word: str) -> bool:
    """Whether a user at the terminal types the word when asked to; False if there is none."""
    if not _is_watched():
        return False
    say(
        "Whoever opted out may be subscribed again. Restoring the old key from a backup would keep all opt-outs."
    )
    given: str = typer.prompt(f"Type {word} to forget them all", default="", show_default=False)
    return given.strip() == word


def _is_watched() -> bool:
    return sys.stdin.isatty()
