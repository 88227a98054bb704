"""A sync ended by a signal reports it in the way shells and supervisors expect."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from wooxy_pipedrive_etl.sandbox.pipedrive import Fault
from wooxy_pipedrive_etl_tests.scenario import Target, connected, isolate, small_account

from .command_line import PROGRAM

ROWS: dict[str, Target] = {"emails": "email", "name": "name"}
MESSAGE = "Stopped. What the run had not finished was rolled back, and the next run resumes from there.\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_sync_is_reported_as_failed(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
) -> None:
    isolate(monkeypatch, tmp_path)
    monkeypatch.setenv("WOOXY_PIPEDRIVE_DATABASE_URL", database_url)
    with connected(database_url, small_account()) as acme:
        acme.import_rows(ROWS)
        sent = threading.Event()

        def stop(_page: object) -> None:
            if not sent.is_set():
                sent.set()
                os.kill(process.pid, number)

        acme.server.faults.add(Fault("on_page", "/api/v2/persons", on_page=stop))
        # A shell makes background programs ignore Ctrl+C; this one runs in the foreground.
        process = subprocess.Popen(
            [PROGRAM, "sync", acme.name, "--full"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        out, err = process.communicate()
        assert (process.returncode, out, err) == (code, "", MESSAGE)
        last = acme.last_run()
        assert last.state == "failed"
        assert str(last.message).startswith("The run, or its process or machine, was stopped before the end.")
        assert acme.contacts() == []
        assert acme.sync()["created"] == 3
