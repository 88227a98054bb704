"""The rules of identity again, as plain as possible and without a database, to compare the real implementation with.
Worlds are small, and each contact's values are simply compared."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import strategies as st

KINDS = ("userId", "email", "phoneNumber")
Values = dict[str, str | None]


@dataclass
class World:
    """`persons`: id -> (version, identifiers). `links`: person -> (contact, adopted)."""

    persons: dict[int, tuple[int, Values]]
    contacts: dict[int, Values]
    links: dict[int, tuple[int, bool]]
    ignore_empty: bool
    on_delete: str


@dataclass
class Outcome:
    """`owners`: person -> contact, None for a new one. `issues`: person -> kind."""

    issues: dict[int, str] = field(default_factory=dict)
    owners: dict[int, int | None] = field(default_factory=dict)
    contacts: dict[int, Values] = field(default_factory=dict)


def outcome(world: World) -> Outcome:
    result = Outcome(contacts={number: dict(values) for number, values in world.contacts.items()})
    own = {person: contact for person, (contact, _) in world.links.items() if person in world.persons}
    recent = sorted(world.persons, key=lambda person: (world.persons[person][0], person), reverse=True)

    claimed: set[tuple[str, str]] = set()
    taking_part: list[int] = []
    for person in recent:
        identifiers = {(kind, value) for kind, value in world.persons[person][1].items() if value}
        if identifiers & claimed:
            result.issues[person] = "duplicate"
        elif not identifiers and not (world.ignore_empty and person in own):
            result.issues[person] = "rejected"
        else:
            claimed |= identifiers
            taking_part.append(person)

    holders = {own[person]: person for person in taking_part if person in own}
    free = [number for number in world.contacts if number not in holders]
    made_by_sync = {contact for contact, adopted in world.links.values() if not adopted}
    left_behind = {number for number in free if number in made_by_sync}
    foreign = set(free) - left_behind

    waiting = taking_part
    while True:
        given, conflicts = _settle(world, result.contacts, waiting, own, holders, foreign, left_behind)
        settled = [person for person in waiting if person not in conflicts]
        for person in settled:
            contact = given.get(person, own.get(person))
            result.owners[person] = contact
            if contact is not None:
                holders[contact] = person
                result.contacts[contact] = _written(world, result.contacts[contact], person)
        waiting = sorted(conflicts, key=recent.index)
        if not settled or not waiting:
            break
    for person in waiting:
        result.issues[person] = "conflict"
    if world.on_delete == "delete":
        for contact in made_by_sync - set(holders):
            del result.contacts[contact]
    return result


def _settle(
    world: World,
    contacts: dict[int, Values],
    waiting: list[int],
    own: dict[int, int],
    holders: dict[int, int],
    foreign: set[int],
    left_behind: set[int],
) -> tuple[dict[int, int], set[int]]:
    conflicts: set[int] = set()
    while True:
        before = set(conflicts)
        given: dict[int, int] = {}
        now = dict(holders)

        def in_the_way(person: int, mine: int | None, now: dict[int, int] = now) -> list[int]:
            """Contacts that will have one of the person's identifiers when everything is written."""
            found = []
            for number, values in contacts.items():
                if number == mine or (number not in now and number not in foreign):
                    continue
                holder = now.get(number)
                if holder is not None and holder not in conflicts:
                    values = _written(world, values, holder)
                if _share(world, person, values):
                    found.append(number)
            return found

        for person in waiting:
            if person in own or person in conflicts:
                continue
            met = in_the_way(person, None)
            if len(met) > 1 or any(number in now for number in met):
                conflicts.add(person)
            elif met:
                given[person] = met[0]
            else:
                spare = [n for n in left_behind if n not in now and _share(world, person, contacts[n])]
                if spare:
                    given[person] = min(spare)
            if person in given:
                now[given[person]] = person
        for person in waiting:
            if person not in conflicts and in_the_way(person, given.get(person, own.get(person))):
                conflicts.add(person)
        if conflicts == before:
            return given, conflicts


def _share(world: World, person: int, values: Values) -> bool:
    identifiers = world.persons[person][1]
    return any(identifiers[kind] and identifiers[kind] == (values[kind] or "").lower() for kind in KINDS)


def _written(world: World, values: Values, person: int) -> Values:
    identifiers = world.persons[person][1]
    return {kind: identifiers[kind] or (values[kind] if world.ignore_empty else None) for kind in KINDS}


# Few values, so that many are shared.
_PERSON_VALUES = st.fixed_dictionaries(
    {
        "userId": st.sampled_from([None, None, None, "u0", "u1"]),
        "email": st.sampled_from([None, "e0", "e1", "e2", "e3"]),
        "phoneNumber": st.sampled_from([None, None, "+0", "+1", "+2"]),
    }
)
_CONTACT_VALUES = st.fixed_dictionaries(
    {
        "userId": st.sampled_from([None, None, "", "u0", "u1"]),
        "email": st.sampled_from([None, "", "e0", "E1", "e2", "e3"]),
        "phoneNumber": st.sampled_from([None, "+0", "+1", "+2"]),
    }
)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    ids = draw(st.lists(st.integers(1, 9), unique=True, max_size=6))
    persons = {person: (draw(st.integers(0, 2)), draw(_PERSON_VALUES)) for person in ids}
    contacts = {number: draw(_CONTACT_VALUES) for number in range(1, draw(st.integers(0, 5)) + 1)}
    # Each contact may be linked to a person, live or deleted.
    candidates = draw(st.permutations([*ids, 20, 21, 22]))
    links = {
        person: (number, draw(st.booleans()))
        for number, person in zip(contacts, candidates, strict=False)
        if draw(st.booleans())
    }
    return World(
        persons, contacts, links, draw(st.booleans()), draw(st.sampled_from(["delete", "deactivate", "keep"]))
    )
