"""The command line: `wooxy-pipedrive`. Reads arguments and prints; what is done is done elsewhere.

Each command imports what it needs by itself: whoever asks for help or for the status need not wait until pandas,
Dagster or a web server is loaded.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wooxy_pipedrive_etl.loading import end_quickly, loading
from wooxy_pipedrive_etl.terminal import (
    FileUnusable,
    is_standard,
    prepare,
    private_file,
    read_text,
    say,
    typed_text,
    write_text,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

    from wooxy_pipedrive_etl.store import Store
    from wooxy_pipedrive_etl.sync.matching import ImportReport

app = typer.Typer(
    name="wooxy-pipedrive",
    help="Keeps the Default Contact List of a Wooxy domain equal to the persons of a Pipedrive account.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


class Consent(StrEnum):
    respect = "respect"
    require = "require"
    ignore = "ignore"


class OnDelete(StrEnum):
    delete = "delete"
    deactivate = "deactivate"
    keep = "keep"


class ContactFormat(StrEnum):
    table = "table"
    csv = "csv"
    json = "json"


Name = Annotated[str, typer.Argument(metavar="NAME", help="The connection's name.", callback=typed_text)]

# How wide a table may be where there is no screen.
_WIDTH = 250
# How many lines of a kind are enough for a glance.
_SHOWN = 5
_DOTS = {"green": "[green]● green[/]", "gray": "[bright_black]○ gray[/]", "red": "[red]✗ red[/]"}


def main() -> None:
    """The program's entry: errors in one sentence on stderr, exit code 0 only on success."""
    prepare()
    end_quickly()
    try:
        app(prog_name="wooxy-pipedrive")
    except KeyboardInterrupt:
        _fail("Stopped.", 130)
    except BrokenPipeError:
        # Whoever read our output (`| head`) has gone.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        sentence = _sentence_of(error)
        if sentence is None:
            raise
        _fail(sentence, _exit_code(error))


def _sentence_of(error: Exception) -> str | None:
    """What to tell of an error that is no defect."""
    from wooxy_pipedrive_etl.store.errors import DATABASE_ERRORS
    from wooxy_pipedrive_etl.store.sentences import database_sentence
    from wooxy_pipedrive_etl.sync.errors import EXPECTED_ERRORS

    if isinstance(error, (FileUnusable, *EXPECTED_ERRORS)):
        return str(error)
    return database_sentence(error) if isinstance(error, DATABASE_ERRORS) else None


def _exit_code(error: Exception) -> int:
    """As a shell says of a program that a signal ended, or 1."""
    from wooxy_pipedrive_etl.sync.errors import Stopped

    return 128 + error.signal_number if isinstance(error, Stopped) else 1


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


@app.command()
def connect(
    name: Name,
    domain: Annotated[str, typer.Option(help="The Wooxy domain whose Default Contact List is fed.")],
    api_url: Annotated[str, typer.Option(help="The root of the account's host, https://acme.pipedrive.com.")],
    api_token_env: Annotated[
        str, typer.Option(metavar="VAR", help="The environment variable that holds the API token.")
    ],
    default_region: Annotated[
        str | None, typer.Option(help="Two letters (FI, DE, …): completes national phone numbers.")
    ] = None,
    consent: Annotated[Consent, typer.Option(help="How marketing_status is treated.")] = Consent.respect,
    on_delete: Annotated[
        OnDelete, typer.Option(help="What becomes of the contact of a deleted person.")
    ] = OnDelete.delete,
    webhook_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="The public https root of `serve`: registers a webhook right away."),
    ] = None,
    allow_lost_fields: Annotated[
        bool,
        typer.Option(
            "--allow-lost-fields", help="Take a connection up again although many of its fields are gone."
        ),
    ] = False,
) -> None:
    """Connect a Pipedrive account with a Wooxy domain."""
    from wooxy_pipedrive_etl.store import Store
    from wooxy_pipedrive_etl.sync import accounts, webhooks
    from wooxy_pipedrive_etl.sync.errors import EXPECTED_ERRORS, SyncError

    if webhook_url is not None:
        # A slip is told before anything is done.
        webhooks.subscription_url(webhook_url, name)
    token = os.environ.get(api_token_env, "").strip()
    if not token:
        raise SyncError(f"The environment variable {api_token_env} is empty; put the API token there.")
    store = Store.open()
    record, account = accounts.connect(
        store,
        name=name,
        domain=domain,
        api_url=api_url,
        api_token=token,
        default_region=default_region,
        consent=consent.value,
        on_delete=on_delete.value,
        allow_lost_fields=allow_lost_fields,
    )
    say(f"Connected {name} with {account.company_name} ({record.api_url}) for {domain}.")
    if not account.is_admin:
        say("The token's user is no admin: persons that the user may not see will not be in the list.")
    if record.state == "draft":
        say(f"Next: wooxy-pipedrive match {name} --export FILE, look it through, then --import FILE.")
    if webhook_url is not None:
        try:
            say(webhooks.register(store, name, webhook_url).message)
        except EXPECTED_ERRORS as error:
            raise SyncError(
                f"{name} is connected, but its webhook was not registered, so it will be synced by polling: {error} "
                f"Then: wooxy-pipedrive webhook {name} --url {webhook_url}"
            ) from None


@app.command()
def match(
    name: Name,
    show: Annotated[
        bool, typer.Option("--show", help="Print the Match variables table (the default).")
    ] = False,
    export: Annotated[
        Path | None,
        typer.Option(
            "--export", metavar="FILE", help="Write the matching to a YAML file (-: standard output)."
        ),
    ] = None,
    import_: Annotated[
        Path | None,
        typer.Option(
            "--import",
            metavar="FILE",
            help="Confirm the matching of a YAML file (-: standard input): the Import button.",
        ),
    ] = None,
    suggest: Annotated[bool, typer.Option("--suggest", help="Use all suggestions, as a draft.")] = False,
    ignore_empty: Annotated[
        bool | None,
        typer.Option(
            "--ignore-empty/--overwrite-empty", help="Whether an empty value leaves the stored one."
        ),
    ] = None,
) -> None:
    """See, suggest, export or import which Pipedrive variable feeds which Wooxy variable."""
    from wooxy_pipedrive_etl.store import Store
    from wooxy_pipedrive_etl.sync import matching
    from wooxy_pipedrive_etl.sync.errors import SyncError

    if import_ is not None and (export is not None or suggest):
        raise SyncError("--import stands alone: import the file first, then export or suggest.")
    store = Store.open()
    if import_ is not None:
        report = matching.import_matching(store, name, read_text(import_), ignore_empty)
        _print_import(name, report)
    elif ignore_empty is not None:
        matching.set_ignore_empty_values(store, name, ignore_empty)
        say(
            "Empty values " + ("leave stored ones as they are." if ignore_empty else "empty stored ones."),
            beside=export,
        )
    if suggest:
        count = matching.suggest_matching(store, name)
        say(
            f"{count} suggestions used, in a draft; nothing is imported until you confirm with --import.",
            beside=export,
        )
    if export is not None:
        write_text(export, matching.export_matching(store, name))
        if not is_standard(export):
            say(f"Wrote the matching to {export}.")
    if show or not (import_ or export or ignore_empty is not None):
        _print_matching(store, name, beside=export)


@app.command()
def sync(
    name: Name,
    full: Annotated[
        bool, typer.Option("--full", help="Read every person, not only those that changed; finds deletions.")
    ] = False,
    remap: Annotated[
        bool, typer.Option("--remap", help="Apply the matching to the stored persons; read none.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done; write nothing.")
    ] = False,
    allow_mass_delete: Annotated[
        bool, typer.Option("--allow-mass-delete", help="Allow this run to delete many contacts at once.")
    ] = False,
    use_reserve: Annotated[
        bool, typer.Option("--use-reserve", help="Allow this run to spend the reserve of the day's tokens.")
    ] = False,
) -> None:
    """Run the sync now: the persons that changed, or every person if there was no run yet."""
    from wooxy_pipedrive_etl.sync.errors import SyncError

    if full and remap:
        raise SyncError("Choose --full or --remap, not both.")
    with loading():
        from wooxy_pipedrive_etl.orchestration.launch import run_sync
        from wooxy_pipedrive_etl.store import Store

    store = Store.open()
    with _progress():
        report = run_sync(
            store,
            name,
            "full" if full else "re-map" if remap else None,
            dry_run=dry_run,
            allow_mass_delete=allow_mass_delete,
            use_reserve=use_reserve,
        )
    _print_report(report, dry_run=dry_run)


@app.command(name="status")
def status_(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="One connection; all without it.", callback=typed_text),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """How the connections stand."""
    with loading():
        from wooxy_pipedrive_etl.store import Store
        from wooxy_pipedrive_etl.sync import status

    found = status.statuses(Store.open(), name)
    if as_json:
        _print_json(found)
    elif not found:
        say("There is no connection yet; see wooxy-pipedrive connect --help.")
    for row in [] if as_json else found:
        _print_status(row)


@app.command()
def contacts(
    name: Name,
    format: Annotated[
        ContactFormat, typer.Option("--format", help="How to print them.")
    ] = ContactFormat.table,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="A file instead of the screen (-: standard output)."),
    ] = None,
) -> None:
    """The Default Contact List."""
    from wooxy_pipedrive_etl.store import Store
    from wooxy_pipedrive_etl.sync.contacts_export import write_contacts

    store = Store.open()
    with private_file(output) as file:
        write_contacts(store, name, format.value, file)


@app.command()
def issues(name: Name, as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """What was not written, and why, as of the last run."""
    from wooxy_pipedrive_etl.store import Store
    from wooxy_pipedrive_etl.sync import status

    found = status.standing_issues(Store.open(), name)
    if as_json:
        _print_json(found)
        return
    if not found:
        say("No issues: everything was written.")
        return
    from rich.table import Table

    table = Table("person", "kind", "reason", "variable", "message", box=None)
    for issue in found:
        table.add_row(*("" if issue[key] is None else _escaped(str(issue[key])) for key in issue))
    _console().print(table)


@app.command()
def disconnect(
    name: Name,
    forget: Annotated[bool, typer.Option("--forget", help="Remove everything of it but the list.")] = False,
) -> None:
    """Stop syncing a connection; the list stays."""
    from wooxy_pipedrive_etl.store import Store
    from wooxy_pipedrive_etl.sync import accounts

    left = accounts.disconnect(Store.open(), name, forget=forget)
    say(f"Disconnected {name}; its list stays as it is.")
    if left is not None:
        say(left)


@app.command()
def webhook(
    name: Name,
    url: Annotated[
        str | None,
        typer.Option(help="Register: the public https root of `serve`, like https://sync.example.com."),
    ] = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="Remove it in Pipedrive; the sync goes on by polling.")
    ] = False,
) -> None:
    """Register, check or remove the webhook by which Pipedrive tells of changes at once.

    Without an option it is looked for in Pipedrive, and registered again if Pipedrive has dropped it.
    """
    from wooxy_pipedrive_etl.store import Store
    from wooxy_pipedrive_etl.sync import status, webhooks
    from wooxy_pipedrive_etl.sync.errors import SyncError

    if url is not None and remove:
        raise SyncError("Choose --url or --remove, not both.")
    store = Store.open()
    if url is not None:
        found = webhooks.register(store, name, url)
    elif remove:
        found = webhooks.remove(store, name)
    else:
        found = webhooks.look_after(store, name)
    if found.state == "unavailable":
        raise SyncError(found.message)
    say(f"{found.message} (Checked just now.)")
    _print_webhook_calls(status.webhook_calls(store, name))


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port to listen on.")] = 8000,
) -> None:
    """The pages (integrations, Match variables, the list), and the receiver of webhooks, until it is stopped.

    It speaks http: let a web server that has a certificate pass https://YOUR-HOST/ on to it.
    """
    from wooxy_pipedrive_etl.store import Store
    from wooxy_pipedrive_etl.web.server import serve as serve_web

    store = Store.open()
    try:
        serve_web(store, host, port, say)
    finally:
        store.close()


@app.command()
def sandbox(
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port on 127.0.0.1.")] = 8765,
    persons: Annotated[int, typer.Option(min=0, help="How many persons the account has.")] = 300,
    fault_rate: Annotated[
        float, typer.Option(min=0, max=1, help="The share of calls that go wrong: 5xx, time-outs, 429, …")
    ] = 0.0,
    fault_seed: Annotated[int, typer.Option(help="Which faults come when.")] = 1,
) -> None:
    """A local Pipedrive account alone, to play with and to test against."""
    from wooxy_pipedrive_etl.demo import serve_sandbox
    from wooxy_pipedrive_etl.sandbox import FaultMix

    serve_sandbox(port, persons, say, FaultMix(fault_rate, seed=fault_seed))


@app.command()
def demo(
    once: Annotated[
        bool, typer.Option("--once", help="Sync once, print the list's first rows, and end.")
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The Dagster UI's port.")] = 3000,
    persons: Annotated[int, typer.Option(min=0, help="How many persons the account has.")] = 300,
) -> None:
    """A Pipedrive account on this machine, connected, synced, with the Dagster UI open."""
    from wooxy_pipedrive_etl.demo import run_demo

    with _progress():
        run_demo(once=once, port=port, persons=persons, say=say)


@contextmanager
def _progress() -> Iterator[None]:
    """Bars when a person watches, nothing in between when not."""
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


def _print_report(report: dict[str, Any], *, dry_run: bool) -> None:
    would = "Dry run: nothing was written. Would be" if dry_run else "Synced:"
    names = (
        "created",
        "updated",
        "unchanged",
        "deleted",
        "rejected",
        "duplicates",
        "conflicts",
        "dropped_values",
    )
    counts = ", ".join(f"{report[name]} {name.replace('_', ' ')}" for name in names)
    say(f"{would} {counts}.")
    say(
        f"{report['fetched']} persons, {report['requests']} requests, {report['tokens_used']} tokens.",
    )


def _print_import(name: str, report: ImportReport) -> None:
    say(f"Imported: {report.matched} variables are matched.")
    for old, new in report.renamed:
        say(f"Renamed {old} to {new}.")
    if report.added:
        say(f"Added to the list: {', '.join(report.added)}.")
    if report.changed:
        say(f"Next: wooxy-pipedrive sync {name}")


def _print_matching(store: Store, name: str, *, beside: Path | None = None) -> None:
    from rich.table import Table

    from wooxy_pipedrive_etl.sync import matching, status

    rows, current = matching.show_matching(store, name)
    (standing,) = status.statuses(store, name)
    waiting = {field["pipedrive"] for field in standing["fields_waiting"]}
    table = Table("status", "variable", "preview", "Wooxy column", "format", "", box=None)
    for row in rows.to_dict("records"):
        suggestion = (
            f"[bright_black]({row['suggestion']}?)[/]" if row["wooxy"] is None and row["suggestion"] else ""
        )
        table.add_row(
            _DOTS[row["status"]] + (" new" if row["pipedrive"] in waiting else ""),
            _escaped(row["label"]),
            _escaped(row["preview"]),
            row["wooxy"] or suggestion,
            row["format"],
            _escaped(row["reason"]),
        )
    _console(beside).print(table)
    say(
        "Empty values " + ("are ignored." if current.ignore_empty_values else "overwrite stored ones."),
        beside=beside,
    )
    _print_schema(standing, "", beside=beside)


def _print_status(row: dict[str, Any]) -> None:
    say(f"{row['name']}: {row['state']}, {row['domain']}, {row['contacts']} contacts")
    say(f"  list: {row['list_table']}")
    if row["access_lost"] is not None:
        say(
            f"  Pipedrive lets it in no more (access {row['access_lost']}): allow the app again in the browser, "
            f"Integrations > {row['name']} > Allow again",
        )
    if row["paused"]:
        say("  paused: no run starts by itself")
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
        say(f"  persons that webhooks named and no run has looked after yet: {row['hints_waiting']}")
    _print_schema(row, "  ")


def _tokens_left(budget: dict[str, Any]) -> str:
    of = "" if budget["limit"] is None else f" of {budget['limit']}"
    reserve = "" if budget["reserve"] is None else f", {budget['reserve']} of them in reserve"
    if budget["noted_at"] is None:
        return f"tokens left: {budget['left']}{of} (it is not known as of when){reserve}"
    return f"tokens left today: {budget['left']}{of} (as of {budget['noted_at']}){reserve}"


def _print_schema(row: dict[str, Any], indent: str, *, beside: Path | None = None) -> None:
    """What changed in Pipedrive's fields of late, and what of it waits for a person."""
    for change in row["schema_changes"][:_SHOWN]:
        say(f"{indent}{change['recorded_at']} {change['message']}", beside=beside)
    waiting, red = row["fields_waiting"], row["red_rows"]
    if waiting:
        labels = ", ".join(field["label"] for field in waiting[:_SHOWN])
        more = f" and {len(waiting) - _SHOWN} more" if len(waiting) > _SHOWN else ""
        say(f"{indent}new, not imported until you match and import them: {labels}{more}", beside=beside)
    for field in red[:_SHOWN]:
        say(f"{indent}red, feeds nothing: {field['label']}. {field['reason']}", beside=beside)
    if len(red) > _SHOWN:
        say(f"{indent}and {len(red) - _SHOWN} more red rows", beside=beside)


def _print_webhook_calls(came: dict[str, Any]) -> None:
    last = f", the last at {came['last_event_at']}" if came["last_event_at"] else ""
    say(f"Events so far: {came['accepted']}{last}.")
    if came["overflowed"]:
        say(f"{came['overflowed']} more were not noted, because too many were waiting; runs find them.")
    if came["malformed"]:
        say(f"{came['malformed']} calls were no events of persons and were refused.")


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def _escaped(text: str | None) -> str:
    """Labels and values are other people's text, not our markup."""
    from rich.markup import escape

    return escape(text or "")


def _console(beside: Path | None = None) -> Console:
    """For tables; where there is no screen, a line has the width of what is in it. `beside`: as of `say`."""
    from rich.console import Console

    stream = sys.stderr if is_standard(beside) else sys.stdout
    return Console(file=stream, soft_wrap=True, highlight=False, width=None if stream.isatty() else _WIDTH)


def _fail(message: str, code: int = 1) -> None:
    sys.stderr.write(message.rstrip() + "\n")
    sys.exit(code)
