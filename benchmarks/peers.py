"""What the product is compared with: a bare loop, which no sync can beat, and other programs that do a part of its
work. Those in the extra `bench` are imported where they are used."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import psycopg
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from benchmarks.measuring import Figures, World, watched
from benchmarks.rows import as_dicts, changed, staged_rows
from benchmarks.servers import TOKEN
from wooxy_pipedrive_etl.pipedrive import ApiToken, PipedriveClient, optional_fields

_BATCH = 2_500


def installed(module: str) -> bool:
    return find_spec(module) is not None


class _Page(msgspec.Struct):
    data: list[msgspec.Raw]
    additional_data: dict[str, Any] | None = None


def floor(world: World, case: str) -> list[Figures]:
    """Fetches the pages sequentially, decodes every person, and copies its JSON into a table without an index."""
    params = _params(world)
    with (
        psycopg.connect(world.database_url) as db,
        httpx.Client(base_url=world.url, headers={"x-api-token": TOKEN}, timeout=60) as client,
        watched(world, case, "floor") as figures,
    ):
        db.execute("DROP TABLE IF EXISTS floor_persons")
        db.execute("CREATE TABLE floor_persons (id bigint, raw text)")
        cursor: str | None = ""
        while cursor is not None:
            answer = client.get("/api/v2/persons", params={**params, "cursor": cursor} if cursor else params)
            page = msgspec.json.decode(answer.raise_for_status().content, type=_Page)
            with db.cursor().copy("COPY floor_persons FROM STDIN") as copy:
                for raw in page.data:
                    copy.write_row((msgspec.json.decode(raw)["id"], bytes(raw).decode()))
            cursor = (page.additional_data or {}).get("next_cursor")
        db.commit()
    return [figures]


def dlt_run(world: World, case: str) -> list[Figures]:
    """dlt's own REST source and PostgreSQL destination, set up as in its documentation and merging by id; the next run
    in the same folder uses the same tables."""
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    os.environ["RUNTIME__LOG_LEVEL"] = "ERROR"
    import dlt
    from dlt.sources.rest_api import rest_api_source

    source = rest_api_source(
        {
            "client": {
                "base_url": f"{world.url}/api/v2/",
                "auth": {"type": "api_key", "name": "x-api-token", "api_key": TOKEN, "location": "header"},
                "paginator": {
                    "type": "cursor",
                    "cursor_path": "additional_data.next_cursor",
                    "cursor_param": "cursor",
                },
            },
            "resources": [
                {
                    "name": "persons",
                    "primary_key": "id",
                    "write_disposition": {"disposition": "merge", "strategy": "upsert"},
                    "endpoint": {"path": "persons", "params": _params(world), "data_selector": "data"},
                }
            ],
        }
    )
    pipeline = dlt.pipeline(
        "bench",
        pipelines_dir=str(Path(world.folder) / "dlt"),
        destination=dlt.destinations.postgres(_credentials(world.database_url)),
        dataset_name="dlt_persons",
    )
    with watched(world, case, "dlt") as figures:
        pipeline.run(source).raise_on_failed_jobs()
    return [figures]


def sqlalchemy_upserts(world: World) -> list[Figures]:
    """`INSERT … ON CONFLICT DO UPDATE` of all columns with SQLAlchemy Core and a list of rows, in one transaction."""
    os.environ["WOOXY_PIPEDRIVE_HOME"] = world.folder
    rows = staged_rows(world)
    engine = sa.create_engine(world.database_url.replace("postgresql://", "postgresql+psycopg://"))
    keys = [name for name in rows.columns if name not in ("version", "marketing_status", "person_id")]
    table = sa.Table(
        "peer_contacts",
        sa.MetaData(),
        sa.Column("person_id", sa.BigInteger, primary_key=True),
        *(sa.Column(name, sa.Text) for name in keys),
    )
    table.create(engine)
    insert = postgresql.insert(table)
    upsert = insert.on_conflict_do_update(
        index_elements=["person_id"], set_={name: insert.excluded[name] for name in keys}
    )
    taken = []
    for case, these in (("write, new", rows), ("write, 1 % changed", changed(rows))):
        dicts = [_as_text(row) for row in as_dicts(these)]
        with watched(world, case, "SQLAlchemy") as figures, engine.begin() as db:
            for start in range(0, len(dicts), _BATCH):
                db.execute(upsert, dicts[start : start + _BATCH])
        taken.append(figures)
    engine.dispose()
    return taken


def sqlite_utils_upserts(world: World) -> list[Figures]:
    """`upsert_all` into a separate file."""
    import sqlite_utils

    os.environ["WOOXY_PIPEDRIVE_HOME"] = world.folder
    rows = staged_rows(world)
    database = sqlite_utils.Database(Path(world.folder) / "peer.db")
    taken = []
    for case, these in (("write, new", rows), ("write, 1 % changed", changed(rows))):
        dicts = as_dicts(these)
        with watched(world, case, "sqlite-utils") as figures:
            database["contacts"].upsert_all(dicts, pk="person_id")
        taken.append(figures)
    return taken


def _params(world: World) -> dict[str, str]:
    """All contestants request the same persons with the same optional fields."""
    with PipedriveClient(world.url, ApiToken(TOKEN)) as client:
        optional = optional_fields(client.person_fields().fields)
    return {"limit": "500", "sort_by": "id", "sort_direction": "asc", "include_fields": ",".join(optional)}


def _as_text(row: dict[str, Any]) -> dict[str, Any]:
    """The row as text, which is the type of all columns in the peer's table."""
    return {
        name: value if value is None or name == "person_id" else str(value) for name, value in row.items()
    }


def _credentials(url: str) -> dict[str, Any]:
    """dlt's form of libpq's URL for a socket, `postgresql://user:@/name?host=folder`."""
    parts = sa.make_url(url)
    # The server trusts everyone who can open its socket and needs no password, but dlt requires one.
    return {
        "host": quote(str(parts.query["host"]), safe=""),
        "username": parts.username,
        "password": parts.password or "none",
        "database": parts.database,
    }
