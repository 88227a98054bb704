"""`status`, `contacts` and `issues`: commands that change nothing."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from wooxy_pipedrive_etl.loading import loading
from wooxy_pipedrive_etl.terminal import private_file, say, typed_text

from .common import Name, console, escaped, print_json, print_schema


class ContactFormat(StrEnum):
    table = "table"
    csv = "csv"
    spreadsheet = "spreadsheet"
    json = "json"


def status(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="One connection; all without it.", callback=typed_text),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """How the connections stand."""
    with loading():
        from wooxy_pipedrive_etl.store import Store
        from wooxy_pipedrive_etl.views.status import statuses

    found = statuses(Store.open(), name)
    if as_json:
        print_json(found)
    elif not found:
        say("There is no connection yet; see wooxy-pipedrive connect --help.")
    for row in [] if as_json else found:
        _print_status(row)


def contacts(
    name: Name,
    format: Annotated[
        ContactFormat,
        typer.Option(
            "--format", help="How to print them; spreadsheet: CSV in which no name is run as a formula."
        ),
    ] = ContactFormat.table,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="A file instead of the screen (-: standard output)."),
    ] = None,
) -> None:
    """The Default Contact List."""
    from wooxy_pipedrive_etl.store import Store
    from wooxy_pipedrive_etl.views.export import write_contacts

    store = Store.open()
    with private_file(output) as file:
        write_contacts(store, name, format.value, file)


def issues(name: Name, as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """What was not written, and why, as of the last run."""
    from wooxy_pipedrive_etl.store import Store
    from wooxy_pipedrive_etl.views.status import standing_issues

    found = standing_issues(Store.open(), name)
    if as_json:
        print_json(found)
        return
    if not found:
        say("No issues: everything was written.")
        return
    from rich.table import Table

    table = Table("person", "kind", "reason", "variable", "message", box=None)
    for issue in found:
        table.add_row(*("" if issue[key] is None else escaped(str(issue[key])) for key in issue))
    console().print(table)


def _print_status(row: dict[str, Any]) -> None:
    from wooxy_pipedrive_etl.guards import way_out

    say(f"{row['name']}: {row['state']}, {row['domain']}, {row['contacts']} contacts")
    say(f"  list: {row['list_table']}")
    if row["access_lost"] is not None:
        say(
            f"  access to Pipedrive lost ({row['access_lost']}): reconnect it in the browser, "
            f"Integrations > {row['name']} > Reconnect",
        )
    if row["new_numbers_opted_out"]:
        say(
            "  opt-outs are of another key, so numbers that are new to the list are not subscribed; to end it: "
            "wooxy-pipedrive key accept --forget-opt-outs"
        )
    if row["paused"]:
        say("  paused: no run starts automatically")
    last = row["last_run"]
    if last is None:
        say("  no run yet")
    else:
        counts = ", ".join(
            f"{last[n]} {n}" for n in ("created", "updated", "unchanged", "deleted", "rejected")
        )
        say(f"  last run: {last['kind']} of {last['started_at']}, {last['state']}: {counts}")
        if last["message"]:
            say(f"  {last['message']}")
        if last["guard"]:
            say(f"  {way_out(last['guard'], row['name'], last['deleted'])}")
        if row["failing_since"] is not None:
            say(
                f"  failing since {row['failing_since']}; last good run: {row['last_good_run_at'] or 'none yet'}"
            )
        left = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in row["not_written"].items())
        say(f"  not in the list now: {left}; see: wooxy-pipedrive issues {row['name']}")
    newest = row["newest_run"]
    if newest is not None and newest["state"] in ("partial", "dry_run"):
        what = "partial run" if newest["state"] == "partial" else "dry run"
        said = f": {newest['message']}" if newest["message"] else ""
        say(f"  since then: a {what} of {newest['started_at']}{said}")
    if row["daily_tokens_left"] is not None:
        say(f"  {_tokens_left(row['budget'])}")
    if row["state"] == "active":
        estimates = row["budget"]["next_run_estimates"]
        say(
            f"  a run of changes will use about {estimates['changes']} tokens, a full one {estimates['full']}"
        )
    if row["webhook"]["url"] is not None:
        state = "registered" if row["webhook"]["registered"] else "not registered, synced by polling"
        say(f"  webhook: {row['webhook']['url']} ({state})")
    if row["hints_waiting"]:
        one = row["hints_waiting"] == 1
        say(
            f"  {row['hints_waiting']} changed {'person is' if one else 'persons are'} waiting for the next run"
        )
    print_schema(row, "  ")


def _tokens_left(budget: dict[str, Any]) -> str:
    of = "" if budget["limit"] is None else f" of {budget['limit']}"
    reserve = "" if budget["reserve"] is None else f", {budget['reserve']} of them in reserve"
    if budget["noted_at"] is None:
        return f"tokens left: {budget['left']}{of} (it is not known as of when){reserve}"
    return f"tokens left today: {budget['left']}{of} (as of {budget['noted_at']}){reserve}"
