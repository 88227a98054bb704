"""Which URLs are allowed, and that refusing one reveals no secret."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wooxy_pipedrive_etl.http_api.api_url import checked_api_url, is_on_this_machine
from wooxy_pipedrive_etl.http_api.errors import InvalidApiUrl

TO_DO = "give the root of the host"


@pytest.mark.parametrize(
    ("given_url", "normal"),
    [
        ("https://acme.example.com", "https://acme.example.com"),
        ("https://acme.example.com/", "https://acme.example.com"),
        ("HTTPS://Acme.Example.com:8443", "https://acme.example.com:8443"),
        ("http://127.0.0.1:8123/", "http://127.0.0.1:8123"),
        ("http://localhost:80", "http://localhost:80"),
        ("http://[::1]:8123", "http://[::1]:8123"),
    ],
)
def test_a_bare_host_url_is_accepted(given_url: str, normal: str) -> None:
    assert checked_api_url(given_url, TO_DO) == normal


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("acme.example.com", "does not begin with https"),
        ("ftp://acme.example.com", "does not begin with https"),
        ("", "does not begin with https"),
        ("https://", "no valid host"),
        ("https:///api", "no valid host"),
        ("https://acme example.com", "no valid host"),
        ("https://acme.example.com ", "no valid host"),
        ("https://acme.example.com\n", "no valid host"),
        ("https://acme..example.com", "no valid host"),
        ("https://" + "a" * 64 + ".com", "no valid host"),
        ("https://acme.example.com:port", "cannot be read"),
        ("https://acme.example.com:99999", "cannot be read"),
        ("https://me:hunter2@acme.example.com", "user name or a password"),
        (r"https://acme.example.com\@evil.example", "user name or a password"),
        ("https://acme.example.com/api/v2", "goes on after the host"),
        ("https://acme.example.com?api_token=hunter2", "goes on after the host"),
        ("https://acme.example.com/?", "goes on after the host"),
        ("https://acme.example.com#hunter2", "goes on after the host"),
        ("http://acme.example.com", "in the clear"),
        ("http://127.0.0.1.evil.example", "in the clear"),
        ("http://localhost.evil.example", "in the clear"),
        ("http://0.0.0.0", "in the clear"),
    ],
)
def test_other_urls_are_refused_without_showing_secrets(wrong: str, why: str) -> None:
    with pytest.raises(InvalidApiUrl, match=why) as refusal:
        checked_api_url(wrong, TO_DO)
    assert "hunter2" not in str(refusal.value)
    assert refusal.value.permanent


@given(
    st.one_of(
        st.text(),
        st.text().map("https://{}".format),
        st.from_regex(r"https?://[\w.:@/\[\]%-]{0,40}", fullmatch=True),
    )
)
def test_accepted_urls_are_usable(url: str) -> None:
    try:
        normal = checked_api_url(url, TO_DO)
    except InvalidApiUrl:
        return
    assert checked_api_url(normal, TO_DO) == normal
    request = httpx.Request("GET", normal + "/v3/contacts")
    assert request.url.path == "/v3/contacts"
    assert request.url.userinfo == b""


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://localhost:80", True),
        ("https://127.0.0.2", True),
        ("http://[::1]:8123", True),
        ("https://localhost.example.com", False),
        ("https://10.0.0.1", False),
    ],
)
def test_this_machine_is_known_by_its_loopback_names(url: str, here: bool) -> None:
    assert is_on_this_machine(url) is here
