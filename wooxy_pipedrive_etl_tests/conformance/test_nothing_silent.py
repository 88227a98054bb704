"""Every person that Pipedrive sent is accounted for, whatever its shape and whichever kind of run read it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..scenario import Connected, connected, email, small_account
from .conftest import NewDatabase

WRITTEN_OR_LISTED = ("created", "updated", "unchanged", "rejected", "duplicates", "conflicts")


@pytest.fixture
def acme(new_database: NewDatabase) -> Iterator[Connected]:
    """Two persons, a malformed record, one without identifiers, and a duplicate."""
    account = small_account(2)
    account.put_raw_person(3, '{"name": "no id"}')
    account.create_person(name="No identifier")
    account.create_person(name="Again", emails=[email("person1@example.com")])
    with new_database() as url, connected(url, account) as acme:
        acme.import_rows({"name": "name", "emails": "email"})
        yield acme


def test_all_persons_are_counted_and_omissions_are_listed(acme: Connected) -> None:
    counts = acme.sync()
    assert counts["fetched"] == 5 == sum(counts[name] for name in WRITTEN_OR_LISTED)
    assert [(row["person_id"], row["reason"]) for row in acme.issues()] == [
        (1, "duplicate_of"),
        (4, "no_identifier"),
        (None, "odd_shape"),
    ]


def test_a_re_map_still_lists_malformed_records(acme: Connected) -> None:
    acme.sync()
    listed = acme.issues()
    for _ in range(2):
        counts = acme.remap()
        assert counts["fetched"] == 5 == sum(counts[name] for name in WRITTEN_OR_LISTED)
        assert acme.issues() == listed


def test_the_next_walk_updates_the_malformed_records(acme: Connected) -> None:
    acme.sync()
    acme.remap()
    acme.account.delete_person(3)
    acme.sync()
    assert [row["reason"] for row in acme.issues()] == ["duplicate_of", "no_identifier"]
