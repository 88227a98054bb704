"""Makes the references and mapping issues of staged persons cheaper to write; a crash empties them with the stage."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # An index that is looked into only when a name has changed, and then the other one will do.
    op.drop_index("ix_sync_references_connection_id_kind_entity_id", table_name="sync_references")
    if op.get_bind().dialect.name == "postgresql":
        # A crash of the server empties them together with the stage, and whoever is not in the stage is mapped again.
        op.execute("ALTER TABLE sync_references SET UNLOGGED")
        op.execute("ALTER TABLE sync_mapping_issues SET UNLOGGED")
