"""The key that protects stored credentials and makes the hashes of opted-out phone numbers unguessable."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import os
import tempfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from wooxy_pipedrive_etl.settings import KEY_VARIABLE, Settings

from .errors import StoreError

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

_KEY_BYTES = 32


class KeyUnusable(StoreError):
    """The key is missing, malformed, readable by others, or not the one that the credentials were encrypted with."""


class SecretBox:
    """Encrypts credentials (Fernet) and hashes phone numbers (HMAC-SHA-256). Both keys are derived from one master key
    of 32 bytes."""

    def __init__(self, key: str) -> None:
        """`key`: 32 bytes in URL-safe base64. Raises KeyUnusable for anything else."""
        try:
            master = base64.b64decode(key.strip(), altchars=b"-_", validate=True)
        except ValueError:
            master = b""
        if len(master) != _KEY_BYTES:
            raise KeyUnusable(
                f"The key is not 32 bytes in URL-safe base64; check {KEY_VARIABLE} or the key file."
            )
        self._master = master

    # Created on first use: most commands that open the database read no secret and need not load the library.
    @cached_property
    def _fernet(self) -> Fernet:
        from cryptography.fernet import Fernet

        return Fernet(base64.urlsafe_b64encode(_derive(self._master, b"credentials")))

    @cached_property
    def _hash_key(self) -> bytes:
        return _derive(self._master, b"phone numbers")

    def __repr__(self) -> str:
        return "SecretBox(***)"

    def encrypt(self, secret: str) -> str:
        return self._fernet.encrypt(secret.encode()).decode()

    def decrypt(self, encrypted: str) -> str:
        """Raises KeyUnusable if this is not the key that the secret was encrypted with."""
        from cryptography.fernet import InvalidToken

        try:
            return self._fernet.decrypt(encrypted.encode()).decode()
        except InvalidToken:
            raise KeyUnusable(
                "The stored credentials can't be read with this key; "
                f"set {KEY_VARIABLE} or restore the key file that they were stored with."
            ) from None

    def derived_key(self, purpose: str) -> bytes:
        """32 bytes for one other purpose; they reveal nothing about the other keys."""
        return _derive(self._master, b"other: " + purpose.encode())

    @cached_property
    def fingerprint(self) -> str:
        """Distinguishes this key from others, and is useless for anything else. Computed without the library, since
        every command compares it."""
        return hmac.new(self._master, b"wooxy_pipedrive_etl fingerprint", hashlib.sha256).hexdigest()

    def hash_phone(self, phone_number: str) -> str:
        return hmac.new(self._hash_key, phone_number.encode(), hashlib.sha256).hexdigest()


def open_secret_box(
    home: Callable[[], Path], why_not_new: Callable[[], str | None] | None = None
) -> SecretBox:
    """The box with the key from `WOOXY_PIPEDRIVE_KEY`, else from the file `key` in the home folder, created if
    necessary.

    `why_not_new`: called before a key is created; returns a sentence why no new key is allowed, or None.
    Raises KeyUnusable.
    """
    from_environment = Settings.current().key
    if from_environment:
        return SecretBox(from_environment)
    path = home() / "key"
    try:
        if not path.exists():
            refusal = why_not_new() if why_not_new is not None else None
            if refusal is not None:
                raise KeyUnusable(f"The key file {path} is missing, and {KEY_VARIABLE} is not set. {refusal}")
            _write_new_key(path)
        if path.stat().st_mode & 0o077:
            raise KeyUnusable(f"The key file {path} can be read by others; run: chmod 600 {path}")
        return SecretBox(path.read_text(encoding="ascii", errors="replace"))
    except OSError as error:
        raise KeyUnusable(
            f"The key file {path} can't be read or made ({error.strerror}); put that right, or set {KEY_VARIABLE}."
        ) from None


def _write_new_key(path: Path) -> None:
    # Written to a temporary file and linked into place: if two programs start at once, both end up with the same
    # complete key. `mkstemp` creates a file that only its owner can read.
    descriptor, aside = tempfile.mkstemp(prefix="key.", dir=path.parent)
    try:
        with open(descriptor, "wb") as file:
            file.write(base64.urlsafe_b64encode(os.urandom(_KEY_BYTES)) + b"\n")
            file.flush()
            os.fsync(descriptor)
        with contextlib.suppress(FileExistsError):
            os.link(aside, path)
    finally:
        os.unlink(aside)


def _derive(master: bytes, purpose: bytes) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(algorithm=SHA256(), length=32, salt=None, info=b"wooxy_pipedrive_etl " + purpose).derive(
        master
    )
