"""The command line: `wooxy-pipedrive`. Reads arguments and prints; what is done is done elsewhere."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from wooxy_pipedrive_etl.store import Store
from wooxy_pipedrive_etl.store.errors import DATABASE_ERRORS, database_sentence
from wooxy_pipedrive_etl.sync import accounts, contacts_export, matching, progress, status, webhooks
from wooxy_pipedrive_etl.sync.errors import EXPECTED_ERRORS, Stopped, SyncError

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


Name = Annotated[str, typer.Argument(metavar="NAME", help="The connection's name.")]

# Where there is no screen, a line has the width of what is in it.
_out = Console(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else 250)
# How many lines of a kind are enough for a glance.
_SHOWN = 5
_DOTS = {"green": "[green]● green[/]", "gray": "[bright_black]○ gray[/]", "red": "[red]✗ red[/]"}


def main() -> None:
    """The program's entry: errors in one sentence on stderr, exit code 0 only on success."""
    try:
        app(prog_name="wooxy-pipedrive")
    except Stopped as error:
        # As a shell says of a program that a signal ended.
        _fail(str(error), 128 + error.signal_number)
    except EXPECTED_ERRORS as error:
        _fail(str(error))
    except DATABASE_ERRORS as error:
        _fail(database_sentence(error))
    except KeyboardInterrupt:
        _fail("Stopped.", 130)
    except BrokenPipeError:
        # Whoever read our output (`| head`) has gone.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


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
    _out.print(f"Connected {name} with {account.company_name} ({record.api_url}) for {domain}.", markup=False)
    if not account.is_admin:
        _out.print("The token's user is no admin: persons that the user may not see will not be in the list.")
    if record.state == "draft":
        _out.print(f"Next: wooxy-pipedrive match {name} --export FILE, look it through, then --import FILE.")
    if webhook_url is not None:
        try:
            _out.print(webhooks.register(store, name, webhook_url).message, markup=False)
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
        Path | None, typer.Option("--export", help="Write the matching to a YAML file.")
    ] = None,
    import_: Annotated[
        Path | None, typer.Option("--import", help="Confirm the matching of a YAML file: the Import button.")
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
    if import_ is not None and (export is not None or suggest):
        raise SyncError("--import stands alone: import the file first, then export or suggest.")
    store = Store.open()
    if import_ is not None:
        report = matching.import_matching(store, name, _read_text(import_), ignore_empty)
        _print_import(name, report)
    elif ignore_empty is not None:
        matching.set_ignore_empty_values(store, name, ignore_empty)
        _out.print(
            "Empty values " + ("leave stored ones as they are." if ignore_empty else "empty stored ones.")
        )
    if suggest:
        count = matching.suggest_matching(store, name)
        _out.print(
            f"{count} suggestions used, in a draft; nothing is imported until you confirm with --import."
        )
    if export is not None:
        _write_text(export, matching.export_matching(store, name))
        _out.print(f"Wrote the matching to {export}.", markup=False)
    if show or not (import_ or export or ignore_empty is not None):
        _print_matching(store, name)


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
    if full and remap:
        raise SyncError("Choose --full or --remap, not both.")
    # Dagster takes a second to load, which the other commands need not wait for.
    from wooxy_pipedrive_etl.orchestration.launch import run_sync

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
        str | None, typer.Argument(metavar="[NAME]", help="One connection; all without it.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """How the connections stand."""
    found = status.statuses(Store.open(), name)
    if as_json:
        _print_json(found)
    elif not found:
        _out.print("There is no connection yet; see wooxy-pipedrive connect --help.")
    for row in [] if as_json else found:
        _print_status(row)


@app.command()
def contacts(
    name: Name,
    format: Annotated[
        ContactFormat, typer.Option("--format", help="How to print them.")
    ] = ContactFormat.table,
    output: Annotated[Path | None, typer.Option("--output", help="A file instead of the screen.")] = None,
) -> None:
    """The Default Contact List."""
    store = Store.open()
    try:
        if output is None:
            contacts_export.write_contacts(store, name, format.value, sys.stdout)
        else:
            with output.open("w", encoding="utf-8", newline="") as file:
                contacts_export.write_contacts(store, name, format.value, file)
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise SyncError(f"{output} can't be written ({error.strerror}).") from None


@app.command()
def issues(name: Name, as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """What was not written, and why, as of the last run."""
    found = status.standing_issues(Store.open(), name)
    if as_json:
        _print_json(found)
        return
    if not found:
        _out.print("No issues: everything was written.")
        return
    table = Table("person", "kind", "reason", "variable", "message", box=None)
    for issue in found:
        table.add_row(*("" if issue[key] is None else str(issue[key]) for key in issue))
    _out.print(table)


@app.command()
def disconnect(
    name: Name,
    forget: Annotated[bool, typer.Option("--forget", help="Remove everything of it but the list.")] = False,
) -> None:
    """Stop syncing a connection; the list stays."""
    left = accounts.disconnect(Store.open(), name, forget=forget)
    _out.print(f"Disconnected {name}; its list stays as it is.")
    if left is not None:
        _out.print(left, markup=False)


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
    _out.print(f"{found.message} (Checked just now.)", markup=False)
    _print_webhook_calls(status.webhook_calls(store, name))


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port to listen on.")] = 8000,
) -> None:
    """The pages (integrations, Match variables, the list), and the receiver of webhooks, until it is stopped.

    It speaks http: let a web server that has a certificate pass https://YOUR-HOST/ on to it.
    """
    # The web server takes a moment to load, which the other commands need not wait for.
    from wooxy_pipedrive_etl.web.server import serve as serve_web

    store = Store.open()
    try:
        serve_web(store, host, port, lambda sentence: _out.print(sentence, markup=False))
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

    serve_sandbox(port, persons, _out.print, FaultMix(fault_rate, seed=fault_seed))


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
        run_demo(once=once, port=port, persons=persons, say=_out.print)


@contextmanager
def _progress() -> Iterator[None]:
    """Bars when a person watches, nothing in between when not."""
    if not sys.stderr.isatty():
        yield
        return
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
    _out.print(f"{would} {counts}.", markup=False)
    _out.print(
        f"{report['fetched']} persons, {report['requests']} requests, {report['tokens_used']} tokens.",
        markup=False,
    )


def _print_import(name: str, report: matching.ImportReport) -> None:
    _out.print(f"Imported: {report.matched} variables are matched.")
    for old, new in report.renamed:
        _out.print(f"Renamed {old} to {new}.", markup=False)
    if report.added:
        _out.print(f"Added to the list: {', '.join(report.added)}.", markup=False)
    if report.changed:
        _out.print(f"Next: wooxy-pipedrive sync {name}", markup=False)


def _print_matching(store: Store, name: str) -> None:
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
    _out.print(table)
    _out.print(
        "Empty values " + ("are ignored." if current.ignore_empty_values else "overwrite stored ones.")
    )
    _print_schema(standing, "")


def _print_status(row: dict[str, Any]) -> None:
    _out.print(f"{row['name']}: {row['state']}, {row['domain']}, {row['contacts']} contacts", markup=False)
    _out.print(f"  list: {row['list_table']}", markup=False)
    if row["access_lost"] is not None:
        _out.print(
            f"  Pipedrive lets it in no more (access {row['access_lost']}): allow the app again in the browser, "
            f"Integrations > {row['name']} > Allow again",
            markup=False,
        )
    if row["paused"]:
        _out.print("  paused: no run starts by itself")
    last = row["last_run"]
    if last is None:
        _out.print("  no run yet")
    else:
        counts = ", ".join(
            f"{last[n]} {n}" for n in ("created", "updated", "unchanged", "deleted", "rejected")
        )
        _out.print(
            f"  last run: {last['kind']} of {last['started_at']}, {last['state']}: {counts}", markup=False
        )
        if last["message"]:
            _out.print(f"  {last['message']}", markup=False)
    newest = row["newest_run"]
    if newest is not None and newest["state"] in ("partial", "dry_run"):
        what = "partial run" if newest["state"] == "partial" else "dry run"
        said = f": {newest['message']}" if newest["message"] else ""
        _out.print(f"  since then: a {what} of {newest['started_at']}{said}", markup=False)
    if row["daily_tokens_left"] is not None:
        budget = row["budget"]
        _out.print(
            f"  tokens left today: {budget['left']} of {budget['limit']} (as of {budget['noted_at']}), "
            f"{budget['reserve']} of them in reserve"
        )
    if row["state"] == "active":
        estimates = row["budget"]["next_run_estimates"]
        _out.print(
            f"  a run of changes will use about {estimates['changes']} tokens, a full one {estimates['full']}"
        )
    if row["webhook"]["url"] is not None:
        state = "registered" if row["webhook"]["registered"] else "not registered, synced by polling"
        _out.print(f"  webhook: {row['webhook']['url']} ({state})", markup=False)
    if row["hints_waiting"]:
        _out.print(f"  persons that webhooks named and no run has looked after yet: {row['hints_waiting']}")
    _print_schema(row, "  ")


def _print_schema(row: dict[str, Any], indent: str) -> None:
    """What changed in Pipedrive's fields of late, and what of it waits for a person."""
    for change in row["schema_changes"][:_SHOWN]:
        _out.print(f"{indent}{change['recorded_at']} {change['message']}", markup=False)
    waiting, red = row["fields_waiting"], row["red_rows"]
    if waiting:
        labels = ", ".join(field["label"] for field in waiting[:_SHOWN])
        more = f" and {len(waiting) - _SHOWN} more" if len(waiting) > _SHOWN else ""
        _out.print(f"{indent}new, not imported until you match and import them: {labels}{more}", markup=False)
    for field in red[:_SHOWN]:
        _out.print(f"{indent}red, feeds nothing: {field['label']}. {field['reason']}", markup=False)
    if len(red) > _SHOWN:
        _out.print(f"{indent}and {len(red) - _SHOWN} more red rows", markup=False)


def _print_webhook_calls(came: dict[str, Any]) -> None:
    last = f", the last at {came['last_event_at']}" if came["last_event_at"] else ""
    _out.print(f"Events so far: {came['accepted']}{last}.")
    if came["overflowed"]:
        _out.print(
            f"{came['overflowed']} more were not noted, because too many were waiting; runs find them."
        )
    if came["malformed"]:
        _out.print(f"{came['malformed']} calls were no events of persons and were refused.")


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def _escaped(text: str | None) -> str:
    """Labels and values are other people's text, not our markup."""
    from rich.markup import escape

    return escape(text or "")


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SyncError(f"{path} can't be read ({reason}).") from None


def _write_text(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SyncError(f"{path} can't be written ({error.strerror}).") from None


def _fail(message: str, code: int = 1) -> None:
    sys.stderr.write(message.rstrip() + "\n")
    sys.exit(code)
