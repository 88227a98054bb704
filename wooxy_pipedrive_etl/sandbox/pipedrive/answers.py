"""The API's answers: the envelopes of successful ones, and every form of error body that Pipedrive is known to send."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from .json_text import NULL, encode

JSON_TYPE: Final = "application/json; charset=utf-8"
_SEE: Final = "Please check developers.pipedrive.com"
_CLOUDFLARE_PAGE: Final = (
    b"<!DOCTYPE html><html><head><title>Access denied</title></head><body>"
    b"<h1>Error 1015</h1><p>You are being rate limited. This error is produced by Cloudflare.</p></body></html>"
)


@dataclass(frozen=True)
class Answer:
    """One HTTP answer."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = JSON_TYPE

    def with_headers(self, headers: Mapping[str, str]) -> Answer:
        return replace(self, headers={**self.headers, **headers})


class ApiError(Exception):
    """Ends a call with an error answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"answered {answer.status}")
        self.answer = answer


def json_answer(status: int, body: Any, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(status, encode(body), headers or {})


def success(data: bytes, additional: bytes = NULL) -> Answer:
    """The v1 and v2 envelope for data that is already JSON; leaves out `additional_data` if it is null."""
    return Answer(200, b'{"success":true,"data":' + data + _envelope_end(additional))


def success_list(rows: list[bytes], additional: bytes) -> Answer:
    """The same for a list of rows. A page can be a megabyte, so it is assembled with a single copy."""
    if not rows:
        return success(b"[]", additional)
    rows = [*rows]
    rows[0] = b'{"success":true,"data":[' + rows[0]
    rows[-1] += b"]" + _envelope_end(additional)
    return Answer(200, b",".join(rows))


def _envelope_end(additional: bytes) -> bytes:
    return b"}" if additional == NULL else b',"additional_data":' + additional + b"}"


def application_error(status: int, error: str) -> ApiError:
    """An error of the application behind the gateway, such as not found or forbidden."""
    body = {
        "success": False,
        "error": error,
        "error_info": f"{_SEE} for more information about Pipedrive API.",
    }
    return ApiError(json_answer(status, {**body, "data": None, "additional_data": None}))


def invalid_parameter(message: str) -> ApiError:
    """A validation error of v2."""
    body = {"success": False, "error": message, "code": "ERR_SCHEMA_VALIDATION_FAILED"}
    return ApiError(json_answer(400, {**body, "data": None, "additional_data": None}))


def webhooks_error(status: int, errors: Mapping[str, list[str]]) -> ApiError:
    """An error of the webhooks API; `errors` has messages for each invalid member of the body."""
    return ApiError(json_answer(status, {"status": "error", "success": False, "errors": errors}))


def gateway_error(status: int, error: str, headers: Mapping[str, str] | None = None) -> Answer:
    body = {"success": False, "error": error, "errorCode": status, "error_info": _SEE}
    return json_answer(status, body, headers)


def oauth_error(status: int, error: str, message: str) -> ApiError:
    """An error of the token endpoints; `error` is a code from RFC 6749."""
    return ApiError(json_answer(status, {"success": False, "message": message, "error": error}))


def scope_mismatch() -> Answer:
    return gateway_error(403, "Scope and URL mismatch")


def unauthorized() -> Answer:
    return gateway_error(401, "unauthorized access", {"x-401-by-gw": "true"})


def over_limit() -> Answer:
    return json_answer(429, {"success": False, "error": "request over limit", "errorCode": 429})


def cloudflare_forbidden() -> Answer:
    return Answer(403, _CLOUDFLARE_PAGE, content_type="text/html; charset=UTF-8")
