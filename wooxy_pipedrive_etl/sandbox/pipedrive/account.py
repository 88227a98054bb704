"""One Pipedrive account in memory: its persons, fields, organisations, users and labels, and all changes to them."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

from . import json_text
from .behaviours import Behaviours
from .errors import InvalidValueError, SandboxError, UnknownRecordError
from .fields import CUSTOM_FIELD_TYPES, CustomField, Option, catalogue_rows
from .json_text import NULL, encode
from .keyset import KeysetIndex, Position, RowTimes, Window
from .rendering import Layout, Person, View, person_json
from .values import PersonValues, read_person_values

DAYS_KEPT_AFTER_DELETION = 30


class PersonSource(Protocol):
    """Persons generated on demand instead of stored; the account stores a person once it is edited."""

    def __contains__(self, person_id: object) -> bool: ...
    def ids(self) -> Iterable[int]: ...
    def times(self, person_id: int) -> RowTimes: ...
    def related_id(self, person_id: int, key: str) -> int | None: ...
    def person(self, person_id: int, layout: Layout) -> Person: ...
    def plain_json(self, person_id: int, layout: Layout, optional: tuple[str, ...]) -> bytes: ...


@dataclass
class Organization:
    """Times are epoch seconds."""

    id: int
    name: str
    owner_id: int
    add_time: int
    update_time: int
    deleted_at: int | None = None
    hidden: bool = False


@dataclass
class User:
    id: int
    name: str
    email: str
    admin: bool = False
    active: bool = True


@dataclass(frozen=True)
class PersonChange:
    """A change of a person. `before` is a copy; `after` is the live person, so read it immediately.

    `merged` has `merged_to_id` or `merged_from_id` if a merge caused the change.
    """

    action: Literal["create", "change", "delete"]
    before: Person | None
    after: Person
    merged: Mapping[str, int] = field(default_factory=dict)


class Account:
    """A Pipedrive account. Safe to change from any thread while a server serves it.

    A new account has the system fields and one user, an admin, who owns the token.
    `clock` returns the current time as an aware datetime and may be replaced; stored times are whole seconds.
    `observers` are called after every change of a person, while the account's lock is held.
    """

    def __init__(
        self,
        *,
        company_id: int = 777,
        company_name: str = "Example Oy",
        token: str | None = None,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self.lock = threading.RLock()
        self.company_id = company_id
        self.company_name = company_name
        self.company_domain = "example"
        self.token = token or hashlib.sha1(f"sandbox account {company_id}".encode()).hexdigest()
        self.clock: Callable[[], datetime] = clock or (lambda: datetime.now(UTC))
        self.users: dict[int, User] = {}
        self.organizations: dict[int, Organization] = {}
        self.custom_fields: dict[str, CustomField] = {}
        self.labels: list[Option] = []
        self._persons: dict[int, Person] = {}
        self._source: PersonSource | None = None
        self._person_index = KeysetIndex()
        self._organization_index = KeysetIndex()
        self._next = {"person": 1, "organization": 1, "user": 9001, "option": 1, "label": 1, "field": 1}
        self.observers: list[Callable[[PersonChange], object]] = []
        self._behaviours = Behaviours()
        self._contact_sync = False
        self._marketing = False
        self._revision = 0
        self._layout: Layout | None = None
        self.token_owner_id = self.add_user("Sync Bot", admin=True)

    # Settings

    @property
    def contact_sync(self) -> bool:
        """Whether persons have postal_address, notes, im, birthday and job_title."""
        return self._contact_sync

    @contact_sync.setter
    def contact_sync(self, on: bool) -> None:
        with self.lock:
            self._contact_sync = on
            self._changed_layout()

    @property
    def marketing(self) -> bool:
        """Whether the account has the Campaigns app, and persons its marketing_status and doi_status."""
        return self._marketing

    @marketing.setter
    def marketing(self, on: bool) -> None:
        with self.lock:
            self._marketing = on
            self._changed_layout()

    @property
    def behaviours(self) -> Behaviours:
        return self._behaviours

    @behaviours.setter
    def behaviours(self, behaviours: Behaviours) -> None:
        with self.lock:
            self._behaviours = behaviours
            self._changed_layout()

    # Persons

    def create_person(self, *, validate: bool = True, **values: Any) -> int:
        """Takes the values of a v2 person's JSON; numbers may be Decimal or RawJson to keep their digits.

        `add_time` and `update_time` may be given as aware datetimes (`update_time=None` for null).
        Raises InvalidValueError; `validate=False` accepts anything.
        """
        with self.lock:
            add_time = _moment(values.pop("add_time", None)) or self.now()
            update_time = None if self._behaviours.update_time_on_create == "null" else add_time
            if "update_time" in values:
                update_time = _moment(values.pop("update_time"))
            read = self._read(values, validate)
            defaults = {"owner_id": encode(self.token_owner_id)}
            person = Person(
                self._take("person"),
                add_time,
                update_time,
                {**defaults, **read.members},
                read.custom,
                read.optional,
            )
            self._persons[person.id] = person
            self._person_index.add(person.id, RowTimes(add_time, update_time))
            self._announce("create", None, person)
            return person.id

    def edit_person(self, person_id: int, *, validate: bool = True, **values: Any) -> None:
        """Sets only the given values; advances update_time, or sets the given one."""
        with self.lock:
            person = self._existing(person_id)
            if person.deleted_at is not None:
                raise SandboxError(f"Person {person_id} is deleted and can't be edited; restore it first.")
            update_time = _moment(values.pop("update_time")) if "update_time" in values else self.now()
            read = self._read(values, validate)
            before = self._kept(person)
            person.members.update(read.members)
            person.custom.update(read.custom)
            person.optional.update(read.optional)
            self._touch(person, update_time)
            self._announce("change", before, person)

    def delete_person(self, person_id: int) -> None:
        """Soft deletion: the person disappears from lists immediately, and for good after 30 days."""
        with self.lock:
            person = self._existing(person_id)
            if person.deleted_at is not None:
                raise SandboxError(f"Person {person_id} is deleted already.")
            before = self._kept(person)
            self._delete(person)
            self._announce("delete", before, person)

    def restore_person(self, person_id: int) -> None:
        """Undoes a deletion of the last 30 days; advances update_time."""
        with self.lock:
            person = self._existing(person_id)
            if person.deleted_at is None or self.is_purged(person):
                raise SandboxError(f"Person {person_id} is not a deleted person of the last 30 days.")
            before = self._kept(person)
            person.deleted_at = person.merged_into = None
            person.update_time = self.now()
            person.rendered.clear()
            self._list(person)
            if self._behaviours.restored_person_event != "none":
                self._announce(self._behaviours.restored_person_event, before, person)

    def merge_persons(self, winner_id: int, loser_id: int) -> None:
        """Deletes the loser; the winner gets its emails, phones and any values it lacked, and a new update_time."""
        with self.lock:
            winner, loser = self._existing(winner_id), self._existing(loser_id)
            if winner_id == loser_id or winner.deleted_at is not None or loser.deleted_at is not None:
                raise SandboxError(
                    f"Persons {winner_id} and {loser_id} can't be merged: both must exist and differ."
                )
            before, before_loser = self._kept(winner), self._kept(loser)
            for key in ("emails", "phones"):
                winner.members[key] = _joined(winner.members.get(key, b"[]"), loser.members.get(key, b"[]"))
            for mine, other in ((winner.members, loser.members), (winner.custom, loser.custom)):
                for key, text in other.items():
                    if mine.get(key, NULL) in (NULL, b"[]"):
                        mine[key] = text
            self._delete(loser)
            loser.merged_into = winner_id
            self._touch(winner, self.now())
            self._announce("delete", before_loser, loser, {"merged_to_id": winner_id})
            self._announce("change", before, winner, {"merged_from_id": loser_id})

    def hide_person(self, person_id: int) -> None:
        """Hides the person from the token's owner; the person itself does not change."""
        with self.lock:
            person = self._existing(person_id)
            self._unlist(person)
            person.hidden = True

    def show_person(self, person_id: int) -> None:
        """Undoes `hide_person`."""
        with self.lock:
            person = self._existing(person_id)
            person.hidden = False
            self._list(person)

    def put_raw_person(self, person_id: int, json_text_of_person: str) -> None:
        """Serves any text as the person with this id; creates the person if it is new."""
        with self.lock:
            raw = json_text.encode_text(json_text_of_person)
            is_new = not self.has_person(person_id)
            if is_new:
                self._persons[person_id] = Person(person_id, self.now(), self.now(), {})
                self._person_index.add(person_id, RowTimes(self.now(), self.now()))
                self._next["person"] = max(self._next["person"], person_id + 1)
            person = self._existing(person_id)
            before = None if is_new else self._kept(person)
            person.raw = raw
            self._touch(person, self.now())
            if person.deleted_at is None:
                self._announce("create" if is_new else "change", before, person)

    def person_state(self, person_id: int) -> dict[str, Any]:
        """Everything about one person, even a deleted or hidden one, for people and tests."""
        with self.lock:
            person = self._look_up(person_id)
            text = person_json(person, self.layout(), View())
            return {
                "id": person.id,
                "is_hidden": person.hidden,
                "is_deleted": person.deleted_at is not None,
                "merged_into": person.merged_into,
                "person": json_text.RawJson(text.decode("utf-8", "surrogatepass")),
            }

    def visible_person_ids(self) -> list[int]:
        """The ids that a complete walk must return."""
        with self.lock:
            return list(self._person_index)

    # Fields and labels

    def add_field(
        self, name: str, field_type: str, options: Iterable[str] = (), *, code: str | None = None
    ) -> str:
        """Adds a custom field and returns its code: 40 random-looking hex digits unless given."""
        with self.lock:
            if field_type not in CUSTOM_FIELD_TYPES:
                raise InvalidValueError(f"Custom person fields can't be of type {field_type!r}.")
            number = self._take("field")
            code = code or hashlib.sha1(f"{self.company_id} field {number}".encode()).hexdigest()
            if code in self.custom_fields:
                raise InvalidValueError(f"The account has a custom field {code!r} already.")
            self.custom_fields[code] = CustomField(number, code, name, field_type)
            for label in options:
                self.add_option(code, label)
            self._changed_layout()
            return code

    def rename_field(self, code: str, name: str) -> None:
        with self.lock:
            self.custom_field(code).name = name
            self._changed_layout()

    def delete_field(self, code: str) -> None:
        """Removes the field from the catalogue and from custom_fields; no person's update_time changes."""
        with self.lock:
            self.custom_field(code)
            del self.custom_fields[code]
            self._changed_layout()

    def add_option(self, code: str, label: str) -> int:
        with self.lock:
            custom = self.custom_field(code)
            if custom.field_type not in ("enum", "set"):
                raise InvalidValueError(f"Field {custom.name!r} ({custom.field_type}) has no options.")
            option = Option(self._take("option"), label)
            custom.options.append(option)
            self._changed_layout()
            return option.id

    def rename_option(self, code: str, option_id: int, label: str) -> None:
        with self.lock:
            self._option(code, option_id).label = label
            self._changed_layout()

    def delete_option(self, code: str, option_id: int) -> None:
        """Removes the option from the catalogue; persons that have it keep its id."""
        with self.lock:
            self.custom_field(code).options.remove(self._option(code, option_id))
            self._changed_layout()

    def add_label(self, name: str, color: str = "green") -> int:
        """Adds a label for persons' `label_ids`."""
        with self.lock:
            label = Option(self._take("label"), name, color)
            self.labels.append(label)
            self._changed_layout()
            return label.id

    def rename_label(self, label_id: int, name: str) -> None:
        with self.lock:
            self._label(label_id).label = name
            self._changed_layout()

    def delete_label(self, label_id: int) -> None:
        """Removes the label from the catalogue; persons that have it keep its id."""
        with self.lock:
            self.labels.remove(self._label(label_id))
            self._changed_layout()

    def custom_field(self, code: str) -> CustomField:
        """Raises UnknownRecordError."""
        if code not in self.custom_fields:
            raise UnknownRecordError(f"The account has no custom person field {code!r}.")
        return self.custom_fields[code]

    # Organisations and users

    def add_organization(self, name: str, *, owner_id: int | None = None) -> int:
        with self.lock:
            now = self.now()
            organization = Organization(
                self._take("organization"), name, owner_id or self.token_owner_id, now, now
            )
            self.organizations[organization.id] = organization
            self._organization_index.add(organization.id, RowTimes(now, now))
            return organization.id

    def rename_organization(self, organization_id: int, name: str) -> None:
        """Advances the organisation's update_time, not its persons'."""
        with self.lock:
            organization = self.organization(organization_id)
            organization.name = name
            listed = organization_id in self._organization_index
            self._unlist_organization(organization)
            organization.update_time = self.now()
            if listed:
                self._organization_index.add(organization_id, _times(organization))

    def delete_organization(self, organization_id: int) -> None:
        """Soft deletion; persons keep its id."""
        with self.lock:
            organization = self.organization(organization_id)
            self._unlist_organization(organization)
            organization.deleted_at = organization.update_time = self.now()

    def hide_organization(self, organization_id: int) -> None:
        with self.lock:
            organization = self.organization(organization_id)
            self._unlist_organization(organization)
            organization.hidden = True

    def show_organization(self, organization_id: int) -> None:
        with self.lock:
            organization = self.organization(organization_id)
            organization.hidden = False
            if organization.deleted_at is None and organization_id not in self._organization_index:
                self._organization_index.add(organization_id, _times(organization))

    def organization(self, organization_id: int) -> Organization:
        """Raises UnknownRecordError."""
        if organization_id not in self.organizations:
            raise UnknownRecordError(f"The account has no organisation {organization_id}.")
        return self.organizations[organization_id]

    def add_user(self, name: str, *, admin: bool = False, active: bool = True) -> int:
        with self.lock:
            user_id = self._take("user")
            self.users[user_id] = User(user_id, name, f"user{user_id}@example.fi", admin, active)
            return user_id

    def rename_user(self, user_id: int, name: str) -> None:
        with self.lock:
            if user_id not in self.users:
                raise UnknownRecordError(f"The account has no user {user_id}.")
            self.users[user_id].name = name

    # For the API

    def now(self) -> int:
        """The clock's time in epoch seconds."""
        return json_text.epoch(self.clock())

    def layout(self) -> Layout:
        if self._layout is None:
            self._layout = Layout(
                self._revision,
                list(self.custom_fields.values()),
                self.labels,
                self._behaviours,
                self._contact_sync,
                self._marketing,
                f"{self.company_domain}@pipedrivemail.com",
            )
        return self._layout

    def catalogue(self) -> list[tuple[int, dict[str, Any]]]:
        """The rows of `personFields`, each with the number that its cursor uses."""
        return catalogue_rows(
            list(self.custom_fields.values()),
            self.labels,
            self._behaviours,
            contact_sync=self._contact_sync,
            marketing=self._marketing,
        )

    def persons_page(
        self, window: Window, view: View, *, owner_id: int | None = None, org_id: int | None = None
    ) -> tuple[list[bytes], Position | None]:
        """One page of persons as JSON, and the position of the next person."""
        wanted = {
            key: value for key, value in (("owner_id", owner_id), ("org_id", org_id)) if value is not None
        }

        def accept(person_id: int) -> bool:
            return all(self._related_id(person_id, key) == value for key, value in wanted.items())

        with self.lock:
            ids, following = self._person_index.page(window, self._person_times, accept if wanted else None)
            layout = self.layout()
            persons, source = self._persons, self._source
            if source is None or not view.is_plain:
                return [person_json(self._look_up(each), layout, view) for each in ids], following
            optional = view.optional
            rows = [
                person_json(persons[each], layout, view)
                if each in persons
                else source.plain_json(each, layout, optional)
                for each in ids
            ]
            return rows, following

    def organizations_page(
        self, window: Window, *, owner_id: int | None = None
    ) -> tuple[list[Organization], Position | None]:
        """One page of organisations, and the position of the next one."""

        def accept(organization_id: int) -> bool:
            return self.organizations[organization_id].owner_id == owner_id

        with self.lock:
            ids, following = self._organization_index.page(
                window, lambda each: _times(self.organizations[each]), None if owner_id is None else accept
            )
            return [self.organizations[each] for each in ids], following

    def has_person(self, person_id: int) -> bool:
        """Whether the id was ever assigned."""
        return person_id in self._persons or (self._source is not None and person_id in self._source)

    def find_person(self, person_id: int) -> Person | None:
        """The person in any state; None if the id was never assigned."""
        return self._look_up(person_id) if self.has_person(person_id) else None

    def is_purged(self, record: Person | Organization) -> bool:
        """Whether a deletion is more than 30 days old."""
        deleted = record.deleted_at
        return deleted is not None and self.now() - deleted > DAYS_KEPT_AFTER_DELETION * 86_400

    def adopt_source(self, source: PersonSource) -> None:
        """Adds persons that are generated on demand; for an account that has none yet."""
        with self.lock:
            self._source = source
            self._person_index.load((person_id, source.times(person_id)) for person_id in source.ids())
            self._next["person"] = max(source.ids(), default=0) + 1

    # Internals

    def _take(self, kind: str) -> int:
        number = self._next[kind]
        self._next[kind] += 1
        return number

    def _changed_layout(self) -> None:
        self._revision += 1
        self._layout = None

    def _read(self, values: dict[str, Any], validate: bool) -> PersonValues:
        return read_person_values(values, self.custom_fields.get, validate=validate)

    def _existing(self, person_id: int) -> Person:
        """The person to change; a generated person is stored from now on."""
        person = self._persons[person_id] = self._look_up(person_id)
        return person

    def _look_up(self, person_id: int) -> Person:
        """The person to read; a generated person is not stored, so a walk over a large account needs little memory."""
        person = self._persons.get(person_id)
        if person is None:
            if self._source is None or person_id not in self._source:
                raise UnknownRecordError(f"The account has no person {person_id}.")
            return self._source.person(person_id, self.layout())
        return person

    def _kept(self, person: Person) -> Person | None:
        """A copy of the person before a change; None if there are no observers."""
        if not self.observers:
            return None
        return replace(person, members={**person.members}, custom={**person.custom}, rendered={})

    def _announce(
        self,
        action: Literal["create", "change", "delete"],
        before: Person | None,
        person: Person,
        merged: Mapping[str, int] | None = None,
    ) -> None:
        if self.observers:
            change = PersonChange(action, before, person, merged or {})
            for observer in self.observers:
                observer(change)

    def _delete(self, person: Person) -> None:
        self._unlist(person)
        person.deleted_at = person.update_time = self.now()
        person.rendered.clear()

    def _person_times(self, person_id: int) -> RowTimes:
        person = self._persons.get(person_id)
        if person is not None:
            return _times(person)
        assert self._source is not None
        return self._source.times(person_id)

    def _related_id(self, person_id: int, key: str) -> int | None:
        person = self._persons.get(person_id)
        if person is not None:
            return person.related_id(key)
        assert self._source is not None
        return self._source.related_id(person_id, key)

    def _touch(self, person: Person, update_time: int | None) -> None:
        listed = person.id in self._person_index
        self._unlist(person)
        person.update_time = update_time
        person.rendered.clear()
        if listed:
            self._list(person)

    def _list(self, person: Person) -> None:
        if person.deleted_at is None and not person.hidden and person.id not in self._person_index:
            self._person_index.add(person.id, _times(person))

    def _unlist(self, person: Person) -> None:
        self._person_index.remove(person.id, _times(person))

    def _unlist_organization(self, organization: Organization) -> None:
        self._organization_index.remove(organization.id, _times(organization))

    def _option(self, code: str, option_id: int) -> Option:
        custom = self.custom_field(code)
        for option in custom.options:
            if option.id == option_id:
                return option
        raise UnknownRecordError(f"Field {custom.name!r} has no option {option_id}.")

    def _label(self, label_id: int) -> Option:
        for label in self.labels:
            if label.id == label_id:
                return label
        raise UnknownRecordError(f"The account has no label {label_id}.")


def _times(record: Person | Organization) -> RowTimes:
    return RowTimes(record.add_time, record.update_time)


def _moment(moment: datetime | None) -> int | None:
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise InvalidValueError("A time must be an aware datetime.")
    return json_text.epoch(moment)


def _joined(mine: bytes, other: bytes) -> bytes:
    """The emails or phones of both persons; the winner's come first, and its primary one stays primary."""
    joined = list(json_text.decode(mine) or [])
    values = [each.get("value") for each in joined]
    for each in json_text.decode(other) or []:
        if each.get("value") not in values:
            joined.append({**each, "primary": not joined})
    return encode(joined)
