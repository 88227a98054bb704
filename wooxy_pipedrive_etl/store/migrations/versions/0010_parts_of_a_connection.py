"""Splits `sync_connections`: credentials, webhook, sync state, walk, polls and requested run get their own tables, and
the token budget moves to the company."""

from __future__ import annotations

import re
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# Table: its columns, each with the one of `sync_connections` that it takes over.
_ONE_A_CONNECTION: dict[str, list[tuple[sa.Column[Any], str]]] = {
    "sync_credentials": [
        (sa.Column("encrypted_api_token", sa.Text(), nullable=False), "encrypted_api_token"),
        (sa.Column("encrypted_oauth_tokens", sa.Text()), "encrypted_oauth_tokens"),
        (sa.Column("oauth_expires_at", sa.DateTime()), "oauth_expires_at"),
        (sa.Column("oauth_scopes", sa.Text()), "oauth_scopes"),
        (sa.Column("oauth_user_id", sa.BigInteger()), "oauth_user_id"),
        (sa.Column("access_lost", sa.Text()), "access_lost"),
    ],
    "sync_webhooks": [
        (sa.Column("webhook_id", sa.BigInteger()), "webhook_id"),
        (sa.Column("url", sa.Text()), "webhook_url"),
        (sa.Column("encrypted_password", sa.Text()), "encrypted_webhook_password"),
    ],
    "sync_states": [
        (sa.Column("watermark", sa.BigInteger()), "watermark"),
        (sa.Column("names_watermark", sa.BigInteger()), "names_watermark"),
        (sa.Column("left_out_fields", sa.Text()), "left_out_fields"),
        (sa.Column("null_update_times", sa.Boolean()), "null_update_times"),
        (sa.Column("applied_revision", sa.Integer()), "applied_revision"),
        (sa.Column("mapped_with", sa.Text()), "mapped_with"),
        (sa.Column("unapplied", sa.Boolean(), nullable=False, server_default=sa.false()), "unapplied"),
        (sa.Column("plain_walk_began", sa.BigInteger()), "plain_walk_began"),
        (sa.Column("windows_refused_at", sa.BigInteger()), "windows_refused_at"),
    ],
    "sync_polls": [
        (sa.Column("persons_at", sa.DateTime()), "polled_persons_at"),
        (sa.Column("fields_at", sa.DateTime()), "polled_fields_at"),
    ],
}
# These have a row only where there is something to keep, which the first column tells.
_WHERE_THERE_IS_ONE: dict[str, list[tuple[sa.Column[Any], str]]] = {
    "sync_walks": [
        (sa.Column("began", sa.BigInteger(), nullable=False), "walk_began"),
        (sa.Column("fields", sa.Text(), nullable=False), "walk_fields"),
    ],
    "sync_run_requests": [
        (sa.Column("request", sa.Text(), nullable=False), "requested_run"),
    ],
}
_OF_A_PLAN = re.compile(r"sync_(meetings|decisions|leaving)_\d+")
_OF_THE_BUDGET = ("daily_token_limit", "daily_tokens_left", "budget_noted_at")


def upgrade() -> None:
    for table, columns in (_ONE_A_CONNECTION | _WHERE_THERE_IS_ONE).items():
        _take_over(table, columns, all_of_them=table in _ONE_A_CONNECTION)
    _take_over_budgets()
    gone = [old for columns in (_ONE_A_CONNECTION | _WHERE_THERE_IS_ONE).values() for _, old in columns]
    for column in (*gone, *_OF_THE_BUDGET):
        op.drop_column("sync_connections", column)
    # What a killed run of an earlier version left of its plan, whose tables have other names now.
    for table in sa.inspect(op.get_bind()).get_table_names():
        if _OF_A_PLAN.fullmatch(table):
            op.drop_table(table)


def _take_over(table: str, columns: list[tuple[sa.Column[Any], str]], *, all_of_them: bool) -> None:
    op.create_table(
        table,
        sa.Column(
            "connection_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        *(column for column, _ in columns),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["sync_connections.id"],
            name=op.f(f"fk_{table}_connection_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("connection_id", name=op.f(f"pk_{table}")),
    )
    connections = sa.table("sync_connections", sa.column("id"), *(sa.column(old) for _, old in columns))
    kept = sa.select(connections.c.id, *(_kept(connections.c[old], column) for column, old in columns))
    if not all_of_them:
        kept = kept.where(connections.c[columns[0][1]].is_not(None))
    names = ["connection_id", *(column.name for column, _ in columns)]
    op.execute(sa.insert(sa.table(table, *map(sa.column, names))).from_select(names, kept))


def _kept(old: sa.ColumnElement[Any], column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """The old value; an empty text instead of null where the new column does not allow null."""
    return sa.func.coalesce(old, "") if isinstance(column.type, sa.Text) and not column.nullable else old


def _take_over_budgets() -> None:
    """Takes each company's budget from the connection that reported it last."""
    op.create_table(
        "sync_budgets",
        sa.Column("company_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("daily_limit", sa.BigInteger()),
        sa.Column("daily_left", sa.BigInteger(), nullable=False),
        sa.Column("noted_at", sa.DateTime()),
        sa.PrimaryKeyConstraint("company_id", name=op.f("pk_sync_budgets")),
    )
    connections = sa.table(
        "sync_connections", sa.column("company_id"), *(sa.column(name) for name in _OF_THE_BUDGET)
    )
    limit, left, noted = (connections.c[name] for name in _OF_THE_BUDGET)
    db = op.get_bind()
    told = db.execute(
        sa.select(connections.c.company_id, limit, left, noted)
        .where(left.is_not(None))
        .order_by(noted.is_not(None), noted)
    )
    newest = {row.company_id: tuple(row) for row in told}
    budgets = sa.table(
        "sync_budgets", *map(sa.column, ("company_id", "daily_limit", "daily_left", "noted_at"))
    )
    for company_id, daily_limit, daily_left, noted_at in newest.values():
        db.execute(
            budgets.insert().values(
                company_id=company_id, daily_limit=daily_limit, daily_left=daily_left, noted_at=noted_at
            )
        )
