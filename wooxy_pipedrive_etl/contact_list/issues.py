"""What a plan shows users: the persons that are not written, and a few rows of each action."""

from __future__ import annotations

import pandas as pd
import sqlalchemy as sa

from wooxy_pipedrive_etl.store import tables

from .scratch import plan_tables
from .view import ListView
from .work import ListSettings, tables_of


def plan_issues(db: sa.Connection, connection_id: int) -> pd.DataFrame:
    """The issues of the persons that the plan leaves out: person_id (Int64), kind (rejected, duplicate, conflict),
    reason, variable (None), message (str), owner_id (Int64, for duplicates); ordered by person."""
    plan = plan_tables(db, connection_id).plan
    query = (
        sa.select(plan.c.person_id, plan.c.action, plan.c.owner_id, plan.c.detail)
        .where(plan.c.action.in_(["rejected", "duplicate", "conflict"]))
        .order_by(plan.c.person_id)
    )
    rows = [
        (person_id, action, *_words(person_id, action, owner_id, detail), owner_id)
        for person_id, action, owner_id, detail in db.execute(query)
    ]
    names = ["person_id", "kind", "reason", "variable", "message", "owner_id"]
    return pd.DataFrame(rows, columns=names, dtype=object).astype({"person_id": "Int64", "owner_id": "Int64"})


def _words(person_id: int, action: str, owner_id: int | None, detail: str | None) -> tuple[str, None, str]:
    if action == "rejected":
        return (
            "no_identifier",
            None,
            f"Person {person_id} has no valid e-mail address, phone number or user id, so it is not in the list.",
        )
    if action == "duplicate":
        return (
            "duplicate_of",
            None,
            f"Person {person_id} shares an identifier with person {owner_id}, which was updated more recently and owns "
            "the contact.",
        )
    return "identifier_conflict", None, detail or ""


def duplicates_of(db: sa.Connection, connection_id: int, person_id: int) -> list[int]:
    """The persons that are duplicates of this one as of the last run."""
    issues = tables.issues
    found = db.scalars(
        sa.select(issues.c.person_id)
        .where(
            issues.c.connection_id == connection_id,
            ~issues.c.pending,
            issues.c.reason == "duplicate_of",
            issues.c.owner_id == person_id,
        )
        .order_by(issues.c.person_id)
    )
    return list(found)


def plan_sample(
    db: sa.Connection,
    view: ListView,
    connection_id: int,
    settings: ListSettings,
    n: int = 5,
) -> pd.DataFrame:
    """The first n rows of each action, before the plan is applied: person_id, contact_id (Int64), action (str), changed
    (the names of the variables that differ, joined with ", "; no values)."""
    t = tables_of(db, view, connection_id, settings)
    stage, plan, listed, orphaned = t.stage, t.plan, t.listed, t.orphaned
    rows: list[tuple[int, int | None, str, str]] = []
    for action in _actions(db, plan):
        first = (
            sa.select(plan.c.person_id, plan.c.contact_id)
            .where(plan.c.action == action)
            .order_by(plan.c.person_id)
            .limit(n)
            .subquery("first")
        )
        query = (
            sa.select(
                first.c.person_id, first.c.contact_id, *(t.changes.values() if action == "update" else ())
            )
            .select_from(first)
            .join(stage, stage.c.person_id == first.c.person_id)
            .outerjoin(listed, listed.c.contact_id == first.c.contact_id)
            .order_by(first.c.person_id)
        )
        for person_id, contact_id, *different in db.execute(query):
            changed = ", ".join(name for name, differ in zip(t.changes, different, strict=False) if differ)
            rows.append((person_id, contact_id, action, changed))
    links = tables.links
    for action in _actions(db, orphaned):
        query = (
            sa.select(links.c.person_id, orphaned.c.contact_id)
            .join(orphaned, orphaned.c.contact_id == links.c.contact_id)
            .where(t.our_links, orphaned.c.action == action)
            .order_by(orphaned.c.contact_id)
            .limit(n)
        )
        rows.extend((person_id, contact_id, action, "") for person_id, contact_id in db.execute(query))
    names = ["person_id", "contact_id", "action", "changed"]
    return pd.DataFrame(rows, columns=names, dtype=object).astype(
        {"person_id": "Int64", "contact_id": "Int64"}
    )


def _actions(db: sa.Connection, table: sa.Table) -> list[str]:
    return list(db.execute(sa.select(table.c.action).distinct().order_by(table.c.action)).scalars())
