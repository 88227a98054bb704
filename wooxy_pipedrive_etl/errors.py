"""The errors that several packages share; each message is one sentence for the user."""

from __future__ import annotations

from wooxy_pipedrive_etl.guards import Guard


class SyncError(Exception):
    """The sync can't continue; nothing of the step was written."""


class WrongAccount(SyncError):
    """The credentials belong to a Pipedrive account other than the connection's."""


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
    """A setting of a connection (its name, domain, region, …) or of the environment is invalid."""


class InvalidMatching(SyncError):
    """A matching that breaks rules. `errors`: a sentence for each row that breaks one."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


class MatchingChanged(SyncError):
    """Someone else changed the matching in the meantime."""
