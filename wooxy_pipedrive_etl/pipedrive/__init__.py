"""The client of Pipedrive's API: reads an account, and registers webhooks there.

Not here: how persons become contacts (`mapping`), what is stored (`store`), and anything of Wooxy. What any HTTP client
needs is in `http_api`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wooxy_pipedrive_etl.late import loaded_late

if TYPE_CHECKING:
    from .account import Account
    from .client import PipedriveClient
    from .credentials import ApiToken, BearerTokens, Credentials
    from .oauth import Grant, OAuthApp
    from .person_fields import FieldCatalogue, optional_fields
    from .persons import PersonsPage
    from .session import Usage
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
    "Span",
    "Usage",
    "Webhook",
    "optional_fields",
]

# The module of each name.
_MODULES = {
    "Account": "account",
    "PipedriveClient": "client",
    "ApiToken": "credentials",
    "BearerTokens": "credentials",
    "Credentials": "credentials",
    "Grant": "oauth",
    "OAuthApp": "oauth",
    "FieldCatalogue": "person_fields",
    "optional_fields": "person_fields",
    "PersonsPage": "persons",
    "Usage": "session",
    "Webhook": "webhooks",
    "Span": "windows",
}

__getattr__ = loaded_late(__name__, _MODULES)
