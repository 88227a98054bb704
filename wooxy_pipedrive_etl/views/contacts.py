"""The list as its pages show it: a search for contacts, and one contact with the source of each value."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from wooxy_pipedrive_etl.contact_list import BUILT_IN, ContactList
from wooxy_pipedrive_etl.contact_list.channels import AUTOMATIC
from wooxy_pipedrive_etl.contact_list.columns import CHANNELS
from wooxy_pipedrive_etl.contact_list.issues import duplicates_of
from wooxy_pipedrive_etl.contact_list.search import ContactsPage, find_contacts, read_contact
from wooxy_pipedrive_etl.errors import SyncError
from wooxy_pipedrive_etl.http_api.api_url import is_on_this_machine
from wooxy_pipedrive_etl.list_settings import Consent
from wooxy_pipedrive_etl.mapping.transform import Feed, FeedPlan, read_batch, transform
from wooxy_pipedrive_etl.matching.view import feed_plan_with
from wooxy_pipedrive_etl.store import Store, connections, tables
from wooxy_pipedrive_etl.store.catalogue import read_names
from wooxy_pipedrive_etl.store.connections import ConnectionRecord
from wooxy_pipedrive_etl.store.contact_history import Event, history_of
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.store.keys import domains_with_unreadable, key_id
from wooxy_pipedrive_etl.store.matchings import confirmed_matching
from wooxy_pipedrive_etl.store.snapshot import persons_of

_NOT_MATCHED = {variable.name for variable in BUILT_IN if not variable.targetable}


@dataclass(frozen=True)
class Person:
    """A person in Pipedrive, with the address of its page there (None for an account on this machine, which has no
    pages). `name`: None if the snapshot has none."""

    person_id: int
    name: str | None
    url: str | None


@dataclass(frozen=True)
class Owner:
    """The person that owns a contact. `adopted`: the contact was in the list before the sync."""

    person: Person
    adopted: bool


@dataclass(frozen=True)
class Value:
    """A variable that is not empty. `label` and `key`: the Pipedrive variable matched with it, or None. `remark`: where
    the value came from if not from there, or anything else worth saying about it."""

    name: str
    text: str
    label: str | None
    key: str | None
    remark: str | None


@dataclass(frozen=True)
class Channel:
    """`subscribed`: None until someone sets it. `reason`: why it has this value, if known."""

    name: str
    subscribed: bool | None
    reason: str | None


@dataclass(frozen=True)
class ContactView:
    """`active`: like a channel. `duplicates`: persons that share an identifier with the owner. `history`: the newest
    first."""

    contact_id: int
    owner: Owner | None
    duplicates: list[Person]
    values: list[Value]
    active: Channel
    channels: list[Channel]
    history: list[Event]


def search_contacts(
    store: Store, name: str, text: str = "", *, after: int | None = None, before: int | None = None
) -> ContactsPage:
    """As `contact_list.search.find_contacts`. Raises UnknownConnection."""
    with reading(store.engine) as db:
        record = connections.get_connection(db, name)
        contact_list = ContactList.of_domain(db, record.domain)
        return find_contacts(db, contact_list, text, after=after, before=before)


def view_contact(store: Store, name: str, contact_id: int) -> ContactView | None:
    """None if the list has no such contact. Raises UnknownConnection."""
    with reading(store.engine) as db:
        record = connections.get_connection(db, name)
        stored = read_contact(db, ContactList.of_domain(db, record.domain), contact_id)
        if stored is None:
            return None
        link = _link(db, record, contact_id)
        person_id = None if link is None else link.person_id
        plan = _feed_plan(db, record)
        mapped = _mapped(db, record, plan, person_id)
        duplicates = [] if person_id is None else duplicates_of(db, record.id, person_id)
        people = persons(db, record, [each for each in (person_id, *duplicates) if each is not None])
        owner = None if link is None else Owner(people[link.person_id], link.adopted)
        return ContactView(
            contact_id=contact_id,
            owner=owner,
            duplicates=[people[each] for each in duplicates],
            values=_values(db, record, stored, plan, mapped),
            active=_active(stored, link),
            channels=_channels(db, store, record, stored, mapped),
            history=history_of(db, record.id, contact_id),
        )


def persons(db: sa.Connection, record: ConnectionRecord, person_ids: Sequence[int]) -> dict[int, Person]:
    """The persons by id."""
    known = persons_of(db, record.id, person_ids)
    names = {
        person_id: _name(raw)
        for person_id, raw in zip(known["person_id"].tolist(), known["raw"], strict=True)
    }
    has_pages = not is_on_this_machine(record.api_url)
    return {
        person_id: Person(
            person_id, names.get(person_id), f"{record.api_url}/person/{person_id}" if has_pages else None
        )
        for person_id in person_ids
    }


def _name(raw: bytes) -> str | None:
    """From a person's raw JSON in the snapshot, which may have any shape."""
    try:
        person = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    name = person.get("name") if isinstance(person, dict) else None
    return name if isinstance(name, str) and name.strip() else None


def _link(db: sa.Connection, record: ConnectionRecord, contact_id: int) -> Any:
    links = tables.links
    query = sa.select(links.c.person_id, links.c.adopted, links.c.deactivated)
    return db.execute(
        query.where(links.c.connection_id == record.id, links.c.contact_id == contact_id)
    ).one_or_none()


def _feed_plan(db: sa.Connection, record: ConnectionRecord) -> FeedPlan:
    """What the matching in force currently feeds."""
    in_force = confirmed_matching(db, record.id)
    if in_force is None:
        return FeedPlan((), record.default_region)
    try:
        return feed_plan_with(db, record, in_force)
    except SyncError:  # no run would feed anything
        return FeedPlan((), record.default_region)


def _mapped(
    db: sa.Connection, record: ConnectionRecord, plan: FeedPlan, person_id: int | None
) -> dict[str, Any]:
    """What the owner would now be mapped to: Wooxy variables and marketing_status; empty without an owner."""
    owner = persons_of(db, record.id, [] if person_id is None else [person_id])
    if owner.empty:
        return {}
    names = read_names(db, record.id) if any(feed.kind.is_reference for feed in plan.feeds) else {}
    contacts, _ = transform(read_batch(owner, plan), names)
    return {str(name): values.iloc[0] for name, values in contacts.items()}


def _values(
    db: sa.Connection,
    record: ConnectionRecord,
    stored: dict[str, Any],
    plan: FeedPlan,
    mapped: dict[str, Any],
) -> list[Value]:
    feeds = {feed.wooxy: feed for feed in plan.feeds}
    in_force = confirmed_matching(db, record.id)
    rows = () if in_force is None else in_force.rows
    matched = {row.wooxy: (row.label, row.pipedrive) for row in rows if row.wooxy is not None}
    values = []
    for name, text in stored.items():
        if text is None or name in ("active", *CHANNELS):
            continue
        if isinstance(text, bool):  # a column that the sync did not create
            text = str(text).lower()
        label, key = matched.get(name, (None, None))
        remark = _remark(name, text, key, feeds.get(name), mapped)
        values.append(Value(name, text, label, key, remark))
    return values


def _remark(name: str, text: str, key: str | None, feed: Feed | None, mapped: dict[str, Any]) -> str | None:
    if name in _NOT_MATCHED:
        return "kept by Wooxy"
    if key is None:
        return "kept from before: nothing is matched with it"
    if not mapped:
        return "kept from before: no person feeds the contact"
    if feed is None:
        return "kept from before: its row of the matching has a problem"
    if mapped[name] is None:
        return "kept from before: empty in Pipedrive"
    if _as_listed(feed, mapped[name]) != text:
        return "as of the last run: the next one brings another value"
    return None


def _as_listed(feed: Feed, value: Any) -> str:
    """A mapped value as it is shown in the list's column."""
    return f"{value.replace(' ', 'T')}Z" if feed.column_type == "datetime" else str(value)


def _active(stored: dict[str, Any], link: Any) -> Channel:
    gone = stored["active"] is False and link is not None and link.deactivated
    return Channel(
        "active", stored["active"], "its person was deleted or hidden in Pipedrive" if gone else None
    )


def _channels(
    db: sa.Connection,
    store: Store,
    record: ConnectionRecord,
    stored: dict[str, Any],
    mapped: dict[str, Any],
) -> list[Channel]:
    phone = stored["phoneNumber"]
    memory = tables.opt_outs
    remembered = set(
        db.scalars(
            sa.select(memory.c.channel).where(
                memory.c.domain_id == record.domain_id,
                memory.c.phone_hash == store.secrets.hash_phone(phone or ""),
            )
        )
    )
    lost = record.domain_id in domains_with_unreadable(db, key_id(db, store.secrets))
    return [
        Channel(
            name, stored[name], _reason(name, stored[name], phone, name in remembered, record, mapped, lost)
        )
        for name in CHANNELS
    ]


def _reason(
    name: str,
    subscribed: bool | None,
    phone: str | None,
    remembered: bool,
    record: ConnectionRecord,
    mapped: dict[str, Any],
    memory_lost: bool,
) -> str | None:
    status = mapped.get("marketing_status")
    if subscribed is False:
        if name == "emailSubscribe" and mapped.get(name) is False:
            return "unsubscribed in Pipedrive (marketing status)"
        return "an opt-out, remembered with the phone number" if remembered else None
    if subscribed is None and name in AUTOMATIC:
        if phone is None:
            return "no phone number yet"
        if record.consent == Consent.RESPECT and status == "unsubscribed":
            return "not subscribed automatically: unsubscribed in Pipedrive (marketing status)"
        if record.consent == Consent.REQUIRE and status != "subscribed":
            return (
                "not subscribed automatically: consent is required, and Pipedrive has none (marketing status)"
            )
        if memory_lost:
            return "not subscribed automatically: opt-outs were lost with an earlier key"
    return None
