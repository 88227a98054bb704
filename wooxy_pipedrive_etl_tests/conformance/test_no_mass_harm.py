"""Lost visibility, a wrong account or an interrupted walk never empties the list, and does not change it at all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from wooxy_pipedrive_etl.errors import SyncError
from wooxy_pipedrive_etl.http_api.errors import ApiError
from wooxy_pipedrive_etl.sandbox.pipedrive import Fault, FaultKind, large_account

from ..scenario import ANY_DELETIONS, Connected, Refused, connected, new_token, small_account
from .conftest import NewDatabase

BREAKS: tuple[FaultKind, ...] = (
    "status",
    "reset",
    "truncated_json",
    "empty_200",
    "success_false_200",
    "unauthorized_401",
    "daily_429",
)
ROWS = {"name": "name", "emails": "email", "phones": "phoneNumber"}


@pytest.fixture
def acme(new_database: NewDatabase) -> Iterator[Connected]:
    with new_database() as url, connected(url, small_account(40)) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        yield acme


def test_hidden_persons_are_not_mass_deleted_without_permission(acme: Connected) -> None:
    before = acme.dump()
    for person_id in range(1, 31):
        acme.account.hide_person(person_id)
    with pytest.raises(Refused, match="30 of the 40 contacts would be deleted"):
        acme.sync()
    assert acme.dump() == before
    # A re-map afterwards does not bypass the refusal.
    with pytest.raises(Refused):
        acme.remap()
    assert acme.dump() == before
    assert acme.sync(allowed=ANY_DELETIONS)["deleted"] == 30
    assert acme.dump() == before[30:]


def test_persons_visible_again_find_their_contacts_unchanged(acme: Connected) -> None:
    before = acme.dump()
    for person_id in range(1, 41):
        acme.account.hide_person(person_id)
    with pytest.raises(Refused):
        acme.sync()
    for person_id in range(1, 41):
        acme.account.show_person(person_id)
    counts = acme.sync()
    assert (counts["unchanged"], counts["deleted"]) == (40, 0)
    assert acme.dump() == before


def test_a_token_of_another_account_changes_nothing(acme: Connected) -> None:
    before = acme.dump()
    acme.account.company_id += 1
    with pytest.raises(SyncError, match="belong to the Pipedrive company"):
        acme.sync(allowed=ANY_DELETIONS)
    assert acme.dump() == before
    assert len(acme.snapshot_ids()) == 40


def test_an_interrupted_walk_deletes_nobody(new_database: NewDatabase) -> None:
    account = large_account(persons=510, custom_fields=1, token=new_token())
    with new_database() as url, connected(url, account) as acme:
        acme.import_rows(ROWS)
        acme.sync()
        before = acme.dump()
        for kind in BREAKS:
            # The first page, then the second, then the second again, where the walk now resumes.
            for passed in (0, 1, 0):
                acme.server.faults.clear()
                acme.server.clear_requests()
                acme.server.faults.add(Fault(kind, path_prefix="/api/v2/persons", after=passed, times=None))
                with pytest.raises(ApiError):
                    acme.sync(allowed=ANY_DELETIONS)
                assert acme.dump() == before, (kind, passed)
            acme.server.faults.clear()
            # The resumed walk has seen everyone.
            counts = acme.sync(allowed=ANY_DELETIONS)
            assert (counts["fetched"], counts["unchanged"], counts["deleted"]) == (510, 510, 0)
            assert acme.dump() == before
        # Nor does what was read before the failure justify deleting the rest.
        assert acme.remap()["deleted"] == 0
        assert acme.dump() == before
