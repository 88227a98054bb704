"""The headers of every answer, above all what a page may load and where its forms may lead."""

from __future__ import annotations

from urllib.parse import urlsplit


def _policy(form_action: str) -> str:
    return (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        f"form-action {form_action}; base-uri 'none'; frame-ancestors 'none'"
    )


# What an answer has unless its route says otherwise.
HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": _policy("'self'"),
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}

# What an answer over https has as well: browsers come back by https alone.
HTTPS_HEADERS = {"strict-transport-security": "max-age=31536000"}


def forms_may_lead_to(url: str) -> dict[str, str]:
    """The header of a page with a form that we answer by sending the browser on to another host: browsers hold the
    policy of the page against the redirection as well."""
    parts = urlsplit(url)
    return {"content-security-policy": _policy(f"'self' {parts.scheme}://{parts.netloc}")}
