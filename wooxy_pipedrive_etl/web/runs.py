"""The runs of a connection: the one that a user is waiting for, and all earlier ones."""

from __future__ import annotations

from datetime import datetime

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from wooxy_pipedrive_etl.guards import GUARDS
from wooxy_pipedrive_etl.store import runs
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.views.runs import RunView, allow_once, try_again, view_run

from .visit import Visit, page

_PAGE = 30


def routes() -> list[BaseRoute]:
    return [
        Route("/integrations/{name}/runs", page(_runs), methods=["GET"]),
        Route("/integrations/{name}/progress", page(_progress), methods=["GET"]),
        Route("/integrations/{name}/progress", page(_ask), methods=["POST"]),
    ]


def _runs(visit: Visit) -> Response:
    record = visit.record()
    with reading(visit.store.engine) as db:
        found = runs.runs_of(db, record.id, _PAGE + 1, _moment(visit.query("before")))
        under_way = runs.current_run(db, record.id)
    shown = found[:_PAGE]
    return visit.render(
        "runs.html",
        record=record,
        tab="runs",
        runs=shown,
        under_way=under_way and under_way.run_id,
        next=shown[-1].started_at.isoformat() if len(found) > _PAGE else None,
    )


def _progress(visit: Visit) -> Response:
    record = visit.record()
    view = view_run(visit.store, record.name)
    sentence = _sentence(view)
    if visit.wants_json:
        part = visit.render("progress_part.html", record=record, view=view)
        html = bytes(part.body).decode()
        return visit.json({"under_way": view.is_under_way, "sentence": sentence, "html": html})
    return visit.render("progress.html", record=record, tab="runs", view=view, sentence=sentence)


def _ask(visit: Visit) -> Response:
    """Requests the newest run once more, as it was or with what a guard had refused."""
    record, guard = visit.record(), visit.form.get("guard")
    if "again" in visit.form:
        asked = try_again(visit.store, record.name)
    elif guard in GUARDS:
        asked = allow_once(visit.store, record.name, guard, visit.form.get("run"))
    else:
        asked = None
    if asked is None:
        visit.flash(
            "A newer run exists, so nothing was started. This is the current state.",
            "warning",
        )
    return visit.go(f"/integrations/{record.name}/progress")


def _sentence(view: RunView) -> str:
    """Its state in as few words as possible: screen readers read them out whenever they change."""
    if view.state == "waiting":
        return "Paused: nothing starts automatically" if view.paused else "Waiting for Dagster to start it"
    if view.state == "running":
        return view.progress.what if view.progress is not None else "The run has begun"
    return {
        "none": "Nothing was synchronized yet",
        "completed": "Synchronization completed",
        "tried": "Dry run completed: nothing was written",
        "partial": "Partial run completed: the list was left as it was",
        "failed": "The run failed",
    }[view.state]


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
