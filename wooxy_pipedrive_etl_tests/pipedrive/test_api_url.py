"""Completing what users type, and the advice for a wrong URL."""

import pytest

from wooxy_pipedrive_etl.http_api.errors import InvalidApiUrl
from wooxy_pipedrive_etl.pipedrive.api_url import checked_pipedrive_url, completed_api_url


def test_a_wrong_url_gets_an_example() -> None:
    with pytest.raises(InvalidApiUrl) as refusal:
        checked_pipedrive_url("acme.pipedrive.com")
    assert str(refusal.value) == (
        "The API URL does not begin with https://; give the root of the account's host, as in "
        "https://acme.pipedrive.com."
    )


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
def test_typed_or_pasted_addresses_are_completed(typed: str, meant: str) -> None:
    assert checked_pipedrive_url(completed_api_url(typed)) == meant


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
def test_completing_an_address_does_not_make_it_valid(typed: str) -> None:
    with pytest.raises(InvalidApiUrl):
        checked_pipedrive_url(completed_api_url(typed))
