"""Dagster's own folder and the storage in it, opened by one process at a time.

Two processes that create Dagster's SQLite storage at the same moment can leave its migrations with two heads. Then no
schedule and no sensor ever runs, although the services look healthy.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path

import dagster as dg

from wooxy_pipedrive_etl.settings import DAGSTER_HOME_VARIABLE
from wooxy_pipedrive_etl.store.home import dagster_home


def prepare_dagster_home() -> Path:
    """Sets DAGSTER_HOME, and creates whatever is missing in it: the folder, our dagster.yaml, the storage."""
    with open_dagster():
        return dagster_home()


@contextmanager
def open_dagster() -> Iterator[dg.DagsterInstance]:
    """The instance in DAGSTER_HOME, after `prepare_dagster_home`."""
    from filelock import FileLock

    folder = dagster_home()
    os.environ[DAGSTER_HOME_VARIABLE] = str(folder)
    settings = folder / "dagster.yaml"
    with FileLock(folder / "prepare.lock", mode=0o600):
        if not settings.exists():
            with as_file(files("wooxy_pipedrive_etl.orchestration") / "dagster.yaml") as shipped:
                shutil.copyfile(shipped, settings)
        instance = dg.DagsterInstance.get()
    with instance:
        yield instance
