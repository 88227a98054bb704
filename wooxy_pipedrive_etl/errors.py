"""What can go wrong with a sync, in its parts and beyond; each message is one sentence for a person."""

from __future__ import annotations

import re

from wooxy_pipedrive_etl.contact_list import ListError
from wooxy_pipedrive_etl.guards import Guard
from wooxy_pipedrive_etl.mapping.errors import MatchingFileError
from wooxy_pipedrive_etl.mapping.match_rules import rename_sentence
from wooxy_pipedrive_etl.pipedrive.errors import InvalidToken, PipedriveError
from wooxy_pipedrive_etl.store.errors import StoreError

ALLOW_RENAMES = "--allow-renames"


class SyncError(Exception):
    """The sync can't go on; nothing of the step was written."""


class WrongAccount(SyncError):
    """The credentials belong to another Pipedrive account than the connection's."""


class AccessLost(InvalidToken):
    """Access was revoked or has expired; a person must reconnect."""


class NotImported(SyncError):
    """The matching was never confirmed, so nothing may be written to the list."""


class Stopped(SyncError):
    """A signal stopped the run, which has put its affairs in order."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(
            "Stopped. What the run had not finished was rolled back, and the next run resumes from there."
        )
        self.signal_number = signal_number


class Refused(SyncError):
    """A check did not let the run go on. `guard`: which one, if a person may allow it all the same; `deleted`: how many
    contacts the run would have deleted."""

    def __init__(self, message: str, guard: Guard | None = None, *, deleted: int = 0) -> None:
        super().__init__(message)
        self.guard = guard
        self.deleted = deleted


class BrokenCatalogue(Refused):
    """The field catalogue can't be right."""


class InvalidSetting(SyncError):
    """A name, domain, region or other setting of a connection can't be used."""


class InvalidMatching(SyncError):
    """A matching that breaks rules. `errors`: a sentence for each row that does."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


class RenamesNotAllowed(SyncError):
    """An Import would rename variables of the list, and nobody has allowed that. `renames`: (old, new) names, in the
    order in which it would be done."""

    def __init__(self, renames: list[tuple[str, str]]) -> None:
        self.renames = renames
        super().__init__(
            f"{' '.join(rename_sentence(*each) for each in renames)} Nothing was imported; allow it with "
            f"{ALLOW_RENAMES}."
        )


class MatchingChanged(SyncError):
    """Someone else changed the matching in the meantime."""


# What a person is told in a sentence; anything else is a defect.
EXPECTED_ERRORS = (SyncError, StoreError, PipedriveError, ListError, MatchingFileError)

STOPPED = (
    "The run, or its process or machine, was stopped before the end. What it had not finished was rolled back, and the "
    "next run resumes from there."
)


def sentence_of(error: BaseException) -> str:
    """What to tell a person of whatever ended a run.

    What a database driver says may quote people's values, so only its kind of error goes on from here.
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
    """Whether somebody stopped the run (a signal, Dagster's *Terminate*), also where that broke off a statement and the
    driver complains of it."""
    while error is not None:
        if not isinstance(error, Exception):
            return True
        error = error.__cause__ or error.__context__
    return False


def failure_code(error: BaseException) -> str:
    """What kind of failure it is, for whoever compares runs: the same for two that need the same thing done."""
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
    """The code of an error of this class, those apart that `failure_code` knows better."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind.__name__).lower()
