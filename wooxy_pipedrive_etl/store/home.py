"""Where the program keeps its files: the home folder, the database, and Dagster's storage, all from the environment."""

from __future__ import annotations

import os
from pathlib import Path

from wooxy_pipedrive_etl.settings import DAGSTER_HOME_VARIABLE, HOME_VARIABLE, Settings

from .errors import StoreError


class HomeUnusable(StoreError):
    """A folder for the program's files can't be created."""


def home() -> Path:
    """The folder of the embedded database, the key file and Dagster's storage; created if missing.

    `WOOXY_PIPEDRIVE_HOME`, else `.wooxy-pipedrive` in the user's home folder. Its permissions are restricted to its
    owner.
    Raises HomeUnusable.
    """
    return _folder(HOME_VARIABLE, Settings.current().home, Path.home() / ".wooxy-pipedrive")


def database_url() -> str:
    """`WOOXY_PIPEDRIVE_DATABASE_URL`, else a SQLite file in the home folder."""
    return Settings.current().database_url or f"sqlite:///{home() / 'wooxy_pipedrive.db'}"


def dagster_home() -> Path:
    """`DAGSTER_HOME`, else a folder in the home folder."""
    return _folder(DAGSTER_HOME_VARIABLE, Settings.current().dagster_home, home() / "dagster")


def _folder(variable: str, given: str, default: Path) -> Path:
    folder = Path(given or default).absolute()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
        if status.st_mode & 0o077 and status.st_uid == os.geteuid():
            # It holds personal data, and the usual umask lets others read a folder, whoever created it.
            folder.chmod(status.st_mode & 0o700)
    except OSError as error:
        raise HomeUnusable(
            f"The folder {folder} can't be made ({error.strerror}); set {variable} to a folder that can be written."
        ) from None
    return folder
