from __future__ import annotations

import base64
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wooxy_pipedrive_etl.settings import KEY_VARIABLE
from wooxy_pipedrive_etl.store.home import home
from wooxy_pipedrive_etl.store.secrets import KeyUnusable, SecretBox, open_secret_box

KEY = base64.urlsafe_b64encode(bytes(range(224, 256))).decode()
OTHER_KEY = base64.urlsafe_b64encode(bytes(range(32))).decode()


@given(st.text())
def test_a_secret_is_encrypted_and_decrypted_correctly(secret: str) -> None:
    box = SecretBox(KEY)
    encrypted = box.encrypt(secret)
    assert box.decrypt(encrypted) == secret
    assert len(secret) < 4 or secret not in encrypted


def test_a_wrong_key_is_reported_without_secrets() -> None:
    encrypted = SecretBox(KEY).encrypt("t0ken")
    with pytest.raises(KeyUnusable, match=KEY_VARIABLE) as refused:
        SecretBox(OTHER_KEY).decrypt(encrypted)
    assert "t0ken" not in str(refused.value)
    assert encrypted not in str(refused.value)


@pytest.mark.parametrize(
    "key", ["", "short", KEY[:-2], KEY + "AAAA", "ключ", "\0" * 44, KEY.replace("_", "!")]
)
def test_a_malformed_key_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(KeyUnusable, match="32 bytes in URL-safe base64") as refused:
        SecretBox(key)
    assert not key or key not in str(refused.value)


def test_key_is_never_shown() -> None:
    assert repr(SecretBox(KEY)) == "SecretBox(***)"


def test_phone_hashes_depend_on_key_and_hide_numbers() -> None:
    box, number = SecretBox(KEY), "+358401234567"
    assert box.hash_phone(number) == SecretBox(KEY).hash_phone(number)
    assert box.hash_phone(number) != box.hash_phone("+358401234568")
    assert box.hash_phone(number) != SecretBox(OTHER_KEY).hash_phone(number)
    assert number[1:] not in box.hash_phone(number)


def test_the_key_file_is_private_and_created_once(home_folder: Path) -> None:
    encrypted = open_secret_box(home).encrypt("t0ken")
    assert stat.S_IMODE((home_folder / "key").stat().st_mode) == 0o600
    assert [path.name for path in home_folder.iterdir()] == ["key"]
    assert open_secret_box(home).decrypt(encrypted) == "t0ken"


def test_the_key_file_is_private_under_any_umask() -> None:
    mask = os.umask(0)
    try:
        open_secret_box(home)
    finally:
        os.umask(mask)
    assert stat.S_IMODE((home() / "key").stat().st_mode) == 0o600


def test_programs_starting_together_share_one_key() -> None:
    together = Barrier(8)

    def start(_number: int) -> SecretBox:
        together.wait()
        return open_secret_box(home)

    with ThreadPoolExecutor(8) as pool:
        boxes = list(pool.map(start, range(8)))
    encrypted = boxes[0].encrypt("t0ken")
    assert {box.decrypt(encrypted) for box in boxes} == {"t0ken"}


def test_key_from_the_environment_needs_no_file(home_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY + "\n")
    assert open_secret_box(home).decrypt(SecretBox(KEY).encrypt("t0ken")) == "t0ken"
    assert not home_folder.exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_key_file_that_others_can_read_is_refused(mode: int) -> None:
    open_secret_box(home)
    (home() / "key").chmod(mode)
    with pytest.raises(KeyUnusable, match="chmod 600"):
        open_secret_box(home)


def test_a_garbled_key_file_is_refused() -> None:
    open_secret_box(home)
    (home() / "key").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(KeyUnusable, match="32 bytes"):
        open_secret_box(home)


def test_key_file_that_cannot_be_read_is_refused() -> None:
    (home() / "key").mkdir(mode=0o700)
    with pytest.raises(KeyUnusable, match=KEY_VARIABLE):
        open_secret_box(home)
