"""How our errors become Dagster's: one clear sentence, and no retry by Dagster.

The client has retried what another try can help before it gives up; what is left is for the next run or for a
person. A process that died is another matter: `run_retries` in dagster.yaml starts that run again, once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import dagster as dg

from wooxy_pipedrive_etl.store.errors import DATABASE_ERRORS, database_sentence
from wooxy_pipedrive_etl.sync.errors import EXPECTED_ERRORS
from wooxy_pipedrive_etl.sync.run import SyncRun, fail


@contextmanager
def as_failure(run: SyncRun | None = None) -> Iterator[None]:
    """Turns what may go wrong in a step into a `Failure`, and closes the run's report with its sentence.

    What a database driver says may quote people's values, so only its kind of error goes on from here.
    """
    try:
        yield
    except EXPECTED_ERRORS as error:
        message = str(error)
    except DATABASE_ERRORS as error:
        message = f"{database_sentence(error)} The step was rolled back; run again."
    except Exception as error:
        if run is not None:
            _close_report(run, f"The run broke off ({type(error).__name__}); report this as a defect.")
        raise
    else:
        return
    if run is not None:
        _close_report(run, message)
    raise dg.Failure(message, allow_retries=False)


def sentence_of(event: dg.DagsterEvent) -> str | None:
    """Our sentence in an event of a failure, or None if it has none."""
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


def _close_report(run: SyncRun, message: str) -> None:
    # If the database is what broke, the report stays open, and the next run tells the story.
    with suppress(*DATABASE_ERRORS):
        fail(run, message)
