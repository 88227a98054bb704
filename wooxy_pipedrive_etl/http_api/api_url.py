"""Which URLs of an API are allowed: https, or http on this machine, and nothing but a host."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from .errors import InvalidApiUrl

_NAME = re.compile(r"(?=.{1,253}$)(?!-)[a-z0-9-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9-]{1,63}(?<!-))*")


def checked_api_url(api_url: str, to_do: str) -> str:
    """The normal form of ``api_url`` (scheme, host, port if given; no trailing slash).

    ``to_do``: what to advise if it is not the root of a host. Raises ``InvalidApiUrl``, whose message contains at most
    the host: the rest of a wrong address may hold a secret.
    """
    try:
        parts = urlsplit(api_url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise InvalidApiUrl(f"The API URL cannot be read; {to_do}.") from None
    if parts.scheme not in ("https", "http"):
        raise InvalidApiUrl(f"The API URL does not begin with https://; {to_do}.")
    if parts.username is not None or parts.password is not None:
        raise InvalidApiUrl(f"The API URL has a user name or a password in it; {to_do}.")
    if not (_ip_address(host) or _NAME.fullmatch(host)) or any(character.isspace() for character in api_url):
        raise InvalidApiUrl(f"The API URL has no valid host name; {to_do}.")
    if parts.path not in ("", "/") or "?" in api_url or "#" in api_url:
        raise InvalidApiUrl(f"The API URL goes on after the host {host}; {to_do}.")
    if parts.scheme == "http" and not is_loopback(host):
        raise InvalidApiUrl(
            f"The API URL of {host} is http, which would send the token in the clear; use https://{host}."
        )
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{f':{port}' if port is not None else ''}"


def is_on_this_machine(api_url: str) -> bool:
    """Whether the URL (in its normal form) points to this machine."""
    return is_loopback(urlsplit(api_url).hostname or "")


def is_loopback(host: str) -> bool:
    address = _ip_address(host)
    return address.is_loopback if address else host == "localhost"


def _ip_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
