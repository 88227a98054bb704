"""Adds which guard refused a run, how it failed, whose duplicate a person is, and which contacts would be deleted:
columns and rows instead of text that had to be searched."""

from __future__ import annotations

import json
import re

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# As the sentences of the versions before this one were.
_GUARDS = (
    ("%contacts would be deleted at once%", "mass_delete"),
    ("%field catalogue%--allow-mass-delete%", "lost_fields"),
    ("%--use-reserve%", "reserve"),
)
_OWNER = re.compile(r"shares an identifier with person (\d+),")


def upgrade() -> None:
    op.add_column("sync_runs", sa.Column("refused_by", sa.Text()))
    op.add_column("sync_runs", sa.Column("failure", sa.Text()))
    op.add_column("sync_issues", sa.Column("owner_id", sa.BigInteger()))
    op.create_table(
        "sync_planned_deletions",
        sa.Column(
            "connection_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("contact_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["sync_connections.id"],
            name=op.f("fk_sync_planned_deletions_connection_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "connection_id", "run_id", "contact_id", name=op.f("pk_sync_planned_deletions")
        ),
    )
    db = op.get_bind()
    runs = sa.table("sync_runs", sa.column("state"), sa.column("message"), sa.column("refused_by"))
    for sentence, guard in _GUARDS:
        refused = runs.c.message.like(sentence), runs.c.state == "failed"
        db.execute(runs.update().where(*refused, runs.c.refused_by.is_(None)).values(refused_by=guard))
    issues = sa.table(
        "sync_issues", sa.column("id"), sa.column("reason"), sa.column("message"), sa.column("owner_id")
    )
    found = db.execute(sa.select(issues.c.id, issues.c.message).where(issues.c.reason == "duplicate_of"))
    owners = [
        {"issue": each.id, "owner": int(match.group(1))}
        for each in found
        if (match := _OWNER.search(each.message)) is not None
    ]
    if owners:
        owner_of = issues.update().where(issues.c.id == sa.bindparam("issue"))
        db.execute(owner_of.values(owner_id=sa.bindparam("owner")), owners)
    connections = sa.table("sync_connections", sa.column("id"), sa.column("requested_run"))
    waiting = db.execute(
        sa.select(connections.c.id, connections.c.requested_run).where(
            connections.c.requested_run.is_not(None)
        )
    ).all()
    for each in waiting:
        request = json.loads(each.requested_run)
        # Which deletions were meant, was not stored: the run is refused once more, and lists them.
        request.pop("allow_mass_delete", None)
        request["permissions"] = {"reserve": request.pop("use_reserve", False)}
        db.execute(
            connections.update().where(connections.c.id == each.id).values(requested_run=json.dumps(request))
        )
