"""Adds what a windowed walk still has to read, and when a connection last had a sequential walk."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sync_walk_pages", sa.Column("unread", sa.Text(), nullable=True))
    op.add_column("sync_connections", sa.Column("plain_walk_began", sa.BigInteger(), nullable=True))
    op.add_column("sync_connections", sa.Column("windows_refused_at", sa.BigInteger(), nullable=True))
