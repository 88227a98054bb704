"""Dagster as a user runs it: a real webserver and a real daemon, each a separate process with the default launcher, in
their own DAGSTER_HOME. Sensors and schedules run at their usual intervals."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

import httpx
import yaml

_ROOT = Path(__file__).parents[2]
# On a busy machine, processes start and end slowly.
PATIENCE = 180.0
_PAUSE = 0.2
_POSTGRES_STORAGE = "\nstorage:\n  postgres:\n    postgres_url:\n      env: DAGSTER_POSTGRES_URL\n"


@dataclass(frozen=True)
class Services:
    """`url`: the webserver's. `environment`: that of both services, and so of every run."""

    folder: Path
    url: str
    environment: Mapping[str, str]
    processes: Mapping[str, subprocess.Popen[bytes]]

    def wait_until(self, is_so: Callable[[], bool], otherwise: str, seconds: float = PATIENCE) -> None:
        """Checks again and again. Raises AssertionError, with the logs' last lines, on a timeout or if a service has
        ended."""
        deadline = time.monotonic() + seconds
        while not is_so():
            ended = [name for name, process in self.processes.items() if process.poll() is not None]
            if ended:
                raise AssertionError(f"{' and '.join(ended)} ended by itself.\n{self.log()}")
            if time.monotonic() > deadline:
                raise AssertionError(f"{otherwise}, {seconds:.0f} seconds on.\n{self.log()}")
            time.sleep(_PAUSE)

    def log(self, lines: int = 60) -> str:
        """The last log lines of both services, without the events of successful runs."""
        told = []
        for name in self.processes:
            said = _log(self.folder, name).read_text("utf-8", "replace").splitlines()
            told += [f"--- {name}", *[line for line in said if " - DEBUG - " not in line][-lines:]]
        return "\n".join(told)


@contextmanager
def running_services(
    folder: Path,
    modules: Sequence[str],
    environment: Mapping[str, str],
    *,
    storage_url: str | None = None,
) -> Iterator[Services]:
    """Runs the services until the end of the block; nothing of them is left afterwards.

    `modules`: the code locations, each a module that is installed or in `folder`. `environment`: added to this
    process's. `storage_url`: a PostgreSQL database for Dagster's own storage, which is otherwise SQLite.
    """
    home = folder / "dagster"
    home.mkdir()
    with as_file(files("wooxy_pipedrive_etl.orchestration") / "dagster.yaml") as shipped:
        shutil.copyfile(shipped, home / "dagster.yaml")
    own = {"DAGSTER_HOME": str(home), "PYTHONPATH": os.pathsep.join([str(folder), str(_ROOT)])}
    if storage_url is not None:
        own["DAGSTER_POSTGRES_URL"] = storage_url
        with (home / "dagster.yaml").open("a", encoding="utf-8") as settings:
            settings.write(_POSTGRES_STORAGE)
    full = {**os.environ, **environment, **own}
    # Two services creating it at once would break it.
    subprocess.run(
        [sys.executable, "-c", "import dagster as dg; dg.DagsterInstance.get().dispose()"],
        env=full,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    workspace = folder / "workspace.yaml"
    workspace.write_text(
        yaml.safe_dump(
            {"load_from": [{"python_module": {"module_name": m, "location_name": m}} for m in modules]}
        ),
        encoding="utf-8",
    )
    port = _free_port()
    commands = {
        "webserver": ["dagster_webserver", "-h", "127.0.0.1", "-p", str(port), "-w", str(workspace)],
        "daemon": ["dagster._daemon", "run", "-w", str(workspace)],
    }
    with ExitStack() as started:
        processes = {
            name: started.enter_context(_running(folder, name, command, full))
            for name, command in commands.items()
        }
        services = Services(folder, f"http://127.0.0.1:{port}", {**environment, **own}, processes)
        services.wait_until(lambda: _answers(services.url), "The webserver does not answer")
        yield services


@contextmanager
def _running(
    folder: Path, name: str, command: Sequence[str], environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    with _log(folder, name).open("wb") as log:
        # A session of its own, so that it can be ended with everything it started.
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(30)
        # Code servers and runs that outlive their service.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _log(folder: Path, name: str) -> Path:
    return folder / f"{name}.log"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/server_info", timeout=5, trust_env=False).is_success
    except httpx.TransportError:
        return False
