"""Reports failed runs to the configured receivers: a webhook, an e-mail address, or both.

One message says everything: which connection, which run, what happened, what to do. The same failure is not reported
twice in a row. A receiver that can't be reached is one line in the log; the run has a report in any case.
"""

from __future__ import annotations

import logging
import smtplib
import ssl
from collections.abc import Callable
from email.message import EmailMessage
from urllib.parse import SplitResult, unquote

import httpx

from wooxy_pipedrive_etl.errors import InvalidSetting
from wooxy_pipedrive_etl.settings import LOOPBACK, Settings
from wooxy_pipedrive_etl.store import Store, connections, runs
from wooxy_pipedrive_etl.store.database import reading

logger = logging.getLogger(__name__)

_SECONDS = 10.0


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
    settings = Settings.current()
    return bool(settings.alert_url or settings.alert_email)


def send(subject: str, text: str) -> None:
    """Sends it to all configured receivers. Never raises because of a receiver."""
    settings = Settings.current()
    if settings.alert_url:
        _try("the URL", lambda: _post(settings.checked_alert_url, text))
    if settings.alert_email:
        _try("the e-mail address", lambda: _mail(settings.smtp_server, settings.alert_email, subject, text))


class _NotTaken(Exception):
    """The receiver did not take it."""


def _try(what: str, tell: Callable[[], None]) -> None:
    try:
        tell()
    except (InvalidSetting, _NotTaken) as error:
        logger.warning("Could not send the alert to %s: %s", what, error)
    except (httpx.HTTPError, httpx.InvalidURL, OSError, smtplib.SMTPException, ValueError) as error:
        # These messages may quote the URL, which often is a secret, or the server's answer.
        logger.warning("Could not send the alert to %s (%s).", what, type(error).__name__)


def _post(url: str, text: str) -> None:
    answer = httpx.post(url, json={"text": text}, timeout=_SECONDS, follow_redirects=False)
    if not answer.is_success:
        raise _NotTaken(f"the receiver answered {answer.status_code}.")


def _mail(smtp: SplitResult, addresses: str, subject: str, text: str) -> None:
    host, user, password = smtp.hostname or "", unquote(smtp.username or ""), unquote(smtp.password or "")
    message = EmailMessage()
    message["Subject"] = subject
    message["To"] = addresses
    message["From"] = user if "@" in user else addresses.split(",")[0].strip()
    message.set_content(text)
    tls = ssl.create_default_context()
    if smtp.scheme == "smtps":
        server: smtplib.SMTP = smtplib.SMTP_SSL(host, smtp.port or 465, timeout=_SECONDS, context=tls)
    else:
        server = smtplib.SMTP(host, smtp.port or 587, timeout=_SECONDS)
    with server:
        if smtp.scheme == "smtp" and host not in LOOPBACK:
            # Neither the password nor the message is sent unencrypted.
            server.starttls(context=tls)
        if user:
            server.login(user, password)
        server.send_message(message)
