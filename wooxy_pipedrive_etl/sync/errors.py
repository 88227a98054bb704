"""What can go wrong with a sync, in its parts and beyond; each message is one sentence for a person."""

from __future__ import annotations

from wooxy_pipedrive_etl.contact_list import ListError
from wooxy_pipedrive_etl.mapping.matching_file import MatchingFileError
from wooxy_pipedrive_etl.pipedrive.errors import PipedriveError
from wooxy_pipedrive_etl.store.errors import StoreError


class SyncError(Exception):
    """The sync can't go on; nothing of the step was written."""


class WrongAccount(SyncError):
    """The credentials belong to another Pipedrive account than the connection's."""


class NotImported(SyncError):
    """The matching was never confirmed, so nothing may be written to the list."""


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
