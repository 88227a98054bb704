"""The machines of `benchmarks.distributed`, each with its own folder, environment and processes: the queue, the single
daemon, the workers. Everything started here ends with its `with` block."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

import redis

_ROOT = Path(__file__).parents[1]
# For a process to start, or to end after a request to do so.
_PATIENCE = 60.0


@dataclass(frozen=True)
class Host:
    """A machine: a home folder with its own `dagster.yaml`, and environment variables."""

    name: str
    folder: Path
    environment: Mapping[str, str]

    @classmethod
    def new(cls, name: str, parent: Path, shared: Mapping[str, str]) -> Host:
        """`shared`: environment variables of all machines."""
        folder = parent / name
        dagster_home = folder / "dagster"
        dagster_home.mkdir(parents=True)
        with as_file(files("wooxy_pipedrive_etl.orchestration") / "dagster-celery.yaml") as shipped:
            shutil.copyfile(shipped, dagster_home / "dagster.yaml")
        own = {
            "WOOXY_PIPEDRIVE_HOME": str(folder),
            "DAGSTER_HOME": str(dagster_home),
            # Shows in PostgreSQL which machine a session belongs to.
            "PGAPPNAME": name,
        }
        return cls(name, folder, {**shared, **own})

    @property
    def log(self) -> Path:
        return self.folder / "log"


class Process:
    """A program on a host, with all its child processes."""

    def __init__(self, host: Host, *command: str) -> None:
        self.host = host
        path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
        with host.log.open("ab") as log:
            # Its own session, so that it can be killed with all its child processes, and Ctrl+C does not reach it.
            self._process = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=host.folder,
                env={**os.environ, **host.environment, "PYTHONPATH": path},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def wait_for_log(self, text: str) -> None:
        """Waits until the log contains this text. Raises RuntimeError."""
        wait_until(
            lambda: self.has_ended or text in self.host.log.read_text("utf-8", "replace"),
            f"{self.host.name} does not say “{text}”",
        )
        if self.has_ended:
            raise RuntimeError(f"{self.host.name} ended by itself; see {self.host.log}.")

    def kill(self) -> None:
        """Kills everything at once, like a power failure."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def end(self) -> None:
        """Asks it to end, and kills whatever is left after some time."""
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_PATIENCE)
        self.kill()


@contextmanager
def running(process: Process) -> Iterator[Process]:
    try:
        yield process
    finally:
        process.end()


def daemon(host: Host) -> Process:
    """Runs schedules, sensors, the run queue, monitoring and retries; it starts the code server itself."""
    return Process(host, "dagster._daemon", "run", "-m", "wooxy_pipedrive_etl.definitions")


def worker(host: Host, runs: int) -> Process:
    """`runs`: how many runs it takes at once."""
    return Process(
        host,
        *("celery", "-A", "dagster_celery.app", "worker", "--hostname", f"{host.name}@%h", "-Q", "dagster"),
        *("--concurrency", str(runs), "--disable-prefetch", "--loglevel", "INFO"),
    )


@contextmanager
def queue(folder: Path) -> Iterator[str]:
    """The URL of a Redis server on loopback, without the number of a database."""
    folder.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    password = secrets.token_hex(16)
    settings = f"bind 127.0.0.1\nport {port}\nrequirepass {password}\ndir {folder}\nappendonly yes\n"
    with (folder / "log").open("wb") as log:
        # The password goes through the pipe, because everybody can see command lines.
        server = subprocess.Popen(
            ["redis-server", "-"], stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
        )
    try:
        assert server.stdin is not None
        server.stdin.write(settings.encode())
        server.stdin.close()
        url = f"redis://:{password}@127.0.0.1:{port}"
        with redis.Redis.from_url(url) as client:
            wait_until(lambda: _answers(client), "Redis does not answer")
        yield url
    finally:
        server.terminate()
        server.wait()


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def wait_until(
    is_so: Callable[[], bool], otherwise: str, seconds: float = _PATIENCE, pause: float = 0.2
) -> None:
    """Checks repeatedly. Raises RuntimeError with `otherwise` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{otherwise}, {seconds:.0f} seconds on.")
        time.sleep(pause)
