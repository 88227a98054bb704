"""Other people's projects: one that embeds the product, and one that only uses its list."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

PRODUCT = "wooxy_pipedrive_etl.definitions"

_HOST = '''
"""A project with an executor of its own, into which the product is merged."""

import dagster as dg

from wooxy_pipedrive_etl.definitions import build_defs


@dg.asset
def of_the_host() -> None:
    """What else there is in the project."""


defs = dg.Definitions.merge(
    dg.Definitions(assets=[of_the_host], executor=dg.multiprocess_executor), build_defs({arguments})
)
'''

_AUDIENCE = '''
"""A project in another code location, whose asset is made of the list of each connection."""

import os

import dagster as dg
import sqlalchemy as sa

from wooxy_pipedrive_etl.store import Store
from wooxy_pipedrive_etl.views.status import statuses


@dg.asset(
    deps=[dg.AssetKey({key})],
    partitions_def=dg.DynamicPartitionsDefinition(name="connection"),
)
def audience(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """Everybody in the list who has an e-mail address."""
    store = Store.open()
    (status,) = statuses(store, context.partition_key)
    store.close()
    schema, _, name = status.list_table.rpartition(".")
    table = sa.table(name, sa.column("email"), schema=schema or None)
    engine = sa.create_engine(os.environ["WOOXY_PIPEDRIVE_DATABASE_URL"])
    with engine.connect() as db:
        people = db.scalar(sa.select(sa.func.count(table.c.email)))
    engine.dispose()
    return dg.MaterializeResult(metadata={"people": people})


defs = dg.Definitions(assets=[audience])
'''


def write_host(folder: Path, *, key_prefix: str | None = None) -> str:
    """Writes a module with the multiprocess executor; returns its name."""
    arguments = "" if not key_prefix else f'key_prefix=["{key_prefix}"]'
    (folder / "host_project.py").write_text(_HOST.replace("{arguments}", arguments), encoding="utf-8")
    return "host_project"


def write_audience(folder: Path, key: Sequence[str] = ("default_contact_list",)) -> str:
    """Writes a module with `audience`, a partitioned asset that depends on the list, whose asset key is `key`; returns
    its name."""
    text = _AUDIENCE.replace("{key}", repr(list(key)))
    (folder / "audience_project.py").write_text(text, encoding="utf-8")
    return "audience_project"
