"""`status`, `contacts` and `issues`: commands that change nothing."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wooxy_pipedrive_etl.loading import loading
from wooxy_pipedrive_etl.terminal import private_file, say, typed_text

from .common import Name, console, escaped, print_json, print_schema

if TYPE_CHECKING:
    from wooxy_pipedrive_etl.views.status import Budget, ConnectionStatus


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
        print_json([each.to_json() for each in found])
    elif not found:
        say("There is no connection yet; see wooxy-pipedrive connect --help.")
    for standing in [] if as_json else found:
        _print_status(standing)


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


def _print_status(standing: ConnectionStatus) -> None:
    from wooxy_pipedrive_etl.guards import way_out
    from wooxy_pipedrive_etl.views.status import instant

    say(f"{standing.name}: {standing.state}, {standing.domain}, {standing.contacts} contacts")
    say(f"  list: {standing.list_table}")
    if standing.access_lost is not None:
        say(
            f"  access to Pipedrive lost ({standing.access_lost}): reconnect it in the browser, "
            f"Integrations > {standing.name} > Reconnect",
        )
    if standing.new_numbers_opted_out:
        say(
            "  opt-outs are of another key, so numbers that are new to the list are not subscribed; to end it: "
            "wooxy-pipedrive key accept --forget-opt-outs"
        )
    if standing.paused:
        say("  paused: no run starts automatically")
    last = standing.last_run
    if last is None:
        say("  no run yet")
    else:
        counts = (
            f"{last.created} created, {last.updated} updated, {last.unchanged} unchanged, "
            f"{last.deleted} deleted, {last.rejected} rejected"
        )
        say(f"  last run: {last.kind} of {instant(last.started_at)}, {last.state}: {counts}")
        if last.message:
            say(f"  {last.message}")
        if last.refused_by:
            say(f"  {way_out(last.refused_by, standing.name, last.deleted)}")
        if standing.failing_since is not None:
            good = instant(standing.last_good_run_at) or "none yet"
            say(f"  failing since {instant(standing.failing_since)}; last good run: {good}")
        left = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in standing.not_written.items())
        say(f"  not in the list now: {left}; see: wooxy-pipedrive issues {standing.name}")
    newest = standing.newest_run
    if newest is not None and newest.state in ("partial", "dry_run"):
        what = "partial run" if newest.state == "partial" else "dry run"
        said = f": {newest.message}" if newest.message else ""
        say(f"  since then: a {what} of {instant(newest.started_at)}{said}")
    if standing.daily_tokens_left is not None:
        say(f"  {_tokens_left(standing.budget, instant(standing.budget.noted_at))}")
    estimates = standing.budget.next_run_estimates
    if standing.state == "active" and estimates is not None:
        say(
            f"  a run of changes will use about {estimates['changes']} tokens, a full one {estimates['full']}"
        )
    if standing.webhook.url is not None:
        state = "registered" if standing.webhook.registered else "not registered, synced by polling"
        say(f"  webhook: {standing.webhook.url} ({state})")
    if standing.hints_waiting:
        persons = "person is" if standing.hints_waiting == 1 else "persons are"
        say(f"  {standing.hints_waiting} changed {persons} waiting for the next run")
    print_schema(standing, "  ")


def _tokens_left(budget: Budget, noted_at: str | None) -> str:
    of = "" if budget.limit is None else f" of {budget.limit}"
    reserve = "" if budget.reserve is None else f", {budget.reserve} of them in reserve"
    if noted_at is None:
        return f"tokens left: {budget.left}{of} (it is not known as of when){reserve}"
    return f"tokens left today: {budget.left}{of} (as of {noted_at}){reserve}"
