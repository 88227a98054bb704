"""The administrator's password, which opens the pages.

It comes from `WOOXY_PIPEDRIVE_ADMIN_PASSWORD`, or is chosen once in the browser by whoever has the link that `serve`
prints when first started. It is stored as a hash (Argon2id).
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import threading

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from wooxy_pipedrive_etl.errors import SyncError
from wooxy_pipedrive_etl.settings import ADMIN_PASSWORD_VARIABLE, Settings
from wooxy_pipedrive_etl.store import Store, settings
from wooxy_pipedrive_etl.store.database import reading

SHORTEST = 12
LONGEST = 1000
FEWEST_DIFFERENT = 5

_SETTING = "admin_password"
# OWASP's least demanding parameters for Argon2id: 19 MiB, two passes.
_MEMORY_KIB = 19_456
_ITERATIONS = 2


class PasswordRefused(SyncError):
    """The password is not acceptable, or there is one already."""


class Passwords:
    """The one password of a store. Safe to use from several threads."""

    def __init__(self, store: Store) -> None:
        """Raises PasswordRefused if the environment's password is too short."""
        self._store = store
        self._key = store.secrets.derived_key("sessions")
        # One at a time: each check takes 19 MiB.
        self._hashing = threading.Lock()
        self._invitation = secrets.token_urlsafe(24)
        self._of_environment: str | None = None
        given = Settings.current().admin_password
        if given:
            _check(given, f"The password in {ADMIN_PASSWORD_VARIABLE}")
            # Compared like an API token; hashing it would protect nothing that the environment does not reveal.
            self._of_environment = given

    @property
    def is_chosen(self) -> bool:
        return self._secret() is not None

    @property
    def invitation(self) -> str:
        """Whoever knows it may choose the password, as long as there is none."""
        return self._invitation

    def choose(self, invitation: str, password: str) -> None:
        """Raises PasswordRefused."""
        if not hmac.compare_digest(invitation.encode(), self._invitation.encode()):
            raise PasswordRefused(
                "This link is not valid; take the one that `wooxy-pipedrive serve` printed last."
            )
        _check(password, "The password")
        hashed = self._hash(password)
        if self._of_environment is not None:
            raise PasswordRefused(f"The password is set by {ADMIN_PASSWORD_VARIABLE}; sign in with that one.")
        with self._store.engine.begin() as db:
            if not settings.put_if_missing(db, _SETTING, hashed):
                raise PasswordRefused("The password was chosen already; sign in with it.")

    def is_right(self, password: str) -> bool:
        secret = self._secret()
        if secret is None or len(password) > LONGEST:
            return False
        if self._of_environment is not None:
            return hmac.compare_digest(password.encode(), secret.encode())
        with self._hashing:
            try:
                Argon2id.verify_phc_encoded(password.encode(), secret)
            except InvalidKey:
                return False
        return True

    def mark(self) -> str | None:
        """What the session of a signed-in browser carries; it changes with the password. None: there is no password
        yet."""
        secret = self._secret()
        return None if secret is None else hmac.new(self._key, secret.encode(), hashlib.sha256).hexdigest()

    def _secret(self) -> str | None:
        """The environment's password, or the hash of the chosen one."""
        if self._of_environment is not None:
            return self._of_environment
        with reading(self._store.engine) as db:
            return settings.get(db, _SETTING)

    def _hash(self, password: str) -> str:
        with self._hashing:
            return Argon2id(
                salt=os.urandom(16), length=32, iterations=_ITERATIONS, lanes=1, memory_cost=_MEMORY_KIB
            ).derive_phc_encoded(password.encode())


def _check(password: str, what: str) -> None:
    if not SHORTEST <= len(password) <= LONGEST:
        raise PasswordRefused(f"{what} must have {SHORTEST} to {LONGEST} characters; choose another one.")
    if len(set(password)) < FEWEST_DIFFERENT:
        raise PasswordRefused(
            f"{what} must have {FEWEST_DIFFERENT} different characters; choose another one."
        )
