"""Adds which products a run was to make, and whether it started automatically. Neither is known for older runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# Until now every run that succeeded, and every dry one, made the Match variables table.
_EVERYTHING = (
    "person_fields pipedrive_persons referenced_names variable_matches mapped_contacts contact_plan "
    "default_contact_list"
)


def upgrade() -> None:
    op.add_column("sync_runs", sa.Column("selected", sa.Text(), nullable=False, server_default=sa.text("''")))
    op.add_column(
        "sync_runs", sa.Column("automatic", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    runs = sa.table("sync_runs", sa.column("selected"))
    op.execute(runs.update().values(selected=_EVERYTHING))
