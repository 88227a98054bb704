import pytest

from wooxy_pipedrive_etl.pipedrive import ApiToken
from wooxy_pipedrive_etl.pipedrive.errors import InvalidToken


def test_a_token_never_shows() -> None:
    token = ApiToken("hunter2")
    assert "hunter2" not in f"{token} {token!r} {token.fingerprint} {[token]}"


@pytest.mark.parametrize(
    "secret", ["", " ", "hunter2\n", "hunter 2", "hunter2\u200b", "hünter2", "hunter2\0"]
)
def test_a_token_that_no_header_carries_is_refused_unshown(secret: str) -> None:
    with pytest.raises(InvalidToken) as refusal:
        ApiToken(secret)
    assert "unter" not in str(refusal.value)
