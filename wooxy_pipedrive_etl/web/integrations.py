"""The first page: all connections and their state."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from wooxy_pipedrive_etl.views import status

from .visit import Visit, page
from .words import state_of


def routes() -> list[BaseRoute]:
    return [Route("/", page(_show), methods=["GET"])]


def _show(visit: Visit) -> Response:
    integrations = [(each, state_of(each)) for each in status.statuses(visit.store, estimates=False)]
    return visit.render("integrations.html", integrations=integrations)
