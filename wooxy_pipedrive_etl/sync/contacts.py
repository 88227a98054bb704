"""From the snapshot to the list: map, plan, check, apply. Each step is one transaction, and only the last one touches
the list."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import pandas as pd
import sqlalchemy as sa

from wooxy_pipedrive_etl.contact_list import (
    PlanSummary,
    apply_plan,
    begin_stage,
    drop_stage,
    load_stage,
    make_plan,
    plan_issues,
    plan_sample,
)
from wooxy_pipedrive_etl.mapping.transform import read_batch, transform
from wooxy_pipedrive_etl.store import connections, reports, tables
from wooxy_pipedrive_etl.store.catalogue import read_names
from wooxy_pipedrive_etl.store.snapshot import count_persons, forget_gone_persons, read_persons

from .matching import feed_plan_of
from .memory import without_cycle_search
from .progress import report
from .run import SyncRun

# Persons in memory at a time: some ten MB, and enough for columns to be worth while.
BATCH_SIZE = 2_500

# Above this share of the list and this many contacts, a deletion needs a person's word (product.md section 5).
MASS_DELETION_SHARE = 0.10
MASS_DELETION_COUNT = 20


@dataclass(frozen=True)
class MappingReport:
    """`persons` mapped; `dropped_values` that did not fit, each listed as an issue; `fed`: the list's variables."""

    persons: int
    dropped_values: int
    fed: list[str]


def map_contacts(run: SyncRun) -> MappingReport:
    """Applies the matching to the snapshot, batch by batch, into the connection's stage."""
    connection_id = run.record.id
    persons_count = dropped = 0
    with without_cycle_search(), run.store.engine.begin() as connection:
        contact_list = run.contact_list(connection)
        plan = feed_plan_of(connection, run)
        fed = [feed.wooxy for feed in plan.feeds]
        names = read_names(connection, connection_id)
        expected = count_persons(connection, connection_id)
        begin_stage(connection, contact_list, connection_id, fed)
        for persons in read_persons(connection, connection_id, BATCH_SIZE):
            contacts, issues = transform(read_batch(persons, plan), names)
            load_stage(connection, connection_id, contacts)
            reports.add_pending_issues(connection, connection_id, issues)
            persons_count += len(persons)
            dropped += len(issues)
            report("Mapping persons", persons_count, expected)
        run.note(connection, dropped_values=dropped)
    return MappingReport(persons_count, dropped, fed)


@dataclass(frozen=True)
class Plan:
    """What applying would do. `fetched`: persons considered, those that were none included, so that the counts
    balance; `contacts_before`: the length of the list."""

    summary: PlanSummary
    fetched: int
    rejected: int
    dropped_values: int
    sample: pd.DataFrame

    @property
    def counts(self) -> dict[str, int]:
        """The counts of a run report."""
        return {
            "fetched": self.fetched,
            "created": self.summary.created,
            "updated": self.summary.updated,
            "unchanged": self.summary.unchanged,
            "deleted": self.summary.deleted,
            "rejected": self.rejected,
            "duplicates": self.summary.duplicates,
            "conflicts": self.summary.conflicts,
            "dropped_values": self.dropped_values,
        }

    @property
    def deletes_too_many(self) -> bool:
        """Whether a person must allow the deletions first."""
        return (
            self.summary.deleted > MASS_DELETION_COUNT
            and self.summary.deleted > MASS_DELETION_SHARE * self.summary.contacts_before
        )

    @property
    def balances(self) -> bool:
        """Whether each person is accounted for (product.md section 8)."""
        counts = self.counts
        written_or_listed = ("created", "updated", "unchanged", "rejected", "duplicates", "conflicts")
        return counts["fetched"] == sum(counts[name] for name in written_or_listed)


def plan_contacts(run: SyncRun) -> Plan:
    """Decides who is who and what would be written; writes nothing to the list."""
    connection_id = run.record.id
    with run.store.engine.begin() as connection:
        contact_list = run.contact_list(connection)
        summary = make_plan(connection, contact_list, connection_id, run.settings)
        sample = plan_sample(connection, contact_list, connection_id, run.settings)
        reports.add_pending_issues(connection, connection_id, plan_issues(connection, connection_id))
        found = reports.issues_by_reason(connection, connection_id, pending=True)
        plan = Plan(
            summary=summary,
            fetched=count_persons(connection, connection_id) + _odd_persons(connection, connection_id),
            rejected=sum(count for (kind, _), count in found.items() if kind == "rejected"),
            dropped_values=sum(count for (kind, _), count in found.items() if kind == "dropped_value"),
            sample=sample,
        )
        run.note(connection, **plan.counts)
    run.planned = True
    return plan


def apply_contacts(run: SyncRun) -> dict[str, int]:
    """Carries the plan out: contacts, links, opt-outs, snapshot, issues, watermark and counts, all or nothing.

    Returns the counts of the run report.
    """
    connection_id = run.record.id
    with run.store.engine.begin() as connection:
        contact_list = run.contact_list(connection)
        run.check_hold(connection)
        apply_plan(
            connection,
            contact_list,
            connection_id,
            run.settings,
            run.store.secrets.hash_phone,
            datetime.now(UTC).replace(tzinfo=None, microsecond=0),
        )
        forget_gone_persons(connection, connection_id)
        reports.settle_issues(connection, connection_id)
        drop_stage(connection, connection_id)
        connections.update_connection(
            connection,
            connection_id,
            applied_revision=run.matching.revision,
            watermark=_newest_version(connection, connection_id),
        )
        reports.finish_run(connection, connection_id, run.run_id, "success")
        finished = reports.get_run(connection, connection_id, run.run_id)
    assert finished is not None
    return {name: finished[name] for name in reports.COUNTS}


def refusal(run: SyncRun, plan: Plan) -> str | None:
    """Why the plan must not be applied, in a sentence, or None."""
    if not plan.balances:
        return f"The counts of the plan do not add up ({plan.counts}), so nothing was written; report this as a defect."
    if plan.summary.doubly_owned:
        return (
            f"Two persons would write the same contact, {plan.summary.doubly_owned} times, so nothing was written; "
            "report this as a defect."
        )
    if plan.deletes_too_many and not run.allow_mass_delete:
        return (
            f"{plan.summary.deleted} of the {plan.summary.contacts_before} contacts would be deleted at once, so "
            "nothing was written; see whether the token's user still sees all persons, and if the deletions are "
            f"right, run: wooxy-pipedrive sync {run.record.name} --full --allow-mass-delete"
        )
    return None


def _odd_persons(connection: sa.Connection, connection_id: int) -> int:
    """Elements of the walk that could not be taken for a person: they are in no stage."""
    issues = tables.issues
    return connection.execute(
        sa.select(sa.func.count()).where(
            issues.c.connection_id == connection_id,
            issues.c.pending,
            issues.c.kind == "rejected",
            issues.c.reason == "odd_shape",
        )
    ).scalar_one()


def _newest_version(connection: sa.Connection, connection_id: int) -> int | None:
    return connection.execute(
        sa.select(sa.func.max(tables.snapshot.c.version)).where(
            tables.snapshot.c.connection_id == connection_id
        )
    ).scalar()
