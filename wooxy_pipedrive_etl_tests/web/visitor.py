"""A browser without a screen or scripts: httpx, which keeps cookies and sends the forms it was shown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html import unescape
from html.parser import HTMLParser

import httpx

from wooxy_pipedrive_etl_tests.patience import http_client

PASSWORD = "the password of the tests"
# What the name of a person, field or company may be.
HOSTILE = '<script>alert("x")</script><b>&amp;'


class Visitor:
    """Does not follow redirects, so that tests can check each answer."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = http_client(base_url=url)
        self.csrf = ""

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        return self._seen(self.client.get(path, headers=headers))

    def post(
        self,
        path: str,
        fields: Mapping[str, str] | None = None,
        *,
        csrf: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Sends the form with the last page's token, or another one."""
        token = self.csrf if csrf is None else csrf
        return self._seen(self.client.post(path, data={"csrf": token, **(fields or {})}, headers=headers))

    def follow(self, answer: httpx.Response) -> httpx.Response:
        """The page that a redirect leads to."""
        assert answer.status_code == 303, (answer.status_code, text_of(answer))
        return self.get(answer.headers["location"])

    def sign_in(self, password: str = PASSWORD) -> Visitor:
        self.get("/sign-in")
        answer = self.post("/sign-in", {"password": password})
        assert answer.status_code == 303, text_of(answer)
        self.get("/")
        return self

    def _seen(self, answer: httpx.Response) -> httpx.Response:
        found = re.search(r'name="csrf" value="([^"]+)"', answer.text)
        if found:
            self.csrf = unescape(found.group(1))
        return answer


@contextmanager
def visiting(url: str) -> Iterator[Visitor]:
    visitor = Visitor(url)
    with visitor.client:
        yield visitor


def text_of(answer: httpx.Response | str) -> str:
    """The text of a page, without tags, with whitespace collapsed."""
    reader = _Text()
    reader.feed(answer if isinstance(answer, str) else answer.text)
    return " ".join("".join(reader.parts).split())


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []

    def handle_data(self, data: str) -> None:
        self.parts.append(data)
