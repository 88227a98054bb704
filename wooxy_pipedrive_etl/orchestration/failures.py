"""How our errors become Dagster's: one clear sentence, and no retry by Dagster.

The client has retried what another try can help before it gives up; what is left is for the next run or for a
person. A process that died is another matter: `run_retries` in dagster.yaml starts that run again, once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import dagster as dg
import psycopg
from sqlalchemy.exc import DBAPIError

from wooxy_pipedrive_etl.sync.errors import EXPECTED_ERRORS
from wooxy_pipedrive_etl.sync.run import SyncRun, fail


@contextmanager
def as_failure(run: SyncRun | None = None) -> Iterator[None]:
    """Turns what may go wrong in a step into a `Failure`, and closes the run's report with its sentence.

    What a database driver says may quote people's values, so only its kind of error goes on from here.
    """
    try:
        yield
    except EXPECTED_ERRORS as error:
        message = str(error)
    except (DBAPIError, psycopg.Error, sqlite3.Error) as error:
        message = _database_sentence(error)
    except Exception as error:
        if run is not None:
            _close_report(run, f"The run broke off ({type(error).__name__}); report this as a defect.")
        raise
    else:
        return
    if run is not None:
        _close_report(run, message)
    raise dg.Failure(message, allow_retries=False)


def _database_sentence(error: Exception) -> str:
    original = getattr(error, "orig", None) or error
    code = getattr(original, "sqlstate", None) or getattr(original, "sqlite_errorname", None)
    kind = type(original).__name__ + (f" {code}" if code else "")
    return (
        f"The list's database refused or broke off ({kind}); the step was rolled back. "
        "See that the database is up and has room, then run again."
    )


def _close_report(run: SyncRun, message: str) -> None:
    # If the database is what broke, the report stays open, and the next run tells the story.
    with suppress(DBAPIError, psycopg.Error, sqlite3.Error):
        fail(run, message)
