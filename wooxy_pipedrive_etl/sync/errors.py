"""What can go wrong with a sync, in its parts and beyond; each message is one sentence for a person."""

from __future__ import annotations

from typing import Literal

from wooxy_pipedrive_etl.contact_list import ListError
from wooxy_pipedrive_etl.mapping.errors import MatchingFileError
from wooxy_pipedrive_etl.pipedrive.errors import InvalidToken, PipedriveError
from wooxy_pipedrive_etl.store.errors import StoreError

Guard = Literal["mass_delete", "reserve"]
# The options by which a person allows a run what a guard refused; each refusal names its option.
ALLOW_MASS_DELETE = "--allow-mass-delete"
USE_RESERVE = "--use-reserve"


class SyncError(Exception):
    """The sync can't go on; nothing of the step was written."""


class WrongAccount(SyncError):
    """The credentials belong to another Pipedrive account than the connection's."""


class AccessLost(InvalidToken):
    """Pipedrive does not let the connection in any more, until a person allows the app again."""


class NotImported(SyncError):
    """The matching was never confirmed, so nothing may be written to the list."""


class Stopped(SyncError):
    """A signal stopped the run, which has put its affairs in order."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(
            "Stopped. What the run had not finished was rolled back, and the next run goes on from there."
        )
        self.signal_number = signal_number


class Refused(SyncError):
    """A check on the plan did not let it be applied."""


class BrokenCatalogue(SyncError):
    """The field catalogue can't be right."""


class InvalidSetting(SyncError):
    """A name, domain, region or other setting of a connection can't be used."""


class InvalidMatching(SyncError):
    """A matching that breaks rules. `errors`: a sentence for each row that does."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


class MatchingChanged(SyncError):
    """The matching is another one than the person who changes it has seen."""


# What a person is told in a sentence; anything else is a defect.
EXPECTED_ERRORS = (SyncError, StoreError, PipedriveError, ListError, MatchingFileError)

STOPPED = (
    "The run, or its process or machine, was stopped before the end. What it had not finished was rolled back, and the "
    "next run goes on from there."
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


def guard_of(message: str | None) -> Guard | None:
    """The guard that refused the run of which a report says this, and that a person may lift."""
    if message is None:
        return None
    if ALLOW_MASS_DELETE in message:
        return "mass_delete"
    return "reserve" if USE_RESERVE in message else None
