"""The headers of every response, above all what a page may load and where its forms may lead."""

from __future__ import annotations

from urllib.parse import urlsplit


def _policy(form_action: str) -> str:
    return (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        f"form-action {form_action}; base-uri 'none'; frame-ancestors 'none'"
    )


# The headers of a response unless its route sets others.
HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": _policy("'self'"),
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}

# Additional headers over https: the browser then returns only by https.
HTTPS_HEADERS = {"strict-transport-security": "max-age=31536000"}


def forms_may_lead_to(url: str) -> dict[str, str]:
    """The header of a page with a form that we answer by redirecting to another host: browsers also apply the page's
    policy to the redirect."""
    parts = urlsplit(url)
    return {"content-security-policy": _policy(f"'self' {parts.scheme}://{parts.netloc}")}
