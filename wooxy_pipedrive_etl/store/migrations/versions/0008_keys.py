"""Adds the key that each opt-out was hashed with, and moves the opt-outs to the domain, which also has the list."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "sync_keys",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sync_keys")),
        sa.UniqueConstraint("fingerprint", name=op.f("uq_sync_keys_fingerprint")),
    )
    # Made anew, since SQLite can't change a primary key; by way of a copy, since PostgreSQL's constraints keep their
    # names when a table is renamed.
    op.execute(
        "CREATE TABLE sync_opt_outs_before AS SELECT domain_id, phone_hash, channel FROM sync_opt_outs "
        "JOIN sync_connections ON sync_connections.id = sync_opt_outs.connection_id"
    )
    op.drop_table("sync_opt_outs")
    op.create_table(
        "sync_opt_outs",
        sa.Column("domain_id", _ID, autoincrement=False, nullable=False),
        sa.Column("phone_hash", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("key_id", _ID, nullable=True),
        sa.ForeignKeyConstraint(["domain_id"], ["sync_domains.id"], name=op.f("fk_sync_opt_outs_domain_id")),
        sa.ForeignKeyConstraint(["key_id"], ["sync_keys.id"], name=op.f("fk_sync_opt_outs_key_id")),
        sa.PrimaryKeyConstraint("domain_id", "phone_hash", "channel", name=op.f("pk_sync_opt_outs")),
    )
    op.execute(
        "INSERT INTO sync_opt_outs (domain_id, phone_hash, channel) "
        "SELECT domain_id, phone_hash, channel FROM sync_opt_outs_before"
    )
    op.drop_table("sync_opt_outs_before")
