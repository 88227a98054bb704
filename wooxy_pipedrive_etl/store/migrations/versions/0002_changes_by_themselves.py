"""Adds what automatic runs need: how far a walk is, what the stage holds, the token budget, and the webhook."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_NEW_COLUMNS = (
    ("names_watermark", sa.BigInteger()),
    ("null_update_times", sa.Boolean()),
    ("mapped_with", sa.Text()),
    ("walk_began", sa.BigInteger()),
    ("walk_fields", sa.Text()),
    ("budget_noted_at", sa.DateTime()),
    ("polled_persons_at", sa.DateTime()),
    ("polled_fields_at", sa.DateTime()),
    ("webhook_id", sa.BigInteger()),
    ("webhook_url", sa.Text()),
    ("encrypted_webhook_password", sa.Text()),
)


def upgrade() -> None:
    for name, kind in _NEW_COLUMNS:
        op.add_column("sync_connections", sa.Column(name, kind, nullable=True))
    op.add_column(
        "sync_connections",
        sa.Column("unapplied", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    for name in ("estimated_tokens", "tokens_left"):
        op.add_column("sync_runs", sa.Column(name, sa.BigInteger(), nullable=True))
    op.create_table(
        "sync_walk_pages",
        _connection_id(),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("next_cursor", sa.Text(), nullable=True),
        sa.Column("person_ids", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["sync_connections.id"],
            name=op.f("fk_sync_walk_pages_connection_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("connection_id", "number", name=op.f("pk_sync_walk_pages")),
    )
    op.create_table(
        "sync_references",
        _connection_id(),
        sa.Column("person_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("entity_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint(
            "connection_id", "person_id", "kind", "entity_id", name=op.f("pk_sync_references")
        ),
    )
    op.create_index(
        "ix_sync_references_connection_id_kind_entity_id",
        "sync_references",
        ["connection_id", "kind", "entity_id"],
    )
    op.create_table(
        "sync_mapping_issues",
        _connection_id(),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("variable", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
    )
    op.create_index(
        "ix_sync_mapping_issues_connection_id_person_id",
        "sync_mapping_issues",
        ["connection_id", "person_id"],
    )


def _connection_id() -> sa.Column[int]:
    return sa.Column(
        "connection_id",
        sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
        autoincrement=False,
        nullable=False,
    )
