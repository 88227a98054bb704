"""`match`: the Match variables table and the matching behind it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wooxy_pipedrive_etl.terminal import is_standard, read_text, say, write_text

from .common import Name, confirmed, console, escaped, print_schema

if TYPE_CHECKING:
    from wooxy_pipedrive_etl.matching.view import ImportReport
    from wooxy_pipedrive_etl.store import Store

_DOTS = {
    "green": "[green]● green[/]",
    "amber": "[yellow]▲ amber[/]",
    "gray": "[bright_black]○ gray[/]",
    "red": "[red]✗ red[/]",
}


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
    allow_renames: Annotated[
        bool,
        typer.Option(
            "--allow-renames",
            help="Let --import rename variables of the list; asked on a terminal otherwise.",
        ),
    ] = False,
    suggest: Annotated[bool, typer.Option("--suggest", help="Use all suggestions, as a draft.")] = False,
    discard: Annotated[bool, typer.Option("--discard", help="Discard the draft.")] = False,
    ignore_empty: Annotated[
        bool | None,
        typer.Option(
            "--ignore-empty/--overwrite-empty", help="Whether an empty value leaves the stored one."
        ),
    ] = None,
) -> None:
    """See, suggest, export or import which Pipedrive variable feeds which Wooxy variable."""
    from wooxy_pipedrive_etl.errors import SyncError
    from wooxy_pipedrive_etl.mapping.match_rules import rename_sentence
    from wooxy_pipedrive_etl.matching import view
    from wooxy_pipedrive_etl.store import Store

    if import_ is not None and (export is not None or suggest):
        raise SyncError("--import stands alone: import the file first, then export or suggest.")
    if discard and (import_ is not None or suggest):
        raise SyncError("--discard forgets a draft: leave out --import and --suggest.")
    store = Store.open()
    if discard:
        count = view.discard_draft(store, name)
        say(f"Draft discarded: {count} {'row is' if count == 1 else 'rows are'} as before.", beside=export)
    if import_ is not None:
        text = read_text(import_)
        try:
            report = view.import_matching(
                store, name, text, ignore_empty, allowed_renames=None if allow_renames else ()
            )
        except view.RenamesNotAllowed as question:
            if not confirmed(
                "\n".join([*(rename_sentence(*each) for each in question.renames), "Rename and import?"])
            ):
                raise
            report = view.import_matching(store, name, text, ignore_empty, allowed_renames=question.renames)
        _print_import(name, report)
    elif ignore_empty is not None:
        follows = view.set_ignore_empty_values(store, name, ignore_empty)
        said = "leave stored ones as they are." if ignore_empty else "empty stored ones."
        say(f"Empty values {said}{' The list follows with the next run.' if follows else ''}", beside=export)
    if suggest:
        count = view.suggest_matching(store, name)
        say(
            f"{count} suggestions used, in a draft; nothing is imported until you confirm with --import.",
            beside=export,
        )
    if export is not None:
        write_text(export, view.export_matching(store, name))
        if not is_standard(export):
            say(f"Wrote the matching to {export}.")
    if show or not (import_ or export or discard or ignore_empty is not None):
        _print_matching(store, name, beside=export)


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

    from wooxy_pipedrive_etl.matching import view
    from wooxy_pipedrive_etl.views import status

    rows, _ = view.show_matching(store, name)
    ignoring = view.ignores_empty_values(store, name)
    drafted = view.drafted_ignore_empty_values(store, name)
    (standing,) = status.statuses(store, name)
    waiting = {field.pipedrive for field in standing.fields_waiting}
    table = Table("status", "variable", "preview", "Wooxy column", "format", "", box=None)
    for row in rows:
        suggestion = f"[bright_black]({row.suggestion}?)[/]" if row.wooxy is None and row.suggestion else ""
        table.add_row(
            _DOTS[row.status] + (" new" if row.pipedrive in waiting else ""),
            escaped(row.label),
            escaped(row.preview),
            row.wooxy or suggestion,
            row.format,
            escaped(row.reason),
        )
    console(beside).print(table)
    told = {True: "are ignored", False: "overwrite stored ones"}
    waits = "" if drafted is None else f"; with the draft's Import they {told[drafted]}"
    say(f"Empty values {told[ignoring]}{waits}.", beside=beside)
    print_schema(standing, "", beside=beside)
