"""From the stage to the list: plan, check, apply. Each step is one transaction, and only the last one touches the
list."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import sqlalchemy as sa

from wooxy_pipedrive_etl.connections.run_requests import requested_run
from wooxy_pipedrive_etl.contact_list import (
    PlanSummary,
    apply_plan,
    drop_plan,
    going_contacts,
    make_plan,
    plan_issues,
    plan_sample,
)
from wooxy_pipedrive_etl.errors import Refused
from wooxy_pipedrive_etl.list_settings import OnDelete
from wooxy_pipedrive_etl.store import connections, inbox, keys, planned_deletions, runs, sync_state, tables
from wooxy_pipedrive_etl.store.bulk import tell_of_new_rows
from wooxy_pipedrive_etl.store.clock import utc_now
from wooxy_pipedrive_etl.store.issues import add_mapping_issues, add_pending_issues, settle_issues
from wooxy_pipedrive_etl.store.snapshot import count_persons, forget_gone_persons, newest_version

from .persons import WalkReport
from .progress import report
from .run import SyncRun
from .staging import MappingReport

# Above this share of the list and this number of contacts, a user must allow the deletions (docs/contact-list.md).
MASS_DELETION_SHARE = 0.10
MASS_DELETION_COUNT = 20

# With fewer links than this, any join is fast.
MANY_CREATED = 1_000


@dataclass(frozen=True)
class Plan:
    """What applying would do. `summary` counts all persons or, in a run of changes, those that it read; `persons`: all
    of the snapshot; `odd`: malformed records, which are rejected as well; `deleted_unseen`: how many of the contacts to
    be deleted were not in the list that a user allowed."""

    summary: PlanSummary
    counts_all: bool
    persons: int
    odd: int
    dropped_values: int
    sample: pd.DataFrame
    deleted_unseen: int = 0

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
        """Whether a user must allow the deletions first."""
        return (
            self.summary.deleted > MASS_DELETION_COUNT
            and self.summary.deleted > MASS_DELETION_SHARE * self.summary.contacts_before
        )

    @property
    def balances(self) -> bool:
        """Whether every person is accounted for."""
        summary = self.summary
        return summary.planned == self.persons and (
            summary.staged == summary.planned or (not self.counts_all and summary.staged < summary.planned)
        )


def plan_contacts(run: SyncRun, walk: WalkReport | None, mapped: MappingReport) -> Plan:
    """Decides which person owns which contact and what would be written; writes nothing to the list.

    `walk`: what the run has read, if it read persons; `mapped`: the result of mapping them.
    """
    connection_id = run.record.id
    with run.writing() as db:
        view = run.list_view(db)
        persons = count_persons(db, connection_id)
        report("Comparing with the list", 0, persons)
        changes = run.kind == "changes"
        summary = make_plan(db, view, connection_id, run.settings, run.run_id if changes else None)
        sample = plan_sample(db, view, connection_id, run.settings)
        add_mapping_issues(db, connection_id)
        add_pending_issues(db, connection_id, plan_issues(db, connection_id))
        plan = Plan(
            summary=summary,
            counts_all=not changes,
            persons=persons,
            odd=walk.odd if changes and walk is not None else _odd_persons(db, connection_id),
            dropped_values=mapped.dropped_values,
            sample=sample,
            deleted_unseen=_deleted_unseen(db, run),
        )
        if run.selection.is_dry_run or mass_deletion(run, plan) is not None:
            planned_deletions.replace(
                db,
                connection_id,
                run.run_id,
                going_contacts(connection_id),
                keep=_about_to_be_allowed(db, run),
            )
        run.note(db, **plan.counts)
    report("Comparing with the list", persons, persons)
    return plan


def apply_contacts(run: SyncRun, walk: WalkReport | None) -> dict[str, int]:
    """Applies the plan: contacts, links, opt-outs, snapshot, issues, watermark and counts, all or nothing.

    `walk`: what the run has read, if it read persons. Returns the counts of the run report.
    """
    connection_id = run.record.id
    report("Writing the list", 0)
    with run.writing() as db:
        contact_list = run.contact_list(db)
        apply_plan(
            db,
            contact_list,
            connection_id,
            run.settings,
            keys.hash_key(db, run.store.secrets),
            run.run_id,
            utc_now().replace(microsecond=0),
        )
        forget_gone_persons(db, connection_id)
        settle_issues(db, connection_id)
        drop_plan(db, connection_id)
        planned_deletions.forget(db, connection_id)
        sync_state.advance(
            db,
            connection_id,
            applied_revision=run.matching.revision,
            watermark=_watermark(db, run, walk),
            unapplied=False,
        )
        runs.finish_run(db, connection_id, run.run_id, "success")
        finished = runs.get_run(db, connection_id, run.run_id)
    # Only now: a pending change that is processed twice does no harm, a lost one may.
    if walk is not None:
        inbox.settle_hints(run.store.inbox, connection_id, walk.hints)
    assert finished is not None
    if finished.created >= MANY_CREATED:
        tell_of_new_rows(run.store.engine, tables.links)
    return finished.counts


def refusal(run: SyncRun, plan: Plan) -> Refused | None:
    """Why the plan must not be applied."""
    if not plan.balances:
        return Refused(
            f"The counts of the plan do not add up ({plan.counts}), so nothing was written; report this as a defect."
        )
    if plan.summary.doubly_owned:
        return Refused(
            f"Two persons would write the same contact, {plan.summary.doubly_owned} times, so nothing was written; "
            "report this as a defect."
        )
    return mass_deletion(run, plan)


def mass_deletion(run: SyncRun, plan: Plan) -> Refused | None:
    """Why a user must allow the plan's deletions first."""
    deleted, allowed = plan.summary.deleted, run.allowed
    if not plan.deletes_too_many or deleted <= allowed.deletions:
        return None
    if allowed.deletions_of is not None and not plan.deleted_unseen:
        return None
    what = "switched off" if run.record.on_delete == OnDelete.DEACTIVATE else "deleted"
    beyond = ""
    if allowed.deletions_of is not None:
        beyond = f", {plan.deleted_unseen} of which were not on the list that was allowed"
    elif allowed.deletions:
        beyond = f", and {allowed.deletions} were allowed"
    return Refused(
        f"{deleted} of the {plan.summary.contacts_before} contacts would be {what} at once{beyond}, so nothing was "
        "written. See whether the token's user still sees all persons.",
        "mass_delete",
        deleted=deleted,
    )


def _deleted_unseen(db: sa.Connection, run: SyncRun) -> int:
    if run.allowed.deletions_of is None:
        return 0
    going = going_contacts(run.record.id)
    return planned_deletions.count_others(db, run.record.id, run.allowed.deletions_of, going)


def _about_to_be_allowed(db: sa.Connection, run: SyncRun) -> str | None:
    """The refused run whose deletions a user has allowed in a run that has not begun."""
    request = requested_run(connections.get_connection(db, run.record.name))
    return None if request is None else request.permissions.deletions_of


def _odd_persons(db: sa.Connection, connection_id: int) -> int:
    """Malformed records of the walk: they are not in the stage."""
    issues = tables.issues
    return db.execute(
        sa.select(sa.func.count()).where(
            issues.c.connection_id == connection_id,
            issues.c.pending,
            issues.c.kind == "rejected",
            issues.c.reason == "odd_shape",
        )
    ).scalar_one()


def _watermark(db: sa.Connection, run: SyncRun, walk: WalkReport | None) -> int | None:
    """The time of the newest person read, but not later than the start of the reading: a person may have been edited
    after the walk read it."""
    if walk is None:
        return connections.get_connection(db, run.record.name).sync_state.watermark
    newest = newest_version(db, run.record.id, walk.read_until)
    return walk.read_until if newest is None else newest
