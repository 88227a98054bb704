"""Every environment variable that the program reads: its name, its default, and the sentence for a bad value.

A value is checked when someone asks for what it means, so a bad one stops only what needs it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from math import inf
from typing import Self
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo

from wooxy_pipedrive_etl.errors import InvalidSetting

DATABASE_URL_VARIABLE = "WOOXY_PIPEDRIVE_DATABASE_URL"
HOME_VARIABLE = "WOOXY_PIPEDRIVE_HOME"
KEY_VARIABLE = "WOOXY_PIPEDRIVE_KEY"
TIMEZONE_VARIABLE = "WOOXY_PIPEDRIVE_TIMEZONE"
OWNERS_VARIABLE = "WOOXY_PIPEDRIVE_OWNERS"
PREVIEW_VARIABLE = "WOOXY_PIPEDRIVE_PREVIEW"
KEEP_DAYS_VARIABLE = "WOOXY_PIPEDRIVE_KEEP_DAYS"
RESERVE_VARIABLE = "WOOXY_PIPEDRIVE_RESERVE"
WINDOWS_FROM_VARIABLE = "WOOXY_PIPEDRIVE_WINDOWS_FROM"
ALERT_URL_VARIABLE = "WOOXY_PIPEDRIVE_ALERT_URL"
ALERT_EMAIL_VARIABLE = "WOOXY_PIPEDRIVE_ALERT_EMAIL"
SMTP_URL_VARIABLE = "WOOXY_PIPEDRIVE_SMTP_URL"
ADMIN_PASSWORD_VARIABLE = "WOOXY_PIPEDRIVE_ADMIN_PASSWORD"
PUBLIC_URL_VARIABLE = "WOOXY_PIPEDRIVE_PUBLIC_URL"
OAUTH_CLIENT_ID_VARIABLE = "WOOXY_PIPEDRIVE_OAUTH_CLIENT_ID"
OAUTH_CLIENT_SECRET_VARIABLE = "WOOXY_PIPEDRIVE_OAUTH_CLIENT_SECRET"
OAUTH_URL_VARIABLE = "WOOXY_PIPEDRIVE_OAUTH_URL"
DAGSTER_HOME_VARIABLE = "DAGSTER_HOME"  # Dagster's own
FORWARDED_ALLOW_IPS_VARIABLE = "FORWARDED_ALLOW_IPS"  # uvicorn's own

PIPEDRIVE_OAUTH_URL = "https://oauth.pipedrive.com"
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_SMTP_EXAMPLE = "smtps://user:password@mail.example.com:465"


def _variable(name: str, default: str = "", *, secret: bool = False) -> str:
    made: str = field(default=default, repr=not secret, metadata={"variable": name})
    return made


@dataclass(frozen=True)
class Settings:
    """The fields are the variables as text. An empty variable counts as unset; an unset field is its default, or "" if
    the default depends on something else. The properties are what the text means; they raise InvalidSetting."""

    database_url: str = _variable(DATABASE_URL_VARIABLE, secret=True)
    home: str = _variable(HOME_VARIABLE)
    key: str = _variable(KEY_VARIABLE, secret=True)
    timezone: str = _variable(TIMEZONE_VARIABLE, "UTC")
    owners: str = _variable(OWNERS_VARIABLE)
    preview: str = _variable(PREVIEW_VARIABLE)
    keep_days: str = _variable(KEEP_DAYS_VARIABLE, "90")
    # The rest of a day's tokens is for the customer's other integrations and the next nightly run.
    reserve: str = _variable(RESERVE_VARIABLE, "20")
    # From this number of persons, windows cost at most a few per cent more tokens.
    windows_from: str = _variable(WINDOWS_FROM_VARIABLE, "50000")
    alert_url: str = _variable(ALERT_URL_VARIABLE, secret=True)
    alert_email: str = _variable(ALERT_EMAIL_VARIABLE)
    smtp_url: str = _variable(SMTP_URL_VARIABLE, secret=True)
    admin_password: str = _variable(ADMIN_PASSWORD_VARIABLE, secret=True)
    public_url: str = _variable(PUBLIC_URL_VARIABLE)
    oauth_client_id: str = _variable(OAUTH_CLIENT_ID_VARIABLE)
    oauth_client_secret: str = _variable(OAUTH_CLIENT_SECRET_VARIABLE, secret=True)
    oauth_url: str = _variable(OAUTH_URL_VARIABLE, PIPEDRIVE_OAUTH_URL)
    dagster_home: str = _variable(DAGSTER_HOME_VARIABLE)
    forwarded_allow_ips: str = _variable(FORWARDED_ALLOW_IPS_VARIABLE)

    @classmethod
    def current(cls) -> Self:
        """Reads the environment as it is now."""
        set_ = {each.name: os.environ.get(each.metadata["variable"]) for each in fields(cls)}
        return cls(**{name: text for name, text in set_.items() if text})

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of the nightly schedule."""
        try:
            return ZoneInfo(self.timezone)
        except (KeyError, ValueError, OSError):
            raise InvalidSetting(
                f"{TIMEZONE_VARIABLE} names no time zone; set it to one like Europe/Helsinki."
            ) from None

    @property
    def asset_owners(self) -> list[str]:
        """Email addresses and teams (`team:marketing`); Dagster rejects anything else."""
        return [owner.strip() for owner in self.owners.split(",") if owner.strip()]

    @property
    def previews_are_masked(self) -> bool:
        return self.preview == "masked"

    @property
    def days_kept(self) -> int:
        """For how many days run reports, issues and the history of contacts are kept."""
        return _whole_number(
            self.keep_days,
            1,
            36_500,
            f"{KEEP_DAYS_VARIABLE} is not a number of days; set it to a whole number like 90.",
        )

    @property
    def reserve_percent(self) -> int:
        """The part of a day's tokens, in per cent, that no run uses without permission."""
        return _whole_number(
            self.reserve,
            0,
            99,
            f"{RESERVE_VARIABLE} is not a share of the budget; set it to whole per cent like 20, without a sign, 99 at "
            "most.",
        )

    @property
    def persons_for_windows(self) -> int:
        """The number of persons from which a walk uses windows."""
        return _whole_number(
            self.windows_from,
            0,
            inf,
            f"{WINDOWS_FROM_VARIABLE} is not a number of persons; set it to a whole number like 50000.",
        )

    @property
    def checked_alert_url(self) -> str:
        parts = _split(self.alert_url, ALERT_URL_VARIABLE)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
            raise InvalidSetting(
                f"{ALERT_URL_VARIABLE} must be an https address (http on this machine only)."
            )
        return self.alert_url

    @property
    def smtp_server(self) -> SplitResult:
        """The server that sends alerts by email."""
        if not self.smtp_url:
            raise InvalidSetting(f"{SMTP_URL_VARIABLE} is empty; set it like {_SMTP_EXAMPLE}.")
        parts = _split(self.smtp_url, SMTP_URL_VARIABLE)
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
            raise InvalidSetting(f"{SMTP_URL_VARIABLE} must be like {_SMTP_EXAMPLE}.")
        return parts

    @property
    def public_root(self) -> str:
        """The public URL, to which paths are added; "" if none is set."""
        return self.public_url.rstrip("/")

    @property
    def oauth_client(self) -> tuple[str, str] | None:
        """The client ID and the client secret of the OAuth app; None if neither is set."""
        client_id, client_secret = self.oauth_client_id.strip(), self.oauth_client_secret.strip()
        if not client_id and not client_secret:
            return None
        for variable, value in (
            (OAUTH_CLIENT_ID_VARIABLE, client_id),
            (OAUTH_CLIENT_SECRET_VARIABLE, client_secret),
        ):
            if not value:
                raise InvalidSetting(
                    f"{variable} is empty; set it to what Pipedrive's Developer Hub shows for the app, or unset "
                    f"{OAUTH_CLIENT_ID_VARIABLE} and {OAUTH_CLIENT_SECRET_VARIABLE} both."
                )
        return client_id, client_secret


def _whole_number(text: str, lowest: int, highest: float, otherwise: str) -> int:
    """`otherwise`: the sentence for text that is not such a number."""
    if not text.isdecimal() or not lowest <= int(text) <= highest:
        raise InvalidSetting(otherwise)
    return int(text)


def _split(url: str, variable: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise InvalidSetting(f"{variable} is not a URL.") from None
    return parts
