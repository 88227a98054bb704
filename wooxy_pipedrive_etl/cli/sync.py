"""`sync`: a run, now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from wooxy_pipedrive_etl.loading import loading
from wooxy_pipedrive_etl.terminal import say

from .common import Name, progress_bars

if TYPE_CHECKING:
    from wooxy_pipedrive_etl.store.runs import RunReport


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
        int,
        typer.Option(
            "--allow-mass-delete",
            metavar="N",
            min=0,
            help="Allow this run to delete up to N contacts at once.",
        ),
    ] = 0,
    allow_lost_fields: Annotated[
        bool,
        typer.Option(
            "--allow-lost-fields", help="Go on although many fields were deleted in Pipedrive at once."
        ),
    ] = False,
    use_reserve: Annotated[
        bool, typer.Option("--use-reserve", help="Allow this run to spend the reserve of the day's tokens.")
    ] = False,
) -> None:
    """Run the sync now: the persons that changed, or every person if there was no run yet."""
    from wooxy_pipedrive_etl.errors import SyncError

    if full and remap:
        raise SyncError("Choose --full or --remap, not both.")
    with loading():
        from wooxy_pipedrive_etl.guards import Permissions
        from wooxy_pipedrive_etl.orchestration.launch import run_sync
        from wooxy_pipedrive_etl.store import Store

    store = Store.open()
    with progress_bars():
        report = run_sync(
            store,
            name,
            "full" if full else "re-map" if remap else None,
            dry_run=dry_run,
            allowed=Permissions(
                deletions=allow_mass_delete, lost_fields=allow_lost_fields, reserve=use_reserve
            ),
        )
    _print_report(report, dry_run=dry_run)


def _print_report(report: RunReport, *, dry_run: bool) -> None:
    from wooxy_pipedrive_etl.store.runs import PLANNED_COUNTS

    would = "Dry run: nothing was written. Would be" if dry_run else "Synced:"
    counts = report.counts
    planned = ", ".join(f"{counts[name]} {name.replace('_', ' ')}" for name in PLANNED_COUNTS)
    say(f"{would} {planned}.")
    say(f"{report.fetched} persons, {report.requests} requests, {report.tokens_used} tokens.")
