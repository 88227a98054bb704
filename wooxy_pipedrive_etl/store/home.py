"""Where things are on this machine, all from the environment: home folder, database, Dagster's storage."""

from __future__ import annotations

import os
from pathlib import Path

from wooxy_pipedrive_etl.settings import DAGSTER_HOME_VARIABLE, HOME_VARIABLE, Settings

from .errors import StoreError


class HomeUnusable(StoreError):
    """A folder that the program keeps its files in can't be made."""


def home() -> Path:
    """The folder of the embedded database, the key file and Dagster's storage; made if it is not there.

    `WOOXY_PIPEDRIVE_HOME`, else `.wooxy-pipedrive` in the user's own folder. It is, or becomes, its owner's alone.
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
            # People's data is in it, whoever made it: under the usual umask others may look into it.
            folder.chmod(status.st_mode & 0o700)
    except OSError as error:
        raise HomeUnusable(
            f"The folder {folder} can't be made ({error.strerror}); set {variable} to a folder that can be written."
        ) from None
    return folder
