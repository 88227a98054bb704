"""OAuth 2.0 of the account: the registered app, the codes of consents, and the tokens that they were exchanged for.

State on the account's clock; what is said of it over HTTP is in `oauth_pages`.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

from .account import Account
from .answers import oauth_error
from .errors import InvalidValueError, UnknownRecordError
from .json_text import timestamp
from .subscriptions import is_receiver_url
from .webhooks import Webhooks

SCOPES: Final = {
    "base": "See basic information about you and your company",
    "contacts:read": "Read people and organizations and their fields",
    "users:read": "Read the users of your company",
    "admin": "Administer your account, webhooks included",
}
"""Every scope, and what it is called on the consent page."""

CODE_SECONDS: Final = 5 * 60
ACCESS_SECONDS: Final = 3600
REFRESH_SECONDS: Final = 60 * 86_400
# Enough for the 768 characters that clients are told to make room for, and then some.
_ACCESS_BYTES: Final = 600


@dataclass(frozen=True)
class OAuthApp:
    """An app as it is registered with Pipedrive; `base` is granted whether it is among the scopes or not.

    Raises InvalidValueError for an unknown scope, or a `redirect_uri` that is neither https nor on this machine.
    """

    client_id: str
    client_secret: str = field(repr=False)
    redirect_uri: str
    name: str = "Wooxy"
    scopes: tuple[str, ...] = tuple(SCOPES)

    def __post_init__(self) -> None:
        for scope in self.scopes:
            if scope not in SCOPES:
                raise InvalidValueError(f"There is no scope {scope!r}; known are {', '.join(SCOPES)}.")
        if not is_receiver_url(self.redirect_uri):
            raise InvalidValueError(
                "The app's redirect_uri must be an https address, or one of this machine."
            )

    def granted_scopes(self) -> tuple[str, ...]:
        """What a consent grants."""
        return tuple(each for each in SCOPES if each == "base" or each in self.scopes)


@dataclass
class Grant:
    """What the code of one consent was exchanged for. Moments are epoch seconds, the first at which it is over."""

    id: int
    client_id: str
    user_id: int
    scopes: tuple[str, ...]
    granted_at: int
    refresh_until: int
    refresh_token: str = field(repr=False)
    access_tokens: dict[str, int] = field(default_factory=dict, repr=False)
    """Until when each of them lives."""


@dataclass(frozen=True)
class Caller:
    """Whom a call of the API is made as; without a grant it is by the API token, which may whatever its user may."""

    user_id: int
    grant: Grant | None = None

    def may(self, scope: str) -> bool:
        return self.grant is None or scope in self.grant.scopes

    @property
    def grant_id(self) -> int | None:
        return None if self.grant is None else self.grant.id


@dataclass
class _Code:
    client_id: str
    user_id: int
    scopes: tuple[str, ...]
    until: int
    grant: Grant | None = None
    """What it gave already."""


class OAuth:
    """The app of one served account and everything granted to it. Safe to use from any thread."""

    def __init__(self, account: Account, webhooks: Webhooks) -> None:
        self.account = account
        self.app: OAuthApp | None = None
        self._webhooks = webhooks
        self._codes: dict[str, _Code] = {}
        self._grants: dict[int, Grant] = {}
        self._ids = count(1)

    # The way of an app to its tokens

    def allow(self, app: OAuthApp) -> str:
        """The user allows the app; gives the code."""
        with self.account.lock:
            code = secrets.token_hex(20)
            user_id, until = self.account.token_owner_id, self.account.now() + CODE_SECONDS
            self._codes[code] = _Code(app.client_id, user_id, app.granted_scopes(), until)
            return code

    def exchange(self, app: OAuthApp, code: str) -> dict[str, Any]:
        """The first tokens of a grant. Raises ApiError (400); a code that was used revokes what it gave, too."""
        with self.account.lock:
            kept, now = self._codes.get(code), self.account.now()
            if kept is not None and kept.grant is not None:
                self._grants.pop(kept.grant.id, None)
            elif kept is not None and kept.client_id == app.client_id and now < kept.until:
                kept.grant = grant = self._new_grant(kept)
                return self._issued(grant)
            raise oauth_error(400, "invalid_grant", "Invalid grant: authorization code is invalid")

    def refresh(self, app: OAuthApp, refresh_token: str) -> dict[str, Any]:
        """A new access token beside the older ones; the refresh token stays. Raises ApiError (400)."""
        with self.account.lock:
            grant, now = self._by_refresh_token(refresh_token), self.account.now()
            if grant is None or grant.client_id != app.client_id or now >= grant.refresh_until:
                raise oauth_error(400, "invalid_grant", "Invalid grant: refresh token is invalid")
            return self._issued(grant)

    def revoke(self, app: OAuthApp, token: str) -> None:
        """An access token dies alone; with a refresh token the app is uninstalled for its user."""
        with self.account.lock:
            grant = self._by_refresh_token(token)
            if grant is not None and grant.client_id == app.client_id:
                self.uninstall(grant.user_id)
            for each in self._grants.values():
                if each.client_id == app.client_id:
                    each.access_tokens.pop(token, None)

    def caller(self, access_token: str) -> Caller | None:
        """None when the token is unknown, expired or revoked."""
        with self.account.lock:
            now = self.account.now()
            for grant in self._grants.values():
                if now < grant.access_tokens.get(access_token, now):
                    return Caller(grant.user_id, grant)
            return None

    # What may happen to it meanwhile, for tests and the control surface

    def uninstall(self, user_id: int) -> None:
        """The app's grants by the user are revoked, and the webhooks made with them are gone; nobody is told.

        Raises UnknownRecordError.
        """
        with self.account.lock:
            if user_id not in self.account.users:
                raise UnknownRecordError(f"The account has no user {user_id}.")
            for grant in [each for each in self._grants.values() if each.user_id == user_id]:
                del self._grants[grant.id]
            self._webhooks.drop_of_app(user_id)

    def revoke_all(self) -> None:
        """No token works any more; nobody is told, and the webhooks stay."""
        with self.account.lock:
            self._grants.clear()

    def expire_access_tokens(self) -> None:
        """The hour of every access token is over; the refresh tokens stay."""
        with self.account.lock:
            for grant in self._grants.values():
                grant.access_tokens.clear()

    def state(self) -> dict[str, Any]:
        """The app and its grants, with how many access tokens live; no secrets."""
        with self.account.lock:
            app, now = self.app, self.account.now()
            shown = None
            if app is not None:
                shown = {
                    "client_id": app.client_id,
                    "redirect_uri": app.redirect_uri,
                    "name": app.name,
                    "scopes": app.scopes,
                }
            grants = [
                {
                    "id": each.id,
                    "client_id": each.client_id,
                    "user_id": each.user_id,
                    "scopes": each.scopes,
                    "granted_at": timestamp(each.granted_at),
                    "refresh_until": timestamp(each.refresh_until),
                    "access_tokens": sum(now < until for until in each.access_tokens.values()),
                }
                for each in self._grants.values()
            ]
            return {"app": shown, "grants": grants}

    # Inside

    def _new_grant(self, code: _Code) -> Grant:
        token = f"{self.account.company_id}:{code.user_id}:{secrets.token_hex(20)}"
        now = self.account.now()
        grant = Grant(next(self._ids), code.client_id, code.user_id, code.scopes, now, now, token)
        self._grants[grant.id] = grant
        return grant

    def _issued(self, grant: Grant) -> dict[str, Any]:
        """A new access token, as the token endpoint tells it; whoever asks keeps the refresh token alive."""
        now = self.account.now()
        token = f"v1u:{secrets.token_urlsafe(_ACCESS_BYTES)}"
        grant.access_tokens[token] = now + ACCESS_SECONDS
        grant.refresh_until = now + REFRESH_SECONDS
        return {
            "access_token": token,
            "token_type": "Bearer",
            "refresh_token": grant.refresh_token,
            "scope": ",".join(grant.scopes),
            "expires_in": ACCESS_SECONDS - 1,
        }

    def _by_refresh_token(self, token: str) -> Grant | None:
        return next((each for each in self._grants.values() if each.refresh_token == token), None)
