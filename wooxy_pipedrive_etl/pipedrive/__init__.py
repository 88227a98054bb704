"""Reads a Pipedrive account. Knows Pipedrive's API and nothing of Wooxy."""

from .account import Account
from .client import PipedriveClient
from .credentials import ApiToken
from .person_fields import FieldCatalogue, optional_fields
from .persons import PersonsPage
from .session import Retries, Usage

__all__ = [
    "Account",
    "ApiToken",
    "FieldCatalogue",
    "PersonsPage",
    "PipedriveClient",
    "Retries",
    "Usage",
    "optional_fields",
]
