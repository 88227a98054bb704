"""A host on loopback that answers exactly as scripted, for answers that the sandbox never gives."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Request:
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    method: str = "GET"
    body: bytes = b""


@dataclass(frozen=True)
class Reply:
    """``body``: anything but bytes is sent as JSON. ``cut``: the number of bytes announced but never sent."""

    body: Any = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: int = 0

    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass
class Host:
    url: str
    requests: list[Request] = field(default_factory=list)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that disconnect are part of the tests."""


@contextmanager
def host(answer: Callable[[Request, int], Reply] | list[Reply]) -> Iterator[Host]:
    """Serves the list's replies in order (repeating the last), or what the function returns for a request and its
    number from 0."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            split = urlsplit(self.path)
            query = {
                name: values[-1] for name, values in parse_qs(split.query, keep_blank_values=True).items()
            }
            headers = {name.lower(): text for name, text in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", 0)))
            request = Request(split.path, query, headers, self.command, body)
            with lock:
                number = len(serving.requests)
                serving.requests.append(request)
            reply = script(request, number)
            content = reply.content()
            self.send_response(reply.status)
            for name, text in {"content-type": "application/json", **reply.headers}.items():
                self.send_header(name, text)
            self.send_header("content-length", str(len(content) + reply.cut))
            self.end_headers()
            self.wfile.write(content)
            self.close_connection = reply.cut > 0

        do_POST = do_DELETE = do_GET  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            pass

    def in_order(_: Request, number: int) -> Reply:
        assert isinstance(answer, list)
        return answer[min(number, len(answer) - 1)]

    script = in_order if isinstance(answer, list) else answer
    lock = threading.Lock()
    server = _Server(("127.0.0.1", 0), Handler)
    serving = Host(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield serving
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
