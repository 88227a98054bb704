"""Which person owns which contact. Pure Python; the database passes in only the persons that are not plain cases.

Recency is (version, person_id); greater is more recent.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field


def claim(persons: Iterable[tuple[int, int, Collection[tuple[str, str]]]]) -> dict[int, int]:
    """The duplicates among persons (person_id, version, identifiers as (kind, value)), and whose duplicate each one is.

    In order of recency, each person claims its identifiers. If any of them is already claimed, the person claims none:
    it is a duplicate of the most recent person that holds one of them.
    """
    holders: dict[tuple[str, str], tuple[int, int]] = {}
    duplicates: dict[int, int] = {}
    for person_id, version, identifiers in sorted(
        persons, key=lambda person: (person[1], person[0]), reverse=True
    ):
        claimed = [holders[identifier] for identifier in identifiers if identifier in holders]
        if claimed:
            duplicates[person_id] = max(claimed)[1]
        else:
            holders.update(dict.fromkeys(identifiers, (version, person_id)))
    return duplicates


@dataclass(frozen=True)
class Person:
    """A person that takes part. `contact_id`: its own contact, by link. `kinds`: the identifiers that it has."""

    person_id: int
    version: int
    contact_id: int | None
    kinds: frozenset[str]

    @property
    def recency(self) -> tuple[int, int]:
        return self.version, self.person_id


@dataclass(frozen=True)
class Contact:
    """A contact that a person matches. `holder`: the person taking part that owns it by link. A contact without a
    holder is free: either it was released or not created by the sync (`foreign`), or the sync created it and its person
    left it behind."""

    contact_id: int
    holder: Person | None
    foreign: bool


@dataclass(frozen=True)
class IdentifierMatch:
    """A person has an identifier of this kind that another contact, not its own, has in the list."""

    person_id: int
    contact_id: int
    kind: str


@dataclass
class Resolution:
    """`contacts`: the free contact that each person without one gets. `conflicts`: the contacts that a person matched
    and that block it. All other persons keep their own contact or get a new one."""

    contacts: dict[int, int] = field(default_factory=dict)
    conflicts: dict[int, list[int]] = field(default_factory=dict)


def resolve(
    persons: Iterable[Person],
    identifier_matches: Iterable[IdentifierMatch],
    contacts: Mapping[int, Contact],
    *,
    ignore_empty: bool,
) -> Resolution:
    """Resolves the persons that match contacts other than their own. The holder of each such contact is in `contacts`.

    What one pass writes can resolve a conflict of that pass. So passes are repeated, as the next runs would do, until
    nothing changes: then the next run has nothing left to do.
    """
    state = _State(persons, identifier_matches, contacts, ignore_empty)
    resolution = Resolution()
    while True:
        given, conflicts = state.settle()
        resolution.contacts.update(given)
        resolution.conflicts = conflicts
        if not state.write(given, conflicts):
            return resolution


class _State:
    """The list as it will be after everything resolved so far."""

    def __init__(
        self,
        persons: Iterable[Person],
        identifier_matches: Iterable[IdentifierMatch],
        contacts: Mapping[int, Contact],
        ignore_empty: bool,
    ) -> None:
        # The persons not yet resolved, most recent first.
        self.open = sorted(persons, key=lambda person: person.recency, reverse=True)
        self.matched: dict[int, dict[int, set[str]]] = {person.person_id: {} for person in self.open}
        for match in identifier_matches:
            self.matched[match.person_id].setdefault(match.contact_id, set()).add(match.kind)
        self.holders = {c.contact_id: c.holder for c in contacts.values() if c.holder is not None}
        self.foreign = {c.contact_id for c in contacts.values() if c.holder is None and c.foreign}
        self.left_behind = {c.contact_id for c in contacts.values() if c.holder is None and not c.foreign}
        self.ignore_empty = ignore_empty

    def settle(self) -> tuple[dict[int, int], dict[int, list[int]]]:
        """Which free contact goes to which person, and which persons conflict with which contacts.

        A conflicting person is not written, so its contact keeps the values that it would have given up, which can
        cause another conflict. Repeats until no new conflict is found.
        """
        conflicts: dict[int, list[int]] = {}
        while True:
            known = len(conflicts)
            holders = dict(self.holders)
            given: dict[int, int] = {}
            for person in self.open:
                if person.contact_id is None and person.person_id not in conflicts:
                    self._give(person, given, holders, conflicts)
            for person in self.open:
                if person.person_id not in conflicts:
                    own = given.get(person.person_id, person.contact_id)
                    against = self._against(person, own, holders, conflicts)
                    if against:
                        conflicts[person.person_id] = against
            if len(conflicts) == known:
                return given, conflicts

    def write(self, given: dict[int, int], conflicts: dict[int, list[int]]) -> bool:
        """Applies what is resolved. False if that can't change the remaining conflicts."""
        settled = [person for person in self.open if person.person_id not in conflicts]
        for person in settled:
            own = given.get(person.person_id, person.contact_id)
            if own is not None:
                self.holders[own] = person
        self.open = [person for person in self.open if person.person_id in conflicts]
        return bool(settled and self.open)

    def _give(
        self,
        person: Person,
        given: dict[int, int],
        holders: dict[int, Person],
        conflicts: dict[int, list[int]],
    ) -> None:
        """Gives a person without a contact the one free contact that it matches, if any."""
        against = self._against(person, None, holders, conflicts)
        foreign = [contact_id for contact_id in against if contact_id not in holders]
        if len(foreign) > 1 or len(foreign) < len(against):
            conflicts[person.person_id] = against
            return
        left_behind = sorted(
            c for c in self.matched[person.person_id] if c in self.left_behind and c not in holders
        )
        for contact_id in (foreign or left_behind)[:1]:
            given[person.person_id] = contact_id
            holders[contact_id] = person

    def _against(
        self, person: Person, own: int | None, holders: dict[int, Person], conflicts: dict[int, list[int]]
    ) -> list[int]:
        """The contacts, other than the person's own, that will have one of its identifiers after this run."""
        return sorted(
            contact_id
            for contact_id, kinds in self.matched[person.person_id].items()
            if contact_id != own
            and (
                self._keeps(holders[contact_id], kinds, conflicts)
                if contact_id in holders
                else contact_id in self.foreign
            )
        )

    def _keeps(self, holder: Person, kinds: set[str], conflicts: dict[int, list[int]]) -> bool:
        """Whether a contact keeps one of the matched values when its holder is written. The holder itself can't have
        the same value: then one of the two persons would be a duplicate."""
        return holder.person_id in conflicts or (self.ignore_empty and not kinds <= holder.kinds)
