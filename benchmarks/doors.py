"""Tests whether attackers can lock others out of the pages: silent connections, bodies that never arrive, and password
guesses from many addresses.

python -m benchmarks.doors [--seconds 60]

Starts `wooxy-pipedrive serve` on this machine. Holds 205 connections that send nothing and 199 forms whose body never
arrives, replaces those that are closed, and requests a page and a webhook all the while. Then sends 300 wrong passwords
from 300 addresses (faked with X-Forwarded-For), and the right one from a browser that has signed in before and from one
that has not. Everything stays on this machine and ends automatically.
"""

from __future__ import annotations

import argparse
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx

PROGRAM = str(Path(sys.executable).with_name("wooxy-pipedrive"))
PASSWORD = "the password of this benchmark"
SILENT, BODILESS, ADDRESSES = 205, 199, 300
_CSRF = re.compile(r'name="csrf" value="([^"]+)"')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    seconds: int = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {
            "WOOXY_PIPEDRIVE_HOME": folder,
            "WOOXY_PIPEDRIVE_ADMIN_PASSWORD": PASSWORD,
            "FORWARDED_ALLOW_IPS": "127.0.0.1",
        }
        environment.pop("WOOXY_PIPEDRIVE_DATABASE_URL", None)
        serve = subprocess.Popen(
            [PROGRAM, "serve", "--port", "0"], env=environment, stdout=subprocess.PIPE, text=True
        )
        try:
            assert serve.stdout is not None
            found = re.search(r"http://\S+:\d+", serve.stdout.readline())
            assert found is not None
            _silence(found.group(), seconds)
            _guesses(found.group())
        finally:
            serve.terminate()
            serve.wait()


def _silence(url: str, seconds: int) -> None:
    parts = urlsplit(url)
    said = f"POST /sign-in HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: 1000\r\n\r\n".encode()

    def connect(words: bytes) -> socket.socket:
        one = socket.create_connection((parts.hostname or "", parts.port or 0))
        one.sendall(words)
        one.setblocking(False)
        return one

    def is_closed(one: socket.socket) -> bool:
        try:
            return one.recv(4096) == b""
        except BlockingIOError:
            return False
        except ConnectionError:
            return True

    held = [(connect(b""), b"") for _ in range(SILENT)] + [(connect(said), said) for _ in range(BODILESS)]
    took: list[float] = []
    refused = replaced = 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for path, body in (("/sign-in", None), ("/webhooks/pipedrive/nobody", b"{}")):
            began = time.monotonic()
            with httpx.Client(timeout=30) as client:
                answer = client.get(url + path) if body is None else client.post(url + path, content=body)
            took.append(time.monotonic() - began)
            refused += answer.status_code >= 500
        for at, (one, words) in enumerate(held):
            if is_closed(one):
                one.close()
                held[at] = (connect(words), words)
                replaced += 1
        time.sleep(0.2)
    for one, _ in held:
        one.close()
    print(
        f"{SILENT} silent connections and {BODILESS} bodies that never came, for {seconds} s: {len(took)} calls, "
        f"slowest {max(took):.2f} s, {refused} refused; {replaced} of them were closed and opened again"
    )


def _guesses(url: str) -> None:
    known = httpx.Client(base_url=url, timeout=60)
    _sign_in(known, "198.51.100.1", PASSWORD)
    known.post("/sign-out", data={"csrf": _csrf(known)})

    def guess(number: int) -> int:
        with httpx.Client(base_url=url, timeout=60) as client:
            return _sign_in(client, f"203.0.{number // 250}.{number % 250}", f"guess number {number}")

    began = time.monotonic()
    with ThreadPoolExecutor(40) as pool:
        codes = set(pool.map(guess, range(ADDRESSES)))
    print(f"{ADDRESSES} wrong passwords from as many addresses: {time.monotonic() - began:.1f} s, {codes}")
    for who, client, address in (
        ("signed in before", known, "198.51.100.1"),
        ("never signed in", httpx.Client(base_url=url, timeout=60), "198.51.100.2"),
    ):
        began = time.monotonic()
        code = _sign_in(client, address, PASSWORD)
        print(f"the right one, from a browser that {who}: {code} after {time.monotonic() - began:.2f} s")
        client.close()


def _csrf(client: httpx.Client) -> str:
    found = _CSRF.search(client.get("/").text) or _CSRF.search(client.get("/sign-in").text)
    assert found is not None
    return found.group(1)


def _sign_in(client: httpx.Client, address: str, password: str) -> int:
    headers = {"x-forwarded-for": address}
    return client.post(
        "/sign-in", data={"csrf": _csrf(client), "password": password}, headers=headers
    ).status_code


if __name__ == "__main__":
    main()
