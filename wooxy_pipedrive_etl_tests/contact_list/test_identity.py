"""The pure functions of identity, against the naive version of the rules."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from wooxy_pipedrive_etl.contact_list.identity import (
    Contact,
    IdentifierMatch,
    Person,
    Resolution,
    claim,
    resolve,
)

from .naive import KINDS, World, outcome, worlds

_PERSONS = st.lists(
    st.tuples(
        st.integers(1, 30),
        st.integers(0, 3),
        st.sets(st.tuples(st.sampled_from(["email", "phoneNumber"]), st.sampled_from("abcd")), max_size=3),
    ),
    unique_by=lambda person: person[0],
)


@given(_PERSONS)
def test_claims(persons: list[tuple[int, int, set[tuple[str, str]]]]) -> None:
    duplicates = claim(persons)
    by_id = {person[0]: person for person in persons}
    owners = [person for person in persons if person[0] not in duplicates]
    held = [identifier for _, _, identifiers in owners for identifier in identifiers]
    assert len(held) == len(set(held))
    for person_id, owner_id in duplicates.items():
        _, version, identifiers = by_id[person_id]
        sharing = [
            (v, p) for p, v, theirs in owners if theirs & identifiers and (v, p) > (version, person_id)
        ]
        assert max(sharing) == (by_id[owner_id][1], owner_id)


@settings(max_examples=400, deadline=None)
@given(worlds())
def test_resolves_as_the_rules_say(world: World) -> None:
    expected = outcome(world)
    resolution = _resolved(world, expected.issues)
    conflicts = {person for person, kind in expected.issues.items() if kind == "conflict"}
    assert set(resolution.conflicts) == conflicts
    assert all(resolution.conflicts.values())
    own = {person: contact for person, (contact, _) in world.links.items()}
    gained = {p: c for p, c in expected.owners.items() if c is not None and own.get(p) != c}
    assert resolution.contacts == gained
    assert len(set(gained.values())) == len(gained)


def test_an_orphaned_contact_goes_to_a_resolved_conflict() -> None:
    """It still exists, because nothing is written until everything is resolved: one row, one life."""
    late = Person(5, 5, None, frozenset(KINDS))
    first, second = Person(4, 4, None, frozenset(KINDS)), Person(3, 3, None, frozenset(KINDS))
    identifier_matches = [
        IdentifierMatch(5, 101, "email"),
        IdentifierMatch(5, 102, "phoneNumber"),
        IdentifierMatch(5, 103, "userId"),
        IdentifierMatch(4, 101, "phoneNumber"),
        IdentifierMatch(3, 102, "email"),
    ]
    contacts = {number: Contact(number, None, foreign=number != 103) for number in (101, 102, 103)}
    resolution = resolve([late, first, second], identifier_matches, contacts, ignore_empty=True)
    assert resolution == Resolution({4: 101, 3: 102, 5: 103}, {})


def test_a_conflicting_new_owner_does_not_block_others() -> None:
    """Person 10 matches contact 4 only while 16, who is in conflict himself, counts as its new owner."""
    persons = [
        Person(16, 9, None, frozenset({"email", "phoneNumber", "userId"})),
        Person(10, 1, None, frozenset({"email"})),
        Person(8, 1, None, frozenset({"userId"})),
    ]
    identifier_matches = [
        IdentifierMatch(16, 2, "userId"),
        IdentifierMatch(16, 4, "email"),
        IdentifierMatch(10, 2, "email"),
        IdentifierMatch(8, 4, "userId"),
    ]
    contacts = {number: Contact(number, None, foreign=False) for number in (2, 4)}
    resolution = resolve(persons, identifier_matches, contacts, ignore_empty=True)
    assert resolution.contacts.items() >= {8: 4, 10: 2}.items()


def _resolved(world: World, issues: dict[int, str]) -> Resolution:
    own = {person: contact for person, (contact, _) in world.links.items()}
    persons = {
        number: Person(
            number, version, own.get(number), frozenset(kind for kind in KINDS if identifiers[kind])
        )
        for number, (version, identifiers) in world.persons.items()
        if issues.get(number) not in ("duplicate", "rejected")
    }
    linked = {contact: (person, adopted) for person, (contact, adopted) in world.links.items()}
    contacts = {}
    for number in world.contacts:
        person, adopted = linked.get(number, (None, True))
        contacts[number] = Contact(number, persons.get(person) if person else None, foreign=adopted)
    identifier_matches = [
        IdentifierMatch(person, number, kind)
        for person in persons
        for number, values in world.contacts.items()
        for kind in KINDS
        if number != own.get(person)
        and world.persons[person][1][kind]
        and world.persons[person][1][kind] == (values[kind] or "").lower()
    ]
    return resolve(persons.values(), identifier_matches, contacts, ignore_empty=world.ignore_empty)
