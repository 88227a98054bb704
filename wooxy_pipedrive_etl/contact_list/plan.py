"""The plan of a run: what to do for each staged person, and with each contact that lost its person. SQL decides the
plain cases; only persons that share identifiers, or match other contacts, go through `identity`.

`docs/plan.sql` shows the statements.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from wooxy_pipedrive_etl.list_settings import OnDelete
from wooxy_pipedrive_etl.store import tables

from . import dialects
from .identity import Contact, IdentifierMatch, Person, Resolution, claim, resolve
from .scratch import RELEASED, drop_plan, plan_tables
from .sql import any_of, insert_into
from .view import ListView
from .work import ListSettings, Tables, tables_of

_BATCH = 5000
# How many contacts the message of a conflict names.
_NAMED = 5
# The actions that the guard against mass deletion counts.
_GOING = ("delete", "deactivate")

links = tables.links


@dataclass(frozen=True)
class PlanSummary:
    """How many persons get which action, among those counted (see `make_plan`); the first six add up. `deleted`:
    contacts to be deleted or deactivated. `adopted` and `handed_over` are also counted in `updated` or `unchanged`.
    `released`: adopted contacts that lose their person and stay. `doubly_owned`: contacts that two persons would write,
    which must not happen. `contacts_before`: the size of the list. `planned`: all persons, counted or not."""

    created: int
    updated: int
    unchanged: int
    rejected: int
    duplicates: int
    conflicts: int
    deleted: int
    adopted: int
    handed_over: int
    released: int
    doubly_owned: int
    contacts_before: int
    planned: int

    @property
    def staged(self) -> int:
        return self.created + self.updated + self.unchanged + self.rejected + self.duplicates + self.conflicts


def make_plan(
    db: sa.Connection,
    view: ListView,
    connection_id: int,
    settings: ListSettings,
    counted_run: str | None = None,
) -> PlanSummary:
    """Plans what the staged contacts change in the list. Writes only the plan, which replaces any older one.

    The summary counts all persons or, with `counted_run`, only those that this run mapped or read and those whose
    contact is created or updated.

    Raises ListError if the list has lost a variable since it was staged.
    """
    t = tables_of(db, view, connection_id, settings)
    dialects.ready_for_joins(db, t.stage, ["person_id"], *([name] for name in t.identifiers))
    drop_plan(db, connection_id)
    for table in plan_tables(db, connection_id):
        table.create(db)
    for step in STEPS:
        step(db, t)
    return _summary(db, t, view.count(db), counted_run)


def find_duplicates(db: sa.Connection, t: Tables) -> None:
    """Finds persons that share an identifier: only the most recent of them can own a contact."""
    stage = t.stage
    if not t.identifiers:
        return
    persons = sa.select(stage.c.person_id, stage.c.person_version, *(stage.c[name] for name in t.identifiers))
    shared = []
    for name in t.identifiers:
        value = stage.c[name]
        contested = sa.select(value).where(value.is_not(None)).group_by(value).having(sa.func.count() > 1)
        shared.append(persons.where(value.in_(contested)))
    # A UNION instead of OR: if PostgreSQL expects that the values don't fit into its memory, it would scan all of them
    # for each person.
    query = sa.union(*shared)
    duplicates = claim(
        (
            person_id,
            version,
            [(kind, value) for kind, value in zip(t.identifiers, values, strict=True) if value is not None],
        )
        for person_id, version, *values in db.execute(query)
    )
    _resolve(db, t, [_resolved(person, "duplicate", owner_id=owner) for person, owner in duplicates.items()])


def find_identifier_matches(db: sa.Connection, t: Tables) -> None:
    """Finds contacts that have a person's identifier but aren't its own. Duplicates match nothing."""
    stage, listed, resolved = t.stage, t.listed, t.resolved
    own, holder = links.alias("own"), links.alias("holder")
    own_is_ours = own.c.connection_id == t.connection_id
    holder_is_ours = holder.c.connection_id == t.connection_id
    for name in t.identifiers:
        held = dialects.folded(db, listed.c.email) if name == "email" else listed.c[name]
        insert_into(
            db,
            t.identifier_matches,
            {
                "person_id": stage.c.person_id,
                "contact_id": listed.c.contact_id,
                "identifier": sa.literal(name),
                "own_contact_id": own.c.contact_id,
                "holder_id": holder.c.person_id,
                "adopted": holder.c.adopted,
            },
            sa.select()
            .select_from(stage)
            .join(listed, held == stage.c[name])
            .outerjoin(own, sa.and_(own_is_ours, own.c.person_id == stage.c.person_id))
            .outerjoin(holder, sa.and_(holder_is_ours, holder.c.contact_id == listed.c.contact_id))
            .outerjoin(resolved, resolved.c.person_id == stage.c.person_id)
            .where(own.c.contact_id.is_distinct_from(listed.c.contact_id), resolved.c.person_id.is_(None)),
        )
    dialects.ready_for_joins(db, t.identifier_matches, ["person_id"], ["contact_id"])


def adopt_plain(db: sa.Connection, t: Tables) -> None:
    """A person without a contact adopts its only match, if that contact has no owner and no other match."""
    matches = t.identifier_matches
    single_match = sa.select(
        matches,
        sa.func.min(matches.c.contact_id).over(partition_by=matches.c.person_id).label("first_contact"),
        sa.func.max(matches.c.contact_id).over(partition_by=matches.c.person_id).label("last_contact"),
        sa.func.min(matches.c.person_id).over(partition_by=matches.c.contact_id).label("first_person"),
        sa.func.max(matches.c.person_id).over(partition_by=matches.c.contact_id).label("last_person"),
    ).subquery("single_match")
    insert_into(
        db,
        t.resolved,
        {
            "person_id": single_match.c.person_id,
            "state": sa.literal("write"),
            "contact_id": single_match.c.contact_id,
            "adopts": sa.true(),
            "handed_over": sa.false(),
        },
        sa.select()
        .distinct()
        .where(
            single_match.c.own_contact_id.is_(None),
            single_match.c.holder_id.is_(None),
            single_match.c.first_contact == single_match.c.last_contact,
            single_match.c.first_person == single_match.c.last_person,
        ),
    )


def resolve_rest(db: sa.Connection, t: Tables) -> None:
    """Resolves all other persons with matches, by the rules of `identity`."""
    matches, resolved = t.identifier_matches, t.resolved
    rows = db.execute(
        sa.select(
            matches.c.person_id,
            matches.c.contact_id,
            matches.c.identifier,
            matches.c.holder_id,
            matches.c.adopted,
        )
        .outerjoin(resolved, resolved.c.person_id == matches.c.person_id)
        .where(resolved.c.person_id.is_(None))
    ).all()
    if not rows:
        return
    taking_part = _persons(db, t, {row[0] for row in rows} | {row[3] for row in rows if row[3] is not None})
    persons = {row[0]: taking_part[row[0]] for row in rows}
    identifier_matches = [
        IdentifierMatch(person_id, contact_id, kind) for person_id, contact_id, kind, *_ in rows
    ]
    linked_to = {contact_id: (holder, adopted) for _, contact_id, _, holder, adopted in rows}
    contacts = {
        contact_id: Contact(contact_id, taking_part.get(holder), foreign=holder is None or adopted)
        for contact_id, (holder, adopted) in linked_to.items()
    }
    resolution = resolve(persons.values(), identifier_matches, contacts, ignore_empty=t.settings.ignore_empty)
    found = []
    for person_id, person in persons.items():
        if person_id in resolution.conflicts:
            found.append(_resolved(person_id, "conflict", detail=_conflict(resolution, person, contacts)))
        elif person_id in resolution.contacts:
            contact_id = resolution.contacts[person_id]
            found.append(
                _resolved(
                    person_id,
                    "write",
                    contact_id=contact_id,
                    adopts=contacts[contact_id].foreign,
                    handed_over=linked_to[contact_id][0] is not None,
                )
            )
    _resolve(db, t, found)


def _persons(db: sa.Connection, t: Tables, person_ids: set[int]) -> dict[int, Person]:
    """Those of the persons that take part: staged, not a duplicate, and not rejected."""
    stage, listed, resolved = t.stage, t.listed, t.resolved
    owned = (
        sa.select(links.c.person_id, links.c.contact_id)
        .join(listed, listed.c.contact_id == links.c.contact_id)
        .where(t.our_links)
        .subquery("owned")
    )
    query = (
        sa.select(
            stage.c.person_id,
            stage.c.person_version,
            owned.c.contact_id,
            *(stage.c[name].is_not(None) for name in t.identifiers),
        )
        .outerjoin(owned, owned.c.person_id == stage.c.person_id)
        .outerjoin(resolved, resolved.c.person_id == stage.c.person_id)
        .where(sa.or_(resolved.c.state.is_(None), resolved.c.state != "duplicate"))
    )
    found: dict[int, Person] = {}
    wanted = sorted(person_ids)
    for start in range(0, len(wanted), _BATCH):
        some = query.where(stage.c.person_id.in_(wanted[start : start + _BATCH]))
        for person_id, version, contact_id, *has in db.execute(some):
            kinds = frozenset(name for name, there in zip(t.identifiers, has, strict=True) if there)
            if kinds or t.settings.ignore_empty:
                found[person_id] = Person(person_id, version, contact_id, kinds)
    return found


def decide_persons(db: sa.Connection, t: Tables) -> None:
    """Decides what to do for each person: the first case that applies."""
    stage, listed, resolved = t.stage, t.listed, t.resolved
    own = sa.select(links.c.person_id, links.c.contact_id).where(t.our_links).subquery("own")
    deactivated_by_us = (
        sa.select(links.c.contact_id).where(t.our_links, links.c.deactivated).subquery("deactivated_by_us")
    )
    changed = any_of(
        [
            *t.changes.values(),
            sa.and_(deactivated_by_us.c.contact_id.is_not(None), listed.c.active.is_not(sa.true())),
        ]
    )
    anonymous = sa.and_(sa.true(), *(stage.c[name].is_(None) for name in t.identifiers))
    if t.settings.ignore_empty:
        anonymous = sa.and_(anonymous, listed.c.contact_id.is_(None))
    action = sa.case(
        (resolved.c.state.in_(["duplicate", "conflict"]), resolved.c.state),
        (anonymous, "rejected"),
        (listed.c.contact_id.is_(None), "create"),
        (changed, "update"),
        else_="unchanged",
    )
    contact_id = sa.func.coalesce(resolved.c.contact_id, own.c.contact_id)
    writes_nothing = sa.or_(resolved.c.state.is_not_distinct_from("duplicate"), anonymous)
    insert_into(
        db,
        t.plan,
        {
            "person_id": stage.c.person_id,
            "contact_id": sa.case((writes_nothing, sa.null()), else_=listed.c.contact_id),
            "action": action,
            "adopts": sa.func.coalesce(resolved.c.adopts, sa.false()),
            "handed_over": sa.func.coalesce(resolved.c.handed_over, sa.false()),
            "owner_id": resolved.c.owner_id,
            "detail": resolved.c.detail,
        },
        sa.select()
        .select_from(stage)
        .outerjoin(own, own.c.person_id == stage.c.person_id)
        .outerjoin(resolved, resolved.c.person_id == stage.c.person_id)
        .outerjoin(listed, listed.c.contact_id == contact_id)
        .outerjoin(deactivated_by_us, deactivated_by_us.c.contact_id == listed.c.contact_id),
    )
    dialects.ready_for_joins(db, t.plan, ["contact_id"], ["action", "person_id"])


def decide_orphaned(db: sa.Connection, t: Tables) -> None:
    """Decides what to do with this connection's contacts that no person has in the plan."""
    listed, plan = t.listed, t.plan
    released = (links.c.adopted, RELEASED)
    if t.settings.on_delete == OnDelete.DELETE:
        action = sa.case(released, else_="delete")
    elif t.settings.on_delete == OnDelete.DEACTIVATE:
        off = sa.or_(links.c.deactivated, listed.c.active.is_(sa.false()))
        action = sa.case(released, (sa.not_(off), "deactivate"))
    else:
        action = sa.case(released)
    insert_into(
        db,
        t.orphaned,
        {"contact_id": links.c.contact_id, "action": action},
        sa.select()
        .select_from(links)
        .join(listed, listed.c.contact_id == links.c.contact_id)
        .outerjoin(plan, plan.c.contact_id == links.c.contact_id)
        .where(t.our_links, plan.c.contact_id.is_(None), action.is_not(None)),
    )
    dialects.ready_for_joins(db, t.orphaned, ["contact_id"], ["action"])


# Each step reads what the earlier ones wrote.
STEPS = (
    find_duplicates,
    find_identifier_matches,
    adopt_plain,
    resolve_rest,
    decide_persons,
    decide_orphaned,
)


def _resolve(db: sa.Connection, t: Tables, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        db.execute(t.resolved.insert(), rows)


def _resolved(
    person_id: int,
    state: str,
    *,
    contact_id: int | None = None,
    adopts: bool = False,
    handed_over: bool = False,
    owner_id: int | None = None,
    detail: str | None = None,
) -> dict[str, Any]:
    return {
        "person_id": person_id,
        "state": state,
        "contact_id": contact_id,
        "adopts": adopts,
        "handed_over": handed_over,
        "owner_id": owner_id,
        "detail": detail,
    }


def _conflict(resolution: Resolution, person: Person, contacts: dict[int, Contact]) -> str:
    against = resolution.conflicts[person.person_id]
    named = []
    for contact_id in against[:_NAMED]:
        holder = contacts[contact_id].holder
        named.append(f"{contact_id} (of person {holder.person_id})" if holder else str(contact_id))
    if len(against) > _NAMED:
        named.append(f"{len(against) - _NAMED} more")
    own = f", and has contact {person.contact_id}" if person.contact_id is not None else ""
    several = "contacts" if len(against) > 1 else "contact"
    return (
        f"Person {person.person_id} has identifiers of {several} {', '.join(named)}{own}; contacts are never merged, "
        "so nothing was written: put the identifiers right in Pipedrive or in the list."
    )


def _summary(db: sa.Connection, t: Tables, contacts_before: int, counted_run: str | None) -> PlanSummary:
    stage, plan, orphaned = t.stage, t.plan, t.orphaned
    columns = (plan.c.action, plan.c.adopts, plan.c.handed_over)
    of_persons = sa.select(*columns, sa.func.count()).group_by(*columns)
    if counted_run is not None:
        of_persons = of_persons.join(stage, stage.c.person_id == plan.c.person_id).where(
            sa.or_(stage.c.mapped_by == counted_run, plan.c.action.in_(["create", "update"]))
        )
    of_contacts = sa.select(orphaned.c.action, sa.false(), sa.false(), sa.func.count()).group_by(
        orphaned.c.action
    )
    rows = [*db.execute(of_persons), *db.execute(of_contacts)]

    def count(*actions: str) -> int:
        return sum(number for action, _, _, number in rows if action in actions)

    return PlanSummary(
        created=count("create"),
        updated=count("update"),
        unchanged=count("unchanged"),
        rejected=count("rejected"),
        duplicates=count("duplicate"),
        conflicts=count("conflict"),
        deleted=count(*_GOING),
        adopted=sum(number for _, adopts, _, number in rows if adopts),
        handed_over=sum(number for _, adopts, handed_over, number in rows if handed_over and not adopts),
        released=count(RELEASED),
        doubly_owned=contacts_owned_twice(db, plan),
        contacts_before=contacts_before,
        planned=db.execute(sa.select(sa.func.count()).select_from(plan)).scalar_one(),
    )


def going_contacts(connection_id: int) -> sa.Select[tuple[int]]:
    """The ids of the contacts that the plan deletes or deactivates."""
    orphaned = sa.table(
        f"sync_orphaned_{connection_id}", sa.column("contact_id", sa.BigInteger), sa.column("action")
    )
    return sa.select(orphaned.c.contact_id).where(orphaned.c.action.in_(_GOING))


def contacts_owned_twice(db: sa.Connection, plan: sa.Table) -> int:
    """How many contacts two persons would write: none, if the plan is correct."""
    doubles = (
        sa.select(plan.c.contact_id)
        .where(plan.c.action.in_(["update", "unchanged"]))
        .group_by(plan.c.contact_id)
        .having(sa.func.count() > 1)
    )
    return db.execute(sa.select(sa.func.count()).select_from(doubles.subquery())).scalar_one()
