"""The URLs of Pipedrive's hosts: what is allowed, and what users mean who type only a part."""

from __future__ import annotations

import re
from urllib.parse import urlsplit, urlunsplit

from wooxy_pipedrive_etl.http_api.api_url import checked_api_url


def checked_pipedrive_url(api_url: str) -> str:
    """The normal form of the URL of an account, or of the OAuth host. Raises ``InvalidApiUrl``."""
    return checked_api_url(api_url, "give the root of the account's host, as in https://acme.pipedrive.com")


def completed_api_url(typed: str) -> str:
    """The API URL that a user means who types `acme` or `acme.pipedrive.com`, or pastes the address of one of the
    account's pages. Still to be checked."""
    url = typed if "://" in typed else f"https://{typed}"
    try:
        parts = urlsplit(url)
    except ValueError:
        return typed
    if re.fullmatch(r"[A-Za-z0-9-]+", parts.netloc) and parts.netloc.lower() != "localhost":
        parts = parts._replace(netloc=f"{parts.netloc}.pipedrive.com")
    if parts.netloc.lower().endswith(".pipedrive.com"):
        parts = parts._replace(path="", query="", fragment="")
    return urlunsplit(parts)
