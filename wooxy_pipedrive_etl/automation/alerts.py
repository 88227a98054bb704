"""Reports failed runs to the configured receivers: a webhook, an e-mail address, or both.

One message says everything: which connection, which run, what happened, what to do. The same failure is not reported
twice in a row. A receiver that can't be reached is one line in the log; the run has a report in any case.
"""

from __future__ import annotations

import logging
import os
import smtplib
import ssl
from collections.abc import Callable
from email.message import EmailMessage
from urllib.parse import SplitResult, unquote, urlsplit

import httpx

from wooxy_pipedrive_etl.store import Store, connections, runs
from wooxy_pipedrive_etl.store.database import reading

logger = logging.getLogger(__name__)

URL_VARIABLE = "WOOXY_PIPEDRIVE_ALERT_URL"
EMAIL_VARIABLE = "WOOXY_PIPEDRIVE_ALERT_EMAIL"
SMTP_VARIABLE = "WOOXY_PIPEDRIVE_SMTP_URL"
_SECONDS = 10.0
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def failure_text(
    store: Store,
    connection_name: str,
    run_id: str,
    *,
    sentence: str | None = None,
    failed_before: str | None = None,
) -> str | None:
    """The text that reports a failed run, or None if the run before it failed in the same way and was reported then.

    `sentence`: what is known of the failure besides the run's report. A run that failed before its first step has no
    report; that counts as the same failure if the run `failed_before` has none either. Raises UnknownConnection.
    """
    with reading(store.engine) as db:
        record = connections.get_connection(db, connection_name)
        report = runs.get_run(db, record.id, run_id)
        before = runs.failure_before(db, record.id, run_id)
        alike = failed_before is not None and runs.get_run(db, record.id, failed_before) is None
    if report is None and alike:
        return None
    if report is not None and report.failure is not None and report.failure == before:
        return None
    told = None if report is None else report.message_with_way_out(record.name)
    message = told or sentence or "It broke off; see the run in the Dagster UI."
    what = f"The {report.kind} run" if report is not None else "A run"
    return (
        f"{what} of the connection {record.name} ({record.domain}) failed. {message} "
        "The list stays as the last good run left it."
    )


def is_anyone_to_be_told() -> bool:
    return bool(os.environ.get(URL_VARIABLE) or os.environ.get(EMAIL_VARIABLE))


def send(subject: str, text: str) -> None:
    """Sends it to all configured receivers. Never raises because of a receiver."""
    url, address = os.environ.get(URL_VARIABLE), os.environ.get(EMAIL_VARIABLE)
    if url:
        _try("the URL", lambda: _post(url, text))
    if address:
        _try("the e-mail address", lambda: _mail(address, subject, text))


class _Unusable(Exception):
    """A setting is invalid."""


def _try(what: str, tell: Callable[[], None]) -> None:
    try:
        tell()
    except _Unusable as error:
        logger.warning("Could not send the alert to %s: %s", what, error)
    except (httpx.HTTPError, httpx.InvalidURL, OSError, smtplib.SMTPException, ValueError) as error:
        # These messages may quote the URL, which often is a secret, or the server's answer.
        logger.warning("Could not send the alert to %s (%s).", what, type(error).__name__)


def _post(url: str, text: str) -> None:
    parts = _split(url, URL_VARIABLE)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise _Unusable(f"{URL_VARIABLE} must be an https address (http on this machine only).")
    answer = httpx.post(url, json={"text": text}, timeout=_SECONDS, follow_redirects=False)
    if not answer.is_success:
        raise _Unusable(f"the receiver answered {answer.status_code}.")


def _mail(addresses: str, subject: str, text: str) -> None:
    setting = os.environ.get(SMTP_VARIABLE)
    if not setting:
        raise _Unusable(f"{SMTP_VARIABLE} is empty; set it like smtps://user:password@mail.example.com:465.")
    parts = _split(setting, SMTP_VARIABLE)
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise _Unusable(f"{SMTP_VARIABLE} must be like smtps://user:password@mail.example.com:465.")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    message = EmailMessage()
    message["Subject"] = subject
    message["To"] = addresses
    message["From"] = user if "@" in user else addresses.split(",")[0].strip()
    message.set_content(text)
    tls = ssl.create_default_context()
    if parts.scheme == "smtps":
        server: smtplib.SMTP = smtplib.SMTP_SSL(
            parts.hostname, parts.port or 465, timeout=_SECONDS, context=tls
        )
    else:
        server = smtplib.SMTP(parts.hostname, parts.port or 587, timeout=_SECONDS)
    with server:
        if parts.scheme == "smtp" and parts.hostname not in _LOOPBACK:
            # Neither the password nor the message is sent unencrypted.
            server.starttls(context=tls)
        if user:
            server.login(user, password)
        server.send_message(message)


def _split(url: str, variable: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise _Unusable(f"{variable} is not a URL.") from None
    return parts
