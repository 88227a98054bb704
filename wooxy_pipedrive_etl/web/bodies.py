"""Reads what a client sends, up to a limit; and the response to a machine whose call is refused."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response


class TooLarge(Exception):
    """The client announced, or sent, more than the limit."""


async def read_body(request: Request, limit: int) -> bytes:
    """`limit`: bytes. Raises TooLarge without reading on, and ClientDisconnect."""
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        raise TooLarge
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise TooLarge
    return bytes(body)


def refusal(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> Response:
    # The rest of the body is not read, so the connection can't be reused.
    return PlainTextResponse(f"{sentence}\n", status, {"connection": "close", **(headers or {})})
