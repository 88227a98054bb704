"""The control surface under `/sandbox`: JSON over HTTP, for another process or a person trying out the demo.

It bypasses the API's gateway: no authentication, no limits, no faults, no log. Its commands are in commands.py.
"""

from __future__ import annotations

import html
import json
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from .commands import COMMANDS, Command
from .errors import InvalidValueError, SandboxError, UnknownRecordError
from .gateway import Gateway
from .json_text import encode


def control_routes(gateway: Gateway) -> list[BaseRoute]:
    """The index at `/sandbox`, and a route for each command below it."""

    async def index(request: Request) -> Response:
        return _index(request)

    async def unknown(request: Request) -> Response:
        error = f"There is no command {request.method} {request.url.path}; GET /sandbox lists all."
        return _json({"error": error}, 404)

    commands = [Route(each.path, _endpoint(gateway, each), methods=[each.method]) for each in COMMANDS]
    methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    return [
        Route("/sandbox", index, methods=["GET"]),
        *commands,
        Route("/sandbox/{path:path}", unknown, methods=methods),
    ]


# The empty one is for commands without a body.
_KINDS = ("application/json", "")


def _endpoint(gateway: Gateway, command: Command) -> Callable[[Request], Awaitable[Response]]:
    async def run(request: Request) -> Response:
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return _json({"error": "Another site may not change the account."}, 403)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        # A browser sends some other types for any site without a preflight request.
        if request.method != "GET" and kind not in _KINDS:
            return _json({"error": "Send JSON, with the header Content-Type: application/json."}, 415)
        try:
            body = _body(await request.body())
            # In a thread of its own: an app that is notified of its uninstallation may call this same server.
            return _json(await run_in_threadpool(command.run, gateway, dict(request.path_params), body))
        except UnknownRecordError as error:
            return _json({"error": str(error)}, 404)
        except SandboxError as error:
            return _json({"error": str(error)}, 400)
        except (TypeError, ValueError, KeyError) as error:
            return _json({"error": f"The command was not understood ({error})."}, 400)

    return run


def _body(text: bytes) -> dict[str, Any]:
    body = json.loads(text, parse_float=Decimal) if text.strip() else {}
    if not isinstance(body, dict):
        raise InvalidValueError("The body must be a JSON object.")
    return body


def _json(value: Any, status: int = 200) -> Response:
    return Response(encode(value), status, media_type="application/json")


def _index(request: Request) -> Response:
    rows = [(each.method, each.path, each.summary) for each in COMMANDS]
    if "text/html" not in request.headers.get("accept", ""):
        return _json([{"method": method, "path": path, "summary": summary} for method, path, summary in rows])
    table = "".join(
        f"<tr><td>{method}</td><td><code>{html.escape(path)}</code></td><td>{html.escape(summary)}</td></tr>"
        for method, path, summary in rows
    )
    page = (
        "<!DOCTYPE html><html lang=en><meta charset=utf-8><title>Pipedrive sandbox</title>"
        "<style>body{font:16px/1.5 sans-serif;margin:2em}td{padding:.2em 1em .2em 0;vertical-align:top}</style>"
        "<h1>Pipedrive sandbox</h1><p>Commands take and return JSON. The API itself is under /api/v2 and /api/v1."
        f"<table>{table}</table>"
    )
    return Response(page, media_type="text/html")
