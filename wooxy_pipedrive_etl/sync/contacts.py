"""From the stage to the list: plan, check, apply. Each step is one transaction, and only the last one touches the
list."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import pandas as pd
import sqlalchemy as sa

from wooxy_pipedrive_etl.contact_list import (
    PlanSummary,
    apply_plan,
    drop_plan,
    make_plan,
    plan_issues,
    plan_sample,
)
from wooxy_pipedrive_etl.store import connections, inbox, reports, tables
from wooxy_pipedrive_etl.store.bulk import tell_of_new_rows
from wooxy_pipedrive_etl.store.snapshot import count_persons, forget_gone_persons, newest_version

from .errors import ALLOW_MASS_DELETE
from .persons import WalkReport
from .progress import report
from .run import SyncRun
from .staging import MappingReport

# Above this share of the list and this many contacts, a deletion needs a person's word (product.md section 5).
MASS_DELETION_SHARE = 0.10
MASS_DELETION_COUNT = 20

# Fewer links than this are joined quickly in any way.
MANY_CREATED = 1_000


@dataclass(frozen=True)
class Plan:
    """What applying would do. `summary` counts every person or, in a run of changes, those that it is about; `persons`:
    all of the snapshot; `odd`: elements that could not be taken for a person, which are rejected as well."""

    summary: PlanSummary
    counts_all: bool
    persons: int
    odd: int
    dropped_values: int
    sample: pd.DataFrame

    @property
    def counts(self) -> dict[str, int]:
        """The counts of a run report."""
        return {
            "fetched": self.summary.staged + self.odd,
            "created": self.summary.created,
            "updated": self.summary.updated,
            "unchanged": self.summary.unchanged,
            "deleted": self.summary.deleted,
            "rejected": self.summary.rejected + self.odd,
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
        summary = self.summary
        return summary.planned == self.persons and (
            summary.staged == summary.planned or (not self.counts_all and summary.staged < summary.planned)
        )


def plan_contacts(run: SyncRun, walk: WalkReport | None, mapped: MappingReport) -> Plan:
    """Decides who is who and what would be written; writes nothing to the list.

    `walk`: what the run has read, if it read persons; `mapped`: what came of mapping them.
    """
    connection_id = run.record.id
    with run.writing() as connection:
        contact_list = run.contact_list(connection)
        persons = count_persons(connection, connection_id)
        report("Comparing with the list", 0, persons)
        changes = run.kind == "changes"
        summary = make_plan(
            connection, contact_list, connection_id, run.settings, run.run_id if changes else None
        )
        sample = plan_sample(connection, contact_list, connection_id, run.settings)
        reports.add_mapping_issues(connection, connection_id)
        reports.add_pending_issues(connection, connection_id, plan_issues(connection, connection_id))
        plan = Plan(
            summary=summary,
            counts_all=not changes,
            persons=persons,
            odd=walk.odd if changes and walk is not None else _odd_persons(connection, connection_id),
            dropped_values=mapped.dropped_values,
            sample=sample,
        )
        run.note(connection, **plan.counts)
    report("Comparing with the list", persons, persons)
    return plan


def apply_contacts(run: SyncRun, walk: WalkReport | None) -> dict[str, int]:
    """Carries the plan out: contacts, links, opt-outs, snapshot, issues, watermark and counts, all or nothing.

    `walk`: what the run has read, if it read persons. Returns the counts of the run report.
    """
    connection_id = run.record.id
    report("Writing the list", 0)
    with run.writing() as connection:
        contact_list = run.contact_list(connection)
        apply_plan(
            connection,
            contact_list,
            connection_id,
            run.settings,
            run.store.secrets.hash_phone,
            run.run_id,
            datetime.now(UTC).replace(tzinfo=None, microsecond=0),
        )
        forget_gone_persons(connection, connection_id)
        reports.settle_issues(connection, connection_id)
        drop_plan(connection, connection_id)
        connections.update_connection(
            connection,
            connection_id,
            applied_revision=run.matching.revision,
            watermark=_watermark(connection, run, walk),
            unapplied=False,
        )
        reports.finish_run(connection, connection_id, run.run_id, "success")
        finished = reports.get_run(connection, connection_id, run.run_id)
    # Only now: a hint that is looked after twice does no harm, one that is lost may.
    if walk is not None:
        inbox.settle_hints(run.store.inbox, connection_id, walk.hints)
    assert finished is not None
    if finished["created"] >= MANY_CREATED:
        tell_of_new_rows(run.store.engine, tables.links)
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
    return mass_deletion(run, plan)


def mass_deletion(run: SyncRun, plan: Plan) -> str | None:
    """Why a person must allow the plan's deletions first, in a sentence, or None."""
    if run.allow_mass_delete or not plan.deletes_too_many:
        return None
    return (
        f"{plan.summary.deleted} of the {plan.summary.contacts_before} contacts would be deleted at once, so "
        "nothing was written; see whether the token's user still sees all persons, and if the deletions are "
        f"right, run: wooxy-pipedrive sync {run.record.name} --full {ALLOW_MASS_DELETE}"
    )


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


def _watermark(connection: sa.Connection, run: SyncRun, walk: WalkReport | None) -> int | None:
    """The time of the newest person that was read, but not later than the moment at which the reading began: a person
    may have been edited behind the walk's back."""
    if walk is None:
        return connections.get_connection(connection, run.record.name).watermark
    newest = newest_version(connection, run.record.id, walk.read_until)
    return walk.read_until if newest is None else newest
