"""Reads what a caller sends, and no more of it than is allowed."""

from __future__ import annotations

from starlette.requests import Request


class TooLarge(Exception):
    """The caller announced, or sent, more than is read."""


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
