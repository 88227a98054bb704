"""The account's OAuth 2.0 state: the registered app, authorization codes, and the tokens issued for them.

Times follow the account's clock; `oauth_pages` has the HTTP side.
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
"""All scopes, with the texts of the consent page."""

CODE_SECONDS: Final = 5 * 60
ACCESS_SECONDS: Final = 3600
REFRESH_SECONDS: Final = 60 * 86_400
# Makes tokens somewhat longer than the 768 characters that clients are told to make room for.
_ACCESS_BYTES: Final = 600


@dataclass(frozen=True)
class OAuthApp:
    """An app as registered with Pipedrive; `base` is always granted, even if the scopes don't include it.

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
        """The scopes that a consent grants."""
        return tuple(each for each in SCOPES if each == "base" or each in self.scopes)


@dataclass
class Grant:
    """What a consent's code was exchanged for. Times are epoch seconds; a token is invalid from its expiry on."""

    id: int
    client_id: str
    user_id: int
    scopes: tuple[str, ...]
    granted_at: int
    refresh_until: int
    refresh_token: str = field(repr=False)
    access_tokens: dict[str, int] = field(default_factory=dict, repr=False)
    """The expiry time of each token."""


@dataclass(frozen=True)
class Caller:
    """The user who makes a call. Without a grant it is made with the API token, which may do all that its user may."""

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
    """The grant, once the code has been exchanged."""


class OAuth:
    """The app of one served account, and its grants. Safe to use from any thread."""

    def __init__(self, account: Account, webhooks: Webhooks) -> None:
        self.account = account
        self.app: OAuthApp | None = None
        self._webhooks = webhooks
        self._codes: dict[str, _Code] = {}
        self._grants: dict[int, Grant] = {}
        self._ids = count(1)

    # How an app gets its tokens

    def allow(self, app: OAuthApp) -> str:
        """The user allows the app; returns the code."""
        with self.account.lock:
            code = secrets.token_hex(20)
            user_id, until = self.account.token_owner_id, self.account.now() + CODE_SECONDS
            self._codes[code] = _Code(app.client_id, user_id, app.granted_scopes(), until)
            return code

    def exchange(self, app: OAuthApp, code: str) -> dict[str, Any]:
        """The first tokens of a grant. Raises ApiError (400); a code used twice also has its grant revoked."""
        with self.account.lock:
            kept, now = self._codes.get(code), self.account.now()
            if kept is not None and kept.grant is not None:
                self._grants.pop(kept.grant.id, None)
            elif kept is not None and kept.client_id == app.client_id and now < kept.until:
                kept.grant = grant = self._new_grant(kept)
                return self._issued(grant)
            raise oauth_error(400, "invalid_grant", "Invalid grant: authorization code is invalid")

    def refresh(self, app: OAuthApp, refresh_token: str) -> dict[str, Any]:
        """Issues another access token; older ones and the refresh token stay valid. Raises ApiError (400)."""
        with self.account.lock:
            grant, now = self._by_refresh_token(refresh_token), self.account.now()
            if grant is None or grant.client_id != app.client_id or now >= grant.refresh_until:
                raise oauth_error(400, "invalid_grant", "Invalid grant: refresh token is invalid")
            return self._issued(grant)

    def revoke(self, app: OAuthApp, token: str) -> None:
        """Revokes a single access token; for a refresh token, uninstalls the app for its user."""
        with self.account.lock:
            grant = self._by_refresh_token(token)
            if grant is not None and grant.client_id == app.client_id:
                self.uninstall(grant.user_id)
            for each in self._grants.values():
                if each.client_id == app.client_id:
                    each.access_tokens.pop(token, None)

    def caller(self, access_token: str) -> Caller | None:
        """None if the token is unknown, expired or revoked."""
        with self.account.lock:
            now = self.account.now()
            for grant in self._grants.values():
                if now < grant.access_tokens.get(access_token, now):
                    return Caller(grant.user_id, grant)
            return None

    # What can happen to grants, for tests and the control surface

    def uninstall(self, user_id: int) -> None:
        """Revokes the user's grants and deletes the webhooks created with them; notifies nobody.

        Raises UnknownRecordError.
        """
        with self.account.lock:
            if user_id not in self.account.users:
                raise UnknownRecordError(f"The account has no user {user_id}.")
            for grant in [each for each in self._grants.values() if each.user_id == user_id]:
                del self._grants[grant.id]
            self._webhooks.drop_of_app(user_id)

    def revoke_all(self) -> None:
        """Revokes all tokens; notifies nobody, and the webhooks stay."""
        with self.account.lock:
            self._grants.clear()

    def expire_access_tokens(self) -> None:
        """Expires all access tokens; refresh tokens stay valid."""
        with self.account.lock:
            for grant in self._grants.values():
                grant.access_tokens.clear()

    def state(self) -> dict[str, Any]:
        """The app and its grants, with the number of valid access tokens; no secrets."""
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

    # Internals

    def _new_grant(self, code: _Code) -> Grant:
        token = f"{self.account.company_id}:{code.user_id}:{secrets.token_hex(20)}"
        now = self.account.now()
        grant = Grant(next(self._ids), code.client_id, code.user_id, code.scopes, now, now, token)
        self._grants[grant.id] = grant
        return grant

    def _issued(self, grant: Grant) -> dict[str, Any]:
        """A new access token, as the token endpoint answers it; each one extends the refresh token's life."""
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
