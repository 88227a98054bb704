"""A small server that receives webhooks and uninstall callbacks, for the tests of the sandbox."""

from __future__ import annotations

import json
import threading
from collections import deque
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from types import TracebackType
from typing import Any

from wooxy_pipedrive_etl_tests.patience import PATIENCE_SECONDS


@dataclass(frozen=True)
class Received:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Receiver:
    """Answers 200 unless told otherwise: `answers` are the statuses of the next calls, `always` that of all others.

    A status of 0 hangs until the end of the test.
    """

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.arrivals: Queue[Received] = Queue()
        self.answers: deque[int] = deque()
        self.always = 200
        self._ending = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        # Stops quickly: the default polls twice a second.
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/pipedrive"

    def seen(self) -> list[tuple[str, int, int]]:
        """Action, person and attempt of each delivery so far."""
        metas = [each.json["meta"] for each in self.received]
        return [(each["action"], int(each["entity_id"]), each["attempt"]) for each in metas]

    def next(self) -> Received:
        """The first delivery not yet taken; waits for it."""
        return self.arrivals.get(timeout=PATIENCE_SECONDS)

    def __enter__(self) -> Receiver:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self._receive()

            def do_DELETE(self) -> None:
                self._receive()

            def _receive(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                received = Received(
                    self.command,
                    self.path,
                    {name.lower(): value for name, value in self.headers.items()},
                    body,
                )
                receiver.received.append(received)
                receiver.arrivals.put(received)
                self._answer()

            def do_GET(self) -> None:
                self._answer()

            def _answer(self) -> None:
                status = receiver.answers.popleft() if receiver.answers else receiver.always
                if status == 0:
                    receiver._ending.wait()
                    self.close_connection = True
                    return
                self.send_response(status)
                if status in (301, 302, 307, 308):
                    self.send_header("location", f"{receiver.url}/elsewhere")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler
