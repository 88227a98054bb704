"""The contacts for measuring the write path, the same for the product and its peers: those that a run of `bench` has
mapped."""

from __future__ import annotations

from typing import Any

import pandas as pd
import sqlalchemy as sa

from benchmarks.measuring import World
from wooxy_pipedrive_etl.contact_list import ContactList
from wooxy_pipedrive_etl.contact_list.scratch import existing_stage
from wooxy_pipedrive_etl.store import Store, connections
from wooxy_pipedrive_etl.store.database import reading

# Few enough to fit in memory in several forms at once.
MOST = 100_000


def staged_rows(world: World) -> pd.DataFrame:
    """As `load_stage` takes them: person_id, version, marketing_status, then an object column for each variable."""
    store = Store.open(world.database_url)
    with reading(store.engine) as db:
        record = connections.get_connection(db, "bench")
        stored = ContactList.of_domain(db, record.domain).stored(db)
        stage = existing_stage(db, record.id, stored)
        variables = [column for column in stage.c if "_" not in column.name]
        # Times as text, as the mapping produces them.
        texts = [
            sa.cast(column, sa.Text).label(column.name)
            if isinstance(column.type, sa.Date | sa.DateTime)
            else column
            for column in variables
        ]
        leading = (stage.c.person_id, stage.c.person_version.label("version"), stage.c.marketing_status)
        query = sa.select(*leading, *texts).order_by(stage.c.person_id).limit(MOST)
        result = db.execute(query)
        rows = pd.DataFrame(result.all(), columns=pd.Index(result.keys()), dtype=object)
    store.close()
    return rows.astype({"person_id": "int64", "version": "int64"})


def changed(rows: pd.DataFrame) -> pd.DataFrame:
    """The same rows, with a different name for one in a hundred."""
    changed = rows.copy()
    changed.loc[::100, "name"] = changed.loc[::100, "name"] + " II"
    return changed


def as_dicts(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows for the peers, which write the person's id and the variables."""
    return [
        {str(name): value for name, value in row.items()}
        for row in rows.drop(columns=["version", "marketing_status"]).to_dict("records")
    ]
