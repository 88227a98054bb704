"""Runs `wooxy-pipedrive` as a user does, in this process where possible, because a new process costs seconds."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from wooxy_pipedrive_etl.cli import main
from wooxy_pipedrive_etl.sandbox.pipedrive import SandboxServer
from wooxy_pipedrive_etl.store import Store
from wooxy_pipedrive_etl.store.connections import get_connection
from wooxy_pipedrive_etl_tests.patience import PATIENCE_SECONDS
from wooxy_pipedrive_etl_tests.scenario import Connected, closing_databases
from wooxy_pipedrive_etl_tests.state import change_stored

PROGRAM = Path(sys.executable).with_name("wooxy-pipedrive")


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert (self.code, self.err) == (0, "")
        return json.loads(self.out)


@dataclass(frozen=True)
class CommandLine:
    """The program with its own environment: home folder, database, API token."""

    home: Path
    server: SandboxServer
    variables: dict[str, str]

    @property
    def environment(self) -> dict[str, str]:
        return {
            "WOOXY_PIPEDRIVE_HOME": str(self.home),
            "DAGSTER_HOME": str(self.home / "dagster"),
            "TOKEN": self.server.account.token,
            "COLUMNS": "200",
            **self.variables,
        }

    @property
    def full_environment(self) -> dict[str, str]:
        """The environment for a separate process."""
        return {**os.environ, **self.environment}

    def __call__(self, *arguments: str, stdin: bytes = b"") -> Ended:
        """Runs in this process."""
        out, err = io.StringIO(), io.StringIO()
        argv = ["wooxy-pipedrive", *arguments]
        with (
            patch.dict(os.environ, self.environment),
            patch.object(sys, "argv", argv),
            patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="ascii")),
            redirect_stdout(out),
            redirect_stderr(err),
            closing_databases(),
        ):
            try:
                main()
                code = 0
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 1
        return Ended(code, out.getvalue(), err.getvalue())

    def process(self, *arguments: str, **variables: str) -> Ended:
        """Runs in a separate process."""
        ended = subprocess.run(
            [PROGRAM, *arguments],
            env={**self.full_environment, **variables},
            capture_output=True,
            encoding="utf-8",
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    def connect(self, name: str = "acme", *options: str, domain: str = "shop.example.com") -> Ended:
        return self(
            *("connect", name, "--domain", domain, "--api-url", self.server.url),
            *("--api-token-env", "TOKEN", *options),
        )

    def change(self, name: str, **values: Any) -> None:
        """Changes what a page or a run has recorded of the connection."""
        with (
            patch.dict(os.environ, self.environment),
            closing_databases(),
            Store.open().engine.begin() as db,
        ):
            change_stored(db, get_connection(db, name).id, **values)

    def run_steps(self, name: str = "acme", domain: str = "shop.example.com") -> None:
        """A full run without Dagster, for tests of what comes after it."""
        with patch.dict(os.environ, self.environment), closing_databases():
            Connected(self.server.account, self.server, Store.open(), name, domain).sync()
