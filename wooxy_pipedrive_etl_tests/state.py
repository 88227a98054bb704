"""Changes what is stored about a connection without the program, for tests of unusual states."""

from __future__ import annotations

import sqlalchemy as sa

from wooxy_pipedrive_etl.store import tables
from wooxy_pipedrive_etl.store.upserts import put

_OF_A_CONNECTION = (tables.credentials, tables.webhooks, tables.states, tables.polls)


def change_stored(db: sa.Connection, connection_id: int, **values: object) -> None:
    """Sets columns of `sync_connections`, of the tables with one row per connection, and of its company's budget (all
    of them if it has none yet), by column name alone."""
    own = {name: values.pop(name) for name in tuple(values) if name in tables.connections.c}
    if own:
        db.execute(tables.connections.update().where(tables.connections.c.id == connection_id).values(**own))
    for table in _OF_A_CONNECTION:
        mine = {name: values.pop(name) for name in tuple(values) if name in table.c}
        if mine:
            db.execute(table.update().where(table.c.connection_id == connection_id).values(**mine))
    budget = {name: values.pop(name) for name in tuple(values) if name in tables.budgets.c}
    if budget:
        company = sa.select(tables.connections.c.company_id).where(tables.connections.c.id == connection_id)
        put(db, tables.budgets, {"company_id": db.scalar(company)}, budget)
    assert not values, f"no such columns: {', '.join(values)}"
