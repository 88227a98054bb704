"""The interface for the rest of the program: an account's API, as dataframes and plain values."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Literal

import httpx
import numpy as np

from wooxy_pipedrive_etl.http_api.retries import Retries

from . import account, names, person_fields, persons, webhooks
from .budget import PROCESS_BUDGETS, Budgets
from .credentials import Credentials
from .session import Session, Usage
from .walk_in_windows import walk_in_windows
from .webhooks import Webhook
from .windows import Span


class PipedriveClient:
    """Reads one Pipedrive account, and writes nothing to it except webhooks. A context manager; safe to use from
    several threads.

    ``api_url``: the root of the account's host, https (http on loopback only); raises ``InvalidApiUrl``. ``timeout``:
    seconds without a byte before a request counts as failed. Users of one credential share their pace through
    ``budgets``. Every method raises only ``ApiError`` (see ``errors``).
    """

    def __init__(
        self,
        api_url: str,
        credentials: Credentials,
        *,
        transport: httpx.BaseTransport | None = None,
        retries: Retries | None = None,
        timeout: float = 60.0,
        budgets: Budgets = PROCESS_BUDGETS,
    ) -> None:
        self._session = Session(
            api_url, credentials, transport=transport, retries=retries, timeout=timeout, budgets=budgets
        )

    def __enter__(self) -> PipedriveClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._session.close()

    @property
    def usage(self) -> Usage:
        return self._session.usage

    def server_time(self) -> datetime:
        """The server's clock at the last answer; ours if there was none. Never later than the server's current time, so
        whatever is read after this is at least as new."""
        return self._session.server_time or datetime.now(UTC)

    def tells_the_time(self) -> bool:
        """Whether the server's answers include its time."""
        return self._session.server_time is not None

    def account(self) -> account.Account:
        return account.account(self._session)

    def person_fields(self) -> person_fields.FieldCatalogue:
        """The field catalogue, and how many of its entries could not be read."""
        return person_fields.person_fields(self._session)

    def walk_persons(
        self,
        *,
        include_fields: Sequence[str] = (),
        updated_since: datetime | None = None,
        sort_by: Literal["id", "update_time"] = "id",
        cursor: str | None = None,
    ) -> Iterator[persons.PersonsPage]:
        """All persons, or all updated since; complete if the iterator ends without an error."""
        return persons.walk_persons(
            self._session,
            include_fields=include_fields,
            updated_since=updated_since,
            sort_by=sort_by,
            cursor=cursor,
        )

    def walk_persons_in_windows(
        self,
        newest: persons.PersonsPage,
        unread: Sequence[Span],
        *,
        top: int,
        highest: int,
        expected: int,
        times: np.ndarray,
        include_fields: Sequence[str] = (),
    ) -> Iterator[persons.PersonsPage]:
        """All persons, many requests at once; complete if the iterator ends without an error."""
        return walk_in_windows(
            self._session,
            newest,
            unread,
            top=top,
            highest=highest,
            expected=expected,
            times=times,
            include_fields=include_fields,
        )

    def newest_by_id(self, *, include_fields: Sequence[str] = ()) -> persons.PersonsPage:
        """Those with the greatest ids: one page, no walk."""
        return persons.newest_by_id(self._session, include_fields=include_fields)

    def newest_persons(
        self, updated_since: datetime, *, include_fields: Sequence[str] = ()
    ) -> persons.PersonsPage:
        """Those updated last, inclusive to the second: one page, no walk."""
        return persons.newest_persons(self._session, updated_since, include_fields=include_fields)

    def persons_above(
        self, person_id: int, *, include_fields: Sequence[str] = ()
    ) -> Iterator[persons.PersonsPage]:
        """The persons with greater ids, the newest first."""
        return persons.persons_above(self._session, person_id, include_fields=include_fields)

    def persons_by_ids(
        self, ids: Iterable[int], *, include_fields: Sequence[str] = ()
    ) -> Iterator[persons.PersonsPage]:
        """Those of these persons that exist and are visible; 10 tokens for every 100 ids."""
        return persons.persons_by_ids(self._session, ids, include_fields=include_fields)

    def organization_names(self, ids: Iterable[int]) -> dict[int, str]:
        return names.organization_names(self._session, ids)

    def organization_names_since(self, moment: datetime) -> dict[int, str]:
        """The names of the organisations updated since, inclusive to the second."""
        return names.organization_names_since(self._session, moment)

    def newest_organization_names(self, moment: datetime) -> dict[int, str]:
        """The names of the last 500 of the organisations updated since."""
        return names.newest_organization_names(self._session, moment)

    def user_names(self) -> dict[int, str]:
        return names.user_names(self._session)

    def webhooks(self) -> list[Webhook]:
        """All webhooks that the credential may see, including those of other programs; 10 tokens."""
        return webhooks.list_webhooks(self._session)

    def create_webhook(
        self, *, url: str, name: str, user: str, password: str, before: Collection[int]
    ) -> Webhook:
        """Creates a webhook that sends every change of a person to `url`; 10 tokens, more if the outcome was unknown at
        first."""
        return webhooks.create_webhook(
            self._session, url=url, name=name, user=user, password=password, before=before
        )

    def delete_webhook(self, webhook_id: int) -> None:
        """Succeeds even if it no longer exists; 6 tokens."""
        webhooks.delete_webhook(self._session, webhook_id)
