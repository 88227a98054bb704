"""What a list must look like after a sync, worked out with plain dictionaries, one person after another.

Deliberately naive: nothing here uses SQL, dataframes or the program's code, and nothing is fast. It receives persons
as Pipedrive's JSON, and remembers which of them it was shown, the list, who owns which contact, and who opted out.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

IDENTIFIERS = ("userId", "email", "phoneNumber")
REMEMBERED_CHANNELS = ("smsSubscribe", "viberSubscribe", "emailSubscribe")

# The kinds of name that person fields refer to by id.
NAMED = {"org_id": "org", "owner_id": "user"}

Row = dict[str, Any]
Person = Mapping[str, Any]
# An existing contact is identified by its number, a new one by the person it was made for.
Key = int | str


@dataclass
class Link:
    contact: Key
    adopted: bool
    phone_filled: bool
    deactivated: bool = False


@dataclass(frozen=True)
class Mapped:
    """A person as the matching maps it; its identifiers are among `values`."""

    id: int
    version: datetime
    marketing_status: str | None
    values: Mapping[str, Any]

    @property
    def recency(self) -> tuple[datetime, int]:
        return self.version, self.id

    @property
    def identifiers(self) -> dict[str, str]:
        return {kind: self.values[kind] for kind in IDENTIFIERS if self.values.get(kind) is not None}


@dataclass
class Outcome:
    """`fates`: the result for each person; `touched`: contacts changed or created."""

    fates: dict[int, str] = field(default_factory=dict)
    duplicate_of: dict[int, int] = field(default_factory=dict)
    touched: set[Key] = field(default_factory=set)
    deleted: int = 0
    dropped_values: int = 0

    @property
    def counts(self) -> dict[str, int]:
        return self.counts_of(self.fates) | {"deleted": self.deleted, "dropped_values": self.dropped_values}

    def counts_of(self, persons: Iterable[int]) -> dict[str, int]:
        """The results of these persons only."""
        fates = [self.fates[person] for person in persons]
        names = {
            "created": "created",
            "updated": "updated",
            "unchanged": "unchanged",
            "rejected": "rejected",
            "duplicates": "duplicate",
            "conflicts": "conflict",
        }
        return {count: fates.count(fate) for count, fate in names.items()} | {"fetched": len(fates)}


class Oracle:
    """One connection and the list it feeds; `built_in`: the variables that every list has."""

    def __init__(self, consent: str, on_delete: str, built_in: Sequence[str]) -> None:
        self.built_in = built_in
        self.consent = consent
        self.on_delete = on_delete
        self.ignore_empty = True
        self.matching: dict[str, str] = {}
        self.custom_variables: set[str] = set()
        self.rows: dict[Key, Row] = {}
        self.links: dict[int, Link] = {}
        self.opted_out: set[tuple[str, str]] = set()
        self.snapshot: list[Person] = []
        # The time up to which everything was read, and how far the current run has read.
        self.watermark: datetime | None = None
        self.read_until: datetime | None = None
        self.highest_id = 0
        self.names: dict[str, dict[int, str]] = {"org": {}, "user": {}}
        # Field code -> option id -> label, in the order of the catalogue, deleted options last.
        self.options: dict[str, dict[int, str]] = {}
        self.present_fields: set[str] = set()

    # What users do

    def import_matching(self, matching: Mapping[str, str], custom: Iterable[str], ignore_empty: bool) -> None:
        """`matching`: field -> variable, for fields that feed one; `custom`: which of the variables are custom."""
        custom = set(custom)
        moves = [
            (self.matching[key], new)
            for key, new in matching.items()
            if key in self.matching and self.matching[key] != new and new in custom
        ]
        for old, new in moves:
            if old in self.custom_variables and new not in self.custom_variables:
                self.custom_variables.remove(old)
                self.custom_variables.add(new)
                for row in self.rows.values():
                    row[new] = row.pop(old)
        for new in sorted(custom - self.custom_variables):
            self.custom_variables.add(new)
            for row in self.rows.values():
                row[new] = None
        self.matching = dict(matching)
        self.ignore_empty = ignore_empty

    def read_catalogue(self, fields: Mapping[str, Sequence[tuple[int, str]]]) -> None:
        """`fields`: the existing custom fields, with their options in order."""
        self.present_fields = set(fields)
        for code, options in fields.items():
            before = self.options.get(code, {})
            now = dict(options)
            gone = {option: label for option, label in before.items() if option not in now}
            self.options[code] = now | gone

    # What a run reads

    def know(self, persons: Sequence[Person], read_until: datetime | None) -> None:
        """Knows exactly these persons. `read_until`: the moment when the reading began, None if there was none."""
        self.snapshot = copy.deepcopy(list(persons))
        self.highest_id = max([self.highest_id, *(person["id"] for person in persons)])
        self.read_until = read_until

    def read_changes(
        self,
        visible: Sequence[Person],
        now: datetime,
        hints: Mapping[int, bool],
        *,
        dateless_too: bool,
        new_too: bool,
    ) -> set[int]:
        """A run of changes at that moment: learns what it may know of the visible persons; returns whom it reads.

        `hints`: the persons webhooks reported, and whether as deleted. `dateless_too`: Pipedrive lists persons without
        update_time. `new_too`: new persons are also requested by id.
        """
        assert self.watermark is not None
        since = min(self.watermark, now) - timedelta(seconds=60)
        known = {person["id"]: person for person in self.snapshot}
        read = set()
        for person in visible:
            updated = person["update_time"]
            if (
                (updated is None and dateless_too)
                or (updated is not None and datetime.fromisoformat(updated) >= since)
                or (new_too and person["id"] > self.highest_id)
                or person["id"] in hints
            ):
                known[person["id"]] = person
                read.add(person["id"])
        there = {person["id"] for person in visible}
        for person_id, deleted in hints.items():
            if deleted and person_id not in there:
                known.pop(person_id, None)
        self.know(list(known.values()), now)
        return read

    # A sync

    def sync(self) -> Outcome:
        """Syncs the persons known now."""
        outcome = Outcome()
        mapped = [self._map(person, outcome) for person in self.snapshot]
        before = copy.deepcopy(self.rows)
        self._update_memory(mapped)
        self._write(mapped, outcome)
        outcome.touched = {key for key, row in self.rows.items() if before.get(key) != row}
        outcome.deleted += len(before.keys() - self.rows.keys())
        if self.read_until is not None:
            # Nobody was changed later than now; the watermark never moves into the future.
            times = [_time(person) for person in self.snapshot]
            self.watermark = max((time for time in times if time <= self.read_until), default=self.read_until)
            self.read_until = None
        return outcome

    def _update_memory(self, mapped: list[Mapped]) -> None:
        """While a contact has a number, its own flags decide; the memory is for numbers that come back. So when the run
        itself removes a number, it checks the number's flags, and a true flag withdraws the opt-out. Changes that users
        make by hand between two runs are seen by no run, so nothing is forgotten."""
        rehearsal = copy.deepcopy(self)
        rehearsal._write(mapped, Outcome())
        for key, row in self.rows.items():
            if key not in rehearsal.rows or rehearsal.rows[key]["phoneNumber"] != row["phoneNumber"]:
                self.opted_out -= {(row["phoneNumber"], channel) for channel in self._flags(row, True)}
        # Current opt-outs stay.
        for row in self.rows.values():
            if row["phoneNumber"]:
                self.opted_out |= {(row["phoneNumber"], channel) for channel in self._flags(row, False)}

    @staticmethod
    def _flags(row: Row, flag: bool) -> list[str]:
        return [channel for channel in REMEMBERED_CHANNELS if row[channel] is flag]

    def _write(self, mapped: list[Mapped], outcome: Outcome) -> None:
        # A person that blocks another may stop blocking once it is written, so repeat until nothing changes; only then
        # is it known which contacts are orphaned.
        while True:
            quiet = copy.deepcopy((self.rows, self.links))
            fates, kept = self._pass(mapped, outcome)
            for person, fate in fates.items():
                if fate == "unchanged" and outcome.fates.get(person) in ("created", "updated"):
                    continue
                outcome.fates[person] = fate
            if (self.rows, self.links) == quiet:
                break
        for person_id, link in list(self.links.items()):
            if link.contact not in kept:
                self._orphan(person_id, link, outcome)

    def _pass(self, persons: list[Mapped], outcome: Outcome) -> tuple[dict[int, str], set[Key]]:
        """The result for each person, and the contacts that have an owner."""
        fates: dict[int, str] = {}
        self.links = {p: link for p, link in self.links.items() if link.contact in self.rows}
        taking_part = []
        claimed: dict[tuple[str, str], Mapped] = {}
        for person in sorted(persons, key=lambda p: p.recency, reverse=True):
            rivals = [claimed[item] for item in person.identifiers.items() if item in claimed]
            if rivals:
                fates[person.id] = "duplicate"
                outcome.duplicate_of[person.id] = max(rivals, key=lambda p: p.recency).id
            elif person.identifiers or (self.ignore_empty and person.id in self.links):
                claimed.update(dict.fromkeys(person.identifiers.items(), person))
                taking_part.append(person)
            else:
                fates[person.id] = "rejected"
        owners, conflicts = self._settle(taking_part)
        for person in taking_part:
            if person.id in conflicts:
                fates[person.id] = "conflict"
        kept = {self.links[p].contact for p in conflicts if p in self.links}
        for person in taking_part:
            if person.id not in conflicts and person.id in owners:
                kept.add(owners[person.id])
                fates[person.id] = "updated" if self._update(person, owners[person.id]) else "unchanged"
        for person in sorted(taking_part, key=lambda p: p.id):
            if person.id not in conflicts and person.id not in owners:
                kept.add(self._create(person))
                fates[person.id] = "created"
        return fates, kept

    def _settle(self, taking_part: list[Mapped]) -> tuple[dict[int, Key], set[int]]:
        """Which contact each person has, unless it gets a new one, and who is in conflict."""
        by_id = {person.id: person for person in taking_part}
        holder = {link.contact: person for person, link in self.links.items() if person in by_id}
        left_behind = {
            link.contact
            for person, link in self.links.items()
            if person not in by_id and not link.adopted and link.contact not in holder
        }
        conflicts: set[int] = set()

        def in_the_way(person: Mapped, own: Key | None, holders: Mapping[Key, int]) -> list[Key]:
            found = []
            for key, row in self.rows.items():
                if key == own or (key in left_behind and key not in holders):
                    continue
                for kind, value in person.identifiers.items():
                    if _same(kind, row[kind], value) and self._stays(
                        kind, holders.get(key), by_id, conflicts
                    ):
                        found.append(key)
                        break
            return found

        while True:
            known = set(conflicts)
            holders = dict(holder)
            owners: dict[int, Key] = {
                person: link.contact for person, link in self.links.items() if person in by_id
            }
            for person in taking_part:
                if person.id in owners or person.id in conflicts:
                    continue
                others = in_the_way(person, None, holders)
                if len(others) > 1 or (others and others[0] in holders):
                    conflicts.add(person.id)
                    continue
                free = others or sorted(
                    key
                    for key in left_behind
                    if key not in holders
                    and any(_same(kind, self.rows[key][kind], v) for kind, v in person.identifiers.items())
                )
                if free:
                    owners[person.id] = free[0]
                    holders[free[0]] = person.id
            for person in taking_part:
                if person.id not in conflicts and in_the_way(person, owners.get(person.id), holders):
                    conflicts.add(person.id)
            if conflicts == known:
                return owners, conflicts

    def _stays(self, kind: str, holder: int | None, by_id: Mapping[int, Mapped], conflicts: set[int]) -> bool:
        """Whether a contact still has its value of this kind after the run."""
        if holder is None or holder in conflicts:
            return True
        return self.ignore_empty and by_id[holder].values.get(kind) is None

    # Writing

    def _update(self, person: Mapped, key: Key) -> bool:
        row = self.rows[key]
        before = dict(row)
        if person.id not in self.links:
            former = next((p for p, link in self.links.items() if link.contact == key), None)
            if former is None:
                self.links[person.id] = Link(key, adopted=True, phone_filled=bool(row["phoneNumber"]))
            else:
                self.links[person.id] = self.links.pop(former)
        link = self.links[person.id]
        for variable, value in person.values.items():
            if variable == "emailSubscribe":
                if value is False:
                    row[variable] = False
            elif value is not None or not self.ignore_empty:
                row[variable] = value
        phone = row["phoneNumber"]
        if phone and phone != before["phoneNumber"] and "phoneNumber" in person.values:
            self._first_or_new_number(person, row, first=not link.phone_filled and not before["phoneNumber"])
        if link.deactivated:
            row["active"] = True
            link.deactivated = False
        link.phone_filled = link.phone_filled or bool(row["phoneNumber"])
        return row != before

    def _create(self, person: Mapped) -> Key:
        key = f"new contact of person {person.id}"
        row: Row = dict.fromkeys([*self.built_in, *self.custom_variables])
        row |= person.values
        row["active"] = True
        if row["phoneNumber"]:
            self._first_or_new_number(person, row, first=True)
        self.rows[key] = row
        self.links[person.id] = Link(key, adopted=False, phone_filled=bool(row["phoneNumber"]))
        return key

    def _first_or_new_number(self, person: Mapped, row: Row, *, first: bool) -> None:
        allowed = {
            "ignore": True,
            "require": person.marketing_status == "subscribed",
            "respect": person.marketing_status != "unsubscribed",
        }[self.consent]
        for channel in ("smsSubscribe", "viberSubscribe"):
            if first and allowed and row[channel] is None:
                row[channel] = True
        for channel in REMEMBERED_CHANNELS:
            if (row["phoneNumber"], channel) in self.opted_out:
                row[channel] = False

    def _orphan(self, person_id: int, link: Link, outcome: Outcome) -> None:
        """Handles a contact that lost its person."""
        row = self.rows[link.contact]
        if link.adopted:
            del self.links[person_id]
        elif self.on_delete == "delete":
            del self.rows[link.contact], self.links[person_id]
        elif self.on_delete == "deactivate" and not link.deactivated and row["active"] is not False:
            row["active"] = False
            link.deactivated = True
            outcome.deleted += 1

    # From Pipedrive's JSON to values

    def _map(self, person: Person, outcome: Outcome) -> Mapped:
        values: dict[str, Any] = {}
        custom = person.get("custom_fields") or {}
        for key, variable in self.matching.items():
            if key == "name":
                values[variable] = _text(person["name"])
            elif key in ("emails", "phones"):
                values[variable] = self._point(person[key], _email if key == "emails" else _phone, outcome)
            elif key == "marketing_status":
                said = {"subscribed": True, "unsubscribed": False}
                values[variable] = said.get(person["marketing_status"])
            elif key in NAMED:
                values[variable] = self._name(NAMED[key], person[key], outcome)
            elif key in self.present_fields:
                values[variable] = self._custom(key, custom.get(key), outcome)
        return Mapped(person["id"], _time(person), person["marketing_status"], values)

    def _name(self, kind: str, entity_id: int | None, outcome: Outcome) -> str | None:
        if entity_id is None:
            return None
        if entity_id not in self.names[kind]:
            outcome.dropped_values += 1
        return _text(self.names[kind].get(entity_id))

    def _point(self, points: list[Any], read: Callable[[str], str | None], outcome: Outcome) -> str | None:
        """The first valid one, starting with the primary and then in order."""
        ordered = [p for p in points if p["primary"]] + [p for p in points if not p["primary"]]
        texts = [text for text in (_text(point["value"]) for point in ordered) if text]
        valid = [value for value in map(read, texts) if value]
        if texts and not valid:
            outcome.dropped_values += 1
        return valid[0] if valid else None

    def _custom(self, code: str, value: Any, outcome: Outcome) -> str | None:
        options = self.options[code]
        if value is None:
            return None
        if isinstance(value, int):
            value = [value]
        if isinstance(value, list):
            if any(option not in options for option in value):
                outcome.dropped_values += 1
            return ", ".join(label for option, label in options.items() if option in value) or None
        text = _text(value)
        if code == "since":
            return None if text is None or text.startswith("0000") else f"{text} 00:00:00"
        return text


def _time(person: Person) -> datetime:
    return datetime.fromisoformat(person["update_time"] or person["add_time"])


def _same(kind: str, stored: str | None, value: str) -> bool:
    return stored is not None and (stored.lower() if kind == "email" else stored) == value


def _text(value: str | None) -> str | None:
    return (value or "").strip() or None


def _email(text: str) -> str | None:
    for part in text.replace(";", ",").replace("\n", ",").split(","):
        address = part.replace("\u200b", "").strip()
        if address.endswith(">"):
            address = address[address.index("<") + 1 : -1]
        address = address.removeprefix("mailto:").lower()
        if address.count("@") == 1 and " " not in address:
            local, _, domain = address.partition("@")
            return f"{local}@{domain.encode('idna').decode()}"
    return None


def _phone(text: str) -> str | None:
    first, *others = text.replace("\u200b", "").replace(";", ",").split(",")
    if any(other.strip().isdigit() and len(other.strip()) < 7 for other in others):
        # An extension.
        return None
    for part in (first, *others):
        alternatives = part.split("/")
        if all(sum(character.isdigit() for character in each) >= 7 for each in alternatives):
            found = [number for number in map(_one_phone, alternatives) if number]
            if found:
                return found[0]
    return None


def _one_phone(text: str) -> str | None:
    number = "".join(character for character in text.removeprefix("tel:") if character not in " ()-.")
    if number.startswith("00"):
        number = "+" + number[2:]
    elif number.startswith("0"):
        number = "+358" + number[1:]
    return number if number.startswith("+") and number[1:].isdigit() else None
