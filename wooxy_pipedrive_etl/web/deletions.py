"""The contacts that would be deleted, and the permission for it, which covers exactly those that were shown."""

from __future__ import annotations

import io
import json

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from wooxy_pipedrive_etl.views.csv_files import safe_cell, write_csv
from wooxy_pipedrive_etl.views.deletions import (
    FIELDS,
    DeletionsGone,
    read_deletions,
    view_deletions,
)
from wooxy_pipedrive_etl.views.runs import allow_once

from .contacts import whole
from .visit import Visit, page

_PATH = "/integrations/{name}/runs/{run_id}/deletions"


def routes() -> list[BaseRoute]:
    return [
        Route(_PATH, page(_show), methods=["GET"]),
        Route(_PATH, page(_allow), methods=["POST"]),
        Route(f"{_PATH}.{{format:str}}", page(_download), methods=["GET"]),
    ]


def _show(visit: Visit) -> Response:
    record, run_id = visit.record(), visit.request.path_params["run_id"]
    try:
        view = view_deletions(visit.store, record.name, run_id, whole(visit.query("page")) or 1)
    except DeletionsGone as error:
        return visit.problem(404, str(error))
    return visit.render("deletions.html", record=record, tab="runs", view=view)


def _allow(visit: Visit) -> Response:
    record, run_id = visit.record(), visit.request.path_params["run_id"]
    if allow_once(visit.store, record.name, "mass_delete", run_id) is None:
        visit.flash(
            "A newer run exists, so nothing was started. This is the current state.",
            "warning",
        )
    return visit.go(f"/integrations/{record.name}/progress")


def _download(visit: Visit) -> Response:
    record, run_id = visit.record(), visit.request.path_params["run_id"]
    format = visit.request.path_params["format"]
    if format not in ("csv", "json"):
        return visit.problem(404, "Choose the file as csv or json.")
    try:
        rows = list(read_deletions(visit.store, record.name, run_id))
    except DeletionsGone as error:
        return visit.problem(404, str(error))
    if format == "json":
        content, kind = json.dumps(rows, ensure_ascii=False), "application/json"
    else:
        text = io.StringIO()
        write_csv(rows, FIELDS, text, safe_cell)
        # With a byte-order mark, by which a spreadsheet recognises the encoding.
        content, kind = "\ufeff" + text.getvalue(), "text/csv"
    headers = {"content-disposition": f'attachment; filename="{record.name}-deletions.{format}"'}
    return Response(content, media_type=kind, headers=headers)
