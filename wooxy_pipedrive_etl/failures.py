"""What ended a run or a command: a sentence for the user, and a code to compare failures by."""

from __future__ import annotations

import re

from wooxy_pipedrive_etl.contact_list import ListError
from wooxy_pipedrive_etl.errors import Refused, SyncError
from wooxy_pipedrive_etl.http_api.errors import ApiError
from wooxy_pipedrive_etl.mapping.errors import MatchingFileError
from wooxy_pipedrive_etl.store.errors import StoreError

# Errors that are reported to the user in a sentence; anything else is a defect.
EXPECTED_ERRORS = (SyncError, StoreError, ApiError, ListError, MatchingFileError)

STOPPED = (
    "The run, or its process or machine, was stopped before the end. What it had not finished was rolled back, and the "
    "next run resumes from there."
)


def sentence_of(error: BaseException) -> str:
    """The sentence for the user about whatever ended a run.

    A database driver's message may quote personal data, so only the kind of error is passed on.
    """
    # Imported here: they load PostgreSQL's driver, which not every command needs.
    from wooxy_pipedrive_etl.store.errors import DATABASE_ERRORS
    from wooxy_pipedrive_etl.store.sentences import database_sentence

    if was_stopped(error):
        return STOPPED
    if isinstance(error, EXPECTED_ERRORS):
        return str(error)
    if isinstance(error, DATABASE_ERRORS):
        return database_sentence(error)
    return f"The run broke off ({type(error).__name__}); report this as a defect."


def was_stopped(error: BaseException | None) -> bool:
    """Whether someone stopped the run (a signal, Dagster's *Terminate*), even if that interrupted a statement and the
    driver reports an error."""
    while error is not None:
        if not isinstance(error, Exception):
            return True
        error = error.__cause__ or error.__context__
    return False


def failure_code(error: BaseException) -> str:
    """The kind of a failure, for comparing runs: the same for two failures with the same remedy."""
    from wooxy_pipedrive_etl.store.errors import DATABASE_ERRORS
    from wooxy_pipedrive_etl.store.sentences import database_code

    if was_stopped(error):
        return "stopped"
    if isinstance(error, Refused) and error.guard is not None:
        return error.guard
    if isinstance(error, DATABASE_ERRORS):
        return f"database {database_code(error)}"
    return code_of(type(error))


def code_of(kind: type[BaseException]) -> str:
    """The code of an error of this class, unless `failure_code` handles it specially."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind.__name__).lower()
