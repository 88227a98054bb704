"""Reads a Pipedrive account, and registers webhooks there. Knows Pipedrive's API and nothing of Wooxy."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

# Where each of them is: loaded when it is asked for, since most of who takes a part does not need what the others load.
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
    "Retries": "session",
    "Usage": "session",
    "Webhook": "webhooks",
    "Span": "windows",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)
