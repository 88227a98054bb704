"""The assets of a run, in the order of the data, each a thin cover over a step of `sync`."""

from collections.abc import Iterator

import dagster as dg

from wooxy_pipedrive_etl.sync import catalogue, contacts, names, persons, staging
from wooxy_pipedrive_etl.sync.matching import check_draft, match_table_of_run
from wooxy_pipedrive_etl.sync.run import fail

from . import metadata
from .failures import as_failure
from .partitions import connection_partitions
from .resources import SyncRunResource


@dg.asset(partitions_def=connection_partitions, group_name="pipedrive", kinds={"pipedrive"})
def person_fields(sync: SyncRunResource) -> dg.MaterializeResult[None]:
    """The field catalogue of the account, compared with the last one."""
    with as_failure(sync.run):
        report = catalogue.read_catalogue(sync.run)
        check_draft(sync.run)
    return dg.MaterializeResult(metadata=metadata.of_catalogue(report))


@dg.asset(
    deps=[person_fields],
    partitions_def=connection_partitions,
    group_name="pipedrive",
    kinds={"pipedrive", "snapshot"},
)
def pipedrive_persons(sync: SyncRunResource) -> dg.MaterializeResult[None]:
    """The snapshot: every person of the account, raw, and who is no longer there."""
    with as_failure(sync.run):
        report = persons.fetch_persons(sync.run)
    return dg.MaterializeResult(metadata=metadata.of_walk(report, sync.run))


@dg.asset(
    deps=[pipedrive_persons],
    partitions_def=connection_partitions,
    group_name="pipedrive",
    kinds={"pipedrive"},
)
def referenced_names(sync: SyncRunResource) -> dg.MaterializeResult[None]:
    """The names of the organisations, users and persons that matched variables show."""
    with as_failure(sync.run):
        counts = names.read_referenced_names(sync.run)
    return dg.MaterializeResult(metadata=dict(counts))


@dg.asset(
    deps=[person_fields, pipedrive_persons],
    partitions_def=connection_partitions,
    group_name="mapping",
    kinds={"wooxy"},
)
def variable_matches(sync: SyncRunResource) -> dg.MaterializeResult[None]:
    """The Match variables table: dot, variable, preview, Wooxy column and format of every Pipedrive variable."""
    with as_failure(sync.run):
        table = match_table_of_run(sync.run)
    return dg.MaterializeResult(metadata=metadata.of_matches(table))


@dg.asset(
    deps=[pipedrive_persons, referenced_names, variable_matches],
    partitions_def=connection_partitions,
    group_name="mapping",
    kinds={"pandas"},
)
def mapped_contacts(sync: SyncRunResource) -> dg.MaterializeResult[None]:
    """Every person of the snapshot, as the matching writes it; nothing is in the list yet."""
    with as_failure(sync.run):
        report = staging.map_contacts(sync.run)
    return dg.MaterializeResult(metadata=metadata.of_mapping(report))


@dg.asset(
    deps=[mapped_contacts],
    partitions_def=connection_partitions,
    group_name="list",
    kinds={"wooxy"},
    check_specs=[
        dg.AssetCheckSpec(
            "no_mass_deletion",
            asset="contact_plan",
            blocking=True,
            description="No more than 10 % of the contacts (and more than 20) go at once, unless a person allows it.",
        ),
        dg.AssetCheckSpec(
            "one_person_a_contact",
            asset="contact_plan",
            blocking=True,
            description="No two persons write the same contact.",
        ),
        dg.AssetCheckSpec(
            "counts_balance",
            asset="contact_plan",
            blocking=True,
            description="Each person is created, updated, unchanged, or listed with the reason why not.",
        ),
    ],
)
def contact_plan(sync: SyncRunResource) -> Iterator[dg.MaterializeResult[None]]:
    """What applying would do to the list: checked here, before anything is written."""
    with as_failure(sync.run):
        plan = contacts.plan_contacts(sync.run)
        refusal = contacts.refusal(sync.run, plan)
        if refusal is not None:
            fail(sync.run, refusal)
    yield dg.MaterializeResult(
        metadata=metadata.of_plan(plan, sync.run),
        check_results=[
            dg.AssetCheckResult(
                check_name="no_mass_deletion",
                passed=sync.run.allow_mass_delete or not plan.deletes_too_many,
                description=refusal,
                metadata={"deleted": plan.summary.deleted, "contacts_before": plan.summary.contacts_before},
            ),
            dg.AssetCheckResult(
                check_name="one_person_a_contact",
                passed=plan.summary.doubly_owned == 0,
                metadata={"doubly_owned": plan.summary.doubly_owned},
            ),
            dg.AssetCheckResult(
                check_name="counts_balance", passed=plan.balances, metadata=dict(plan.counts)
            ),
        ],
    )


@dg.asset(
    deps=[contact_plan], partitions_def=connection_partitions, group_name="list", kinds={"wooxy", "table"}
)
def default_contact_list(sync: SyncRunResource) -> dg.MaterializeResult[None]:
    """The Default Contact List of the domain, equal to the persons again."""
    with as_failure(sync.run):
        counts = contacts.apply_contacts(sync.run)
    return dg.MaterializeResult(metadata=metadata.of_list(counts, sync.run))


ASSETS = [
    person_fields,
    pipedrive_persons,
    referenced_names,
    variable_matches,
    mapped_contacts,
    contact_plan,
    default_contact_list,
]
