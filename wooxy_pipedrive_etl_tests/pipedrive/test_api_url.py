import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wooxy_pipedrive_etl.pipedrive.api_url import checked_api_url, completed_api_url
from wooxy_pipedrive_etl.pipedrive.errors import InvalidApiUrl


@pytest.mark.parametrize(
    ("given_url", "normal"),
    [
        ("https://acme.pipedrive.com", "https://acme.pipedrive.com"),
        ("https://acme.pipedrive.com/", "https://acme.pipedrive.com"),
        ("HTTPS://Acme.Pipedrive.com:8443", "https://acme.pipedrive.com:8443"),
        ("http://127.0.0.1:8123/", "http://127.0.0.1:8123"),
        ("http://localhost:80", "http://localhost:80"),
        ("http://[::1]:8123", "http://[::1]:8123"),
    ],
)
def test_the_root_of_a_host_is_taken(given_url: str, normal: str) -> None:
    assert checked_api_url(given_url) == normal


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("acme.pipedrive.com", "does not begin with https"),
        ("ftp://acme.pipedrive.com", "does not begin with https"),
        ("", "does not begin with https"),
        ("https://", "no valid host"),
        ("https:///api", "no valid host"),
        ("https://acme pipedrive.com", "no valid host"),
        ("https://acme.pipedrive.com ", "no valid host"),
        ("https://acme.pipedrive.com\n", "no valid host"),
        ("https://acme..pipedrive.com", "no valid host"),
        ("https://" + "a" * 64 + ".com", "no valid host"),
        ("https://acme.pipedrive.com:port", "cannot be read"),
        ("https://acme.pipedrive.com:99999", "cannot be read"),
        ("https://me:hunter2@acme.pipedrive.com", "user name or a password"),
        (r"https://acme.pipedrive.com\@evil.example", "user name or a password"),
        ("https://acme.pipedrive.com/api/v2", "goes on after the host"),
        ("https://acme.pipedrive.com?api_token=hunter2", "goes on after the host"),
        ("https://acme.pipedrive.com/?", "goes on after the host"),
        ("https://acme.pipedrive.com#hunter2", "goes on after the host"),
        ("http://acme.pipedrive.com", "in the clear"),
        ("http://127.0.0.1.evil.example", "in the clear"),
        ("http://localhost.evil.example", "in the clear"),
        ("http://0.0.0.0", "in the clear"),
    ],
)
def test_everything_else_is_refused_without_telling_secrets(wrong: str, why: str) -> None:
    with pytest.raises(InvalidApiUrl, match=why) as refusal:
        checked_api_url(wrong)
    assert "hunter2" not in str(refusal.value)
    assert refusal.value.permanent


@given(
    st.one_of(
        st.text(),
        st.text().map("https://{}".format),
        st.from_regex(r"https?://[\w.:@/\[\]%-]{0,40}", fullmatch=True),
    )
)
def test_what_is_taken_can_be_used(url: str) -> None:
    try:
        normal = checked_api_url(url)
    except InvalidApiUrl:
        return
    assert checked_api_url(normal) == normal
    request = httpx.Request("GET", normal + "/api/v2/persons")
    assert request.url.path == "/api/v2/persons"
    assert request.url.userinfo == b""


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("acme", "https://acme.pipedrive.com"),
        ("Acme.Pipedrive.com", "https://acme.pipedrive.com"),
        ("https://acme.pipedrive.com/persons/list/user/1?sort=name#top", "https://acme.pipedrive.com"),
        ("http://127.0.0.1:8090", "http://127.0.0.1:8090"),
        ("http://localhost", "http://localhost"),
    ],
)
def test_what_people_type_or_paste_is_completed(typed: str, meant: str) -> None:
    assert checked_api_url(completed_api_url(typed)) == meant


@pytest.mark.parametrize(
    "typed",
    [
        "http://acme.pipedrive.com",
        "https://u:secret@acme.pipedrive.com",
        "https://example.com/pipeline",
        "[",
        "",
    ],
)
def test_completing_an_address_does_not_make_it_right(typed: str) -> None:
    with pytest.raises(InvalidApiUrl):
        checked_api_url(completed_api_url(typed))
