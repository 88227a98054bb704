"""The checks on what a run makes: some keep a plan from being applied, others only warn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

import dagster as dg

from wooxy_pipedrive_etl.connections.catalogue import CatalogueReport
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.store.snapshot import newest_version
from wooxy_pipedrive_etl.sync.contacts import Plan, mass_deletion
from wooxy_pipedrive_etl.sync.flow import Done
from wooxy_pipedrive_etl.sync.persons import WalkReport
from wooxy_pipedrive_etl.sync.run import SyncRun
from wooxy_pipedrive_etl.sync.selection import Product

# In an account in use, somebody edits a person more often than this.
SOURCE_IS_FRESH_FOR = timedelta(days=7)

# name, product, whether it is blocking, description
_CHECKS: tuple[tuple[str, Product, bool, str], ...] = (
    (
        "no_schema_change",
        "person_fields",
        False,
        "Warns when fields or options in Pipedrive were added, renamed, deleted, or changed type.",
    ),
    (
        "source_is_fresh",
        "pipedrive_persons",
        False,
        f"Warns when no person has changed in Pipedrive for {SOURCE_IS_FRESH_FOR.days} days: the token's user may no "
        "longer see any persons, or the account may not be in use.",
    ),
    (
        "no_mass_deletion",
        "contact_plan",
        True,
        "No more than 10 % of the contacts (and more than 20) go at once, unless a person allows it.",
    ),
    ("one_person_a_contact", "contact_plan", True, "No two persons write the same contact."),
    (
        "counts_balance",
        "contact_plan",
        True,
        "Each person is created, updated, unchanged, or listed with the reason why not.",
    ),
)


def specs(keys: Mapping[Product, dg.AssetKey]) -> list[dg.AssetCheckSpec]:
    return [
        dg.AssetCheckSpec(name, asset=keys[product], blocking=blocking, description=description)
        for name, product, blocking, description in _CHECKS
    ]


def results(done: Done, run: SyncRun, selected: Mapping[str, dg.AssetKey]) -> list[dg.AssetCheckResult]:
    """The results of the `selected` checks (check name -> asset key) that concern what was made."""
    return [
        dg.AssetCheckResult(
            asset_key=selected[name],
            check_name=name,
            passed=passed,
            severity=severity,
            description=description,
            metadata=metadata,
        )
        for name, passed, severity, description, metadata in _evaluated(done, run)
        if name in selected
    ]


_Result = tuple[str, bool, dg.AssetCheckSeverity, str | None, dict[str, int | str]]
_ERROR, _WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN


def _evaluated(done: Done, run: SyncRun) -> Iterator[_Result]:
    match done.report:
        case CatalogueReport() as catalogue:
            changes = "; ".join(change.message for change in catalogue.changes) or None
            yield "no_schema_change", changes is None, _WARN, changes, {"changes": len(catalogue.changes)}
        case WalkReport() as walk:
            yield _freshness(run, walk)
        case Plan() as plan:
            refused = mass_deletion(run, plan)
            yield (
                "no_mass_deletion",
                refused is None,
                _ERROR,
                None if refused is None else str(refused),
                {"deleted": plan.summary.deleted, "contacts_before": plan.summary.contacts_before},
            )
            doubly_owned = plan.summary.doubly_owned
            yield "one_person_a_contact", doubly_owned == 0, _ERROR, None, {"doubly_owned": doubly_owned}
            yield "counts_balance", plan.balances, _ERROR, None, dict(plan.counts)


def _freshness(run: SyncRun, walk: WalkReport) -> _Result:
    with reading(run.store.engine) as db:
        newest = newest_version(db, run.record.id, walk.read_until)
    if newest is None:
        return "source_is_fresh", False, _WARN, "No person in Pipedrive says when it was changed.", {}
    age = timedelta(microseconds=max(0, walk.read_until - newest))
    changed_at = datetime.fromtimestamp(newest // 1_000_000, UTC)
    return (
        "source_is_fresh",
        age <= SOURCE_IS_FRESH_FOR,
        _WARN,
        f"A person last changed in Pipedrive on {changed_at:%Y-%m-%d at %H:%M} UTC.",
        {"hours_since_last_change": round(age / timedelta(hours=1))},
    )
