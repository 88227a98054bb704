"""Where things are on this machine, all from the environment: home folder, database, Dagster's storage."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """The folder of the embedded database, the key file and Dagster's storage; made if it is not there.

    `WOOXY_PIPEDRIVE_HOME`, else `.wooxy-pipedrive` in the user's own folder. Only its owner may look in.
    """
    folder = Path(os.environ.get("WOOXY_PIPEDRIVE_HOME") or Path.home() / ".wooxy-pipedrive").absolute()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def database_url() -> str:
    """`WOOXY_PIPEDRIVE_DATABASE_URL`, else a SQLite file in the home folder."""
    return os.environ.get("WOOXY_PIPEDRIVE_DATABASE_URL") or f"sqlite:///{home() / 'wooxy_pipedrive.db'}"


def dagster_home() -> Path:
    """`DAGSTER_HOME`, else a folder in the home folder."""
    folder = Path(os.environ.get("DAGSTER_HOME") or home() / "dagster").absolute()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
