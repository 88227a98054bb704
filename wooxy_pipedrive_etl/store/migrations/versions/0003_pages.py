"""Adds what the pages need: OAuth tokens, installations without a domain, pauses, requested runs, the history of
contacts, and the program's own settings."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_NEW_COLUMNS = (
    ("encrypted_oauth_tokens", sa.Text()),
    ("oauth_expires_at", sa.DateTime()),
    ("oauth_scopes", sa.Text()),
    ("oauth_user_id", sa.BigInteger()),
    ("access_lost", sa.Text()),
    ("requested_run", sa.Text()),
)


def upgrade() -> None:
    for name, kind in _NEW_COLUMNS:
        op.add_column("sync_connections", sa.Column(name, kind, nullable=True))
    op.add_column(
        "sync_connections", sa.Column("paused", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    op.add_column("sync_runs", sa.Column("matching_version", sa.Text(), nullable=True))
    op.create_table(
        "sync_installations",
        sa.Column("id", _serial(), autoincrement=True, nullable=False),
        sa.Column("api_url", sa.Text(), nullable=False),
        sa.Column("company_id", sa.BigInteger(), nullable=False),
        sa.Column("company_name", sa.Text(), nullable=False),
        sa.Column("company_domain", sa.Text(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("user_name", sa.Text(), nullable=False),
        sa.Column("is_admin", sa.Boolean(), nullable=False),
        sa.Column("encrypted_api_token", sa.Text(), nullable=False),
        sa.Column("encrypted_oauth_tokens", sa.Text(), nullable=True),
        sa.Column("oauth_expires_at", sa.DateTime(), nullable=True),
        sa.Column("oauth_scopes", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sync_installations")),
    )
    op.create_table(
        "sync_settings",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_sync_settings")),
    )
    op.create_table(
        "sync_contact_history",
        sa.Column("id", _serial(), autoincrement=True, nullable=False),
        sa.Column("connection_id", _serial(), nullable=False),
        sa.Column("contact_id", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=True),
        sa.Column("variables", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sync_contact_history")),
    )
    op.create_index(
        "ix_sync_contact_history_connection_id_contact_id",
        "sync_contact_history",
        ["connection_id", "contact_id"],
    )
    op.create_index("ix_sync_contact_history_at", "sync_contact_history", ["at"])


def _serial() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")
