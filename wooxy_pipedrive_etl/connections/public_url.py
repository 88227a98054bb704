"""The address at which `serve` can be reached from outside: https, or http on this machine."""

from __future__ import annotations

from urllib.parse import urlsplit

from wooxy_pipedrive_etl.errors import InvalidSetting
from wooxy_pipedrive_etl.http_api.api_url import is_loopback

_EXAMPLE = "give the public root of `wooxy-pipedrive serve`, as in https://sync.example.com"


def checked_public_url(public_url: str, what: str, secret: str) -> str:
    """The normal form of a root URL (scheme, host, port if given, path without a trailing slash).

    For messages: `what` the URL is, and which `secret` would be sent to it. Raises InvalidSetting, which does not
    repeat anything that may hold a secret.
    """
    try:
        parts = urlsplit(public_url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise InvalidSetting(f"{what} can't be read; {_EXAMPLE}.") from None
    if parts.scheme not in ("https", "http") or not host or any(each.isspace() for each in public_url):
        raise InvalidSetting(f"{what} is not an https URL; {_EXAMPLE}.")
    if parts.username is not None or parts.password is not None or "?" in public_url or "#" in public_url:
        raise InvalidSetting(f"{what} has more than a host and a path in it; {_EXAMPLE}.")
    if parts.scheme == "http" and not is_loopback(host):
        raise InvalidSetting(
            f"{what} of {host} is http, which would send {secret} in the clear; use https://{host}."
        )
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}{f':{port}' if port is not None else ''}{parts.path.rstrip('/')}"
