"""Which API URLs are allowed: https, or http on this machine, and nothing but a host."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit, urlunsplit

from .errors import InvalidApiUrl

_EXAMPLE = "give the root of the account's host, as in https://acme.pipedrive.com"
_NAME = re.compile(r"(?=.{1,253}$)(?!-)[a-z0-9-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9-]{1,63}(?<!-))*")


def checked_api_url(api_url: str) -> str:
    """The normal form of ``api_url`` (scheme, host, port if given; no trailing slash).

    Raises ``InvalidApiUrl``. The message contains at most the host: the rest of a wrong address may hold a secret.
    """
    try:
        parts = urlsplit(api_url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise InvalidApiUrl(f"The API URL cannot be read; {_EXAMPLE}.") from None
    if parts.scheme not in ("https", "http"):
        raise InvalidApiUrl(f"The API URL does not begin with https://; {_EXAMPLE}.")
    if parts.username is not None or parts.password is not None:
        raise InvalidApiUrl(f"The API URL has a user name or a password in it; {_EXAMPLE}.")
    address = _ip_address(host)
    if not (address or _NAME.fullmatch(host)) or any(character.isspace() for character in api_url):
        raise InvalidApiUrl(f"The API URL has no valid host name; {_EXAMPLE}.")
    if parts.path not in ("", "/") or "?" in api_url or "#" in api_url:
        raise InvalidApiUrl(f"The API URL goes on after the host {host}; {_EXAMPLE}.")
    if parts.scheme == "http" and not _is_loopback(host):
        raise InvalidApiUrl(
            f"The API URL of {host} is http, which would send the token in the clear; use https://{host}."
        )
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{f':{port}' if port is not None else ''}"


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


def is_on_this_machine(api_url: str) -> bool:
    """Whether the account (given the normal form of its URL) is a test account on this machine."""
    return _is_loopback(urlsplit(api_url).hostname or "")


def _is_loopback(host: str) -> bool:
    address = _ip_address(host)
    return address.is_loopback if address else host == "localhost"


def _ip_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
