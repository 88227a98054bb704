"""Reads a Pipedrive account, and registers webhooks there. Knows Pipedrive's API and nothing of Wooxy."""

from .account import Account
from .client import PipedriveClient
from .credentials import ApiToken, BearerTokens, Credentials
from .oauth import Grant, OAuthApp
from .person_fields import FieldCatalogue, optional_fields
from .persons import PersonsPage
from .session import Retries, Usage
from .webhooks import Webhook
from .windows import Span

__all__ = [
    "Account",
    "ApiToken",
    "BearerTokens",
    "Credentials",
    "FieldCatalogue",
    "Grant",
    "OAuthApp",
    "PersonsPage",
    "PipedriveClient",
    "Retries",
    "Span",
    "Usage",
    "Webhook",
    "optional_fields",
]
