"""Turns our errors into Dagster's: one clear sentence, and no retry by Dagster.

The client has already retried whatever a retry can help; the rest is for the next run or for a user. If the process
dies, `run_retries` in dagster.yaml starts the run again once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from wooxy_pipedrive_etl.errors import Refused
from wooxy_pipedrive_etl.failures import EXPECTED_ERRORS, sentence_of, was_stopped
from wooxy_pipedrive_etl.guards import way_out
from wooxy_pipedrive_etl.store import errors as store_errors


@contextmanager
def as_failure(name: str) -> Iterator[None]:
    """Turns the expected errors of a run of the connection into a `Failure` with their sentence."""
    try:
        yield
    except Exception as error:
        # When a signal interrupts a statement, the driver complains. Dagster decides by the cause how the run ended.
        if was_stopped(error) or not isinstance(error, EXPECTED_ERRORS + store_errors.DATABASE_ERRORS):
            raise
        sentence = sentence_of(error)
        if isinstance(error, Refused) and error.guard is not None:
            sentence = f"{sentence} {way_out(error.guard, name, error.deleted)}"
        failure = dg.Failure(sentence, allow_retries=False)
    else:
        return
    raise failure


def failure_sentence(event: dg.DagsterEvent) -> str | None:
    """Our sentence in a failure event, or None if it has none."""
    data = event.event_specific_data
    failure = getattr(data, "user_failure_data", None)
    if failure is not None and failure.description:
        return str(failure.description)
    error = getattr(data, "error", None)
    while error is not None:
        if error.cls_name == "Failure":
            return str(error.message).split(":", 1)[-1].strip()
        error = error.cause
    return None
