"""The errors of a sync, its own and those of its parts; each message is one sentence for the user."""

from __future__ import annotations

import re

from wooxy_pipedrive_etl.contact_list import ListError
from wooxy_pipedrive_etl.guards import Guard
from wooxy_pipedrive_etl.http_api.errors import ApiError
from wooxy_pipedrive_etl.mapping.errors import MatchingFileError
from wooxy_pipedrive_etl.mapping.match_rules import rename_sentence
from wooxy_pipedrive_etl.pipedrive.errors import InvalidToken
from wooxy_pipedrive_etl.store.errors import StoreError

ALLOW_RENAMES = "--allow-renames"


class SyncError(Exception):
    """The sync can't continue; nothing of the step was written."""


class WrongAccount(SyncError):
    """The credentials belong to a Pipedrive account other than the connection's."""


class AccessLost(InvalidToken):
    """Access was revoked or has expired; a user must reconnect."""


class NotImported(SyncError):
    """The matching was never confirmed, so nothing may be written to the list."""


class Stopped(SyncError):
    """A signal stopped the run, which has ended in good order."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(
            "Stopped. What the run had not finished was rolled back, and the next run resumes from there."
        )
        self.signal_number = signal_number


class Refused(SyncError):
    """A check refused the run. `guard`: which one, if a user may allow the run anyway; `deleted`: how many contacts the
    run would have deleted."""

    def __init__(self, message: str, guard: Guard | None = None, *, deleted: int = 0) -> None:
        super().__init__(message)
        self.guard = guard
        self.deleted = deleted


class BrokenCatalogue(Refused):
    """The field catalogue can't be complete."""


class InvalidSetting(SyncError):
    """A name, domain, region or other setting of a connection is invalid."""


class InvalidMatching(SyncError):
    """A matching that breaks rules. `errors`: a sentence for each row that breaks one."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


class RenamesNotAllowed(SyncError):
    """An Import would rename variables of the list, and nobody has allowed it. `renames`: (old, new) names, in the
    order in which they would be renamed."""

    def __init__(self, renames: list[tuple[str, str]]) -> None:
        self.renames = renames
        super().__init__(
            f"{' '.join(rename_sentence(*each) for each in renames)} Nothing was imported; allow it with "
            f"{ALLOW_RENAMES}."
        )


class MatchingChanged(SyncError):
    """Someone else changed the matching in the meantime."""


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
    # They load PostgreSQL's driver, which not every command needs.
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
    """Whether somebody stopped the run (a signal, Dagster's *Terminate*), even if that interrupted a statement and the
    driver complains."""
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
    """The code of an error of this class, except those that `failure_code` knows better."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind.__name__).lower()
