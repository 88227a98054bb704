"""The assets. All assets of a connection are made in one step, whatever executor runs it and whatever is selected.

`sync.flow` says what a run is; here Dagster is told about it.
"""

from collections.abc import Iterator, Sequence

import dagster as dg

from wooxy_pipedrive_etl.settings import Settings
from wooxy_pipedrive_etl.store import Store
from wooxy_pipedrive_etl.sync import flow
from wooxy_pipedrive_etl.sync.run import begin
from wooxy_pipedrive_etl.sync.selection import PRODUCTS, Product, Selection, products_of

from . import checks, metadata
from .failures import as_failure
from .options import PRODUCT_TAG, STEP, SyncOptions
from .partitions import connection_partitions
from .started_by import is_automatic

_Specs = dict[Product, tuple[str, str, set[str], Sequence[Product]]]

# group, description, kinds, and the assets it is made from
_ASSETS: _Specs = {
    "person_fields": (
        "pipedrive",
        "The field catalogue of the account, compared with the last one.",
        {"pipedrive"},
        (),
    ),
    "pipedrive_persons": (
        "pipedrive",
        "The snapshot: every person of the account as Pipedrive sent them, and who was deleted.",
        {"pipedrive", "snapshot"},
        ("person_fields",),
    ),
    "referenced_names": (
        "pipedrive",
        "The names of the organisations, users and persons that matched variables show.",
        {"pipedrive"},
        ("pipedrive_persons",),
    ),
    "variable_matches": (
        "mapping",
        "The Match variables table: dot, variable, preview, Wooxy column and format of every Pipedrive variable.",
        {"wooxy"},
        ("person_fields", "pipedrive_persons"),
    ),
    "mapped_contacts": (
        "mapping",
        "Every person of the snapshot, as the matching writes it; nothing is in the list yet.",
        {"pandas"},
        ("pipedrive_persons", "referenced_names", "variable_matches"),
    ),
    "contact_plan": (
        "list",
        "What applying would do to the list: checked here, before anything is written. Selected without "
        "default_contact_list, it is a dry run.",
        {"wooxy"},
        ("mapped_contacts",),
    ),
    "default_contact_list": (
        "list",
        "The Default Contact List of the domain, equal to the persons again. Selected alone, it is made of the stored "
        "persons; it is always planned and checked first.",
        {"wooxy", "table"},
        ("contact_plan",),
    ),
}


def contact_list_assets(key_prefix: Sequence[str] = ()) -> dg.AssetsDefinition:
    """All assets of a connection, each under the prefix."""
    keys = {product: dg.AssetKey([*key_prefix, product]) for product in PRODUCTS}

    @dg.multi_asset(
        name=STEP,
        specs=[
            dg.AssetSpec(
                keys[product],
                deps=[keys[parent] for parent in parents],
                description=description,
                group_name=group,
                kinds=kinds,
                tags={PRODUCT_TAG: product},
                owners=Settings.current().asset_owners,
                freshness_policy=metadata.FRESHNESS if product == "default_contact_list" else None,
            )
            for product, (group, description, kinds, parents) in _ASSETS.items()
        ],
        check_specs=checks.specs(keys),
        # No backfill policy: with any, a backfill names its connections by ranges, which no limit, sensor or run of
        # ours understands.
        partitions_def=connection_partitions,
        can_subset=True,
        description="One run on one connection, from Pipedrive to the list.",
    )
    def contact_list_sync(
        context: dg.AssetExecutionContext, config: SyncOptions
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        if not context.has_partition_key:
            raise dg.Failure(
                "Choose one connection: these assets are partitioned by connection.", allow_retries=False
            )
        with as_failure(context.partition_key):
            yield from _run(context, config)

    return contact_list_sync


def _run(
    context: dg.AssetExecutionContext, config: SyncOptions
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    products = {
        spec.key: product
        for spec in context.assets_def.specs
        for product in products_of([spec.tags[PRODUCT_TAG]])
    }
    keys = {products[key]: key for key in context.selected_asset_keys}
    asked_checks = {check.name: check.asset_key for check in context.selected_asset_check_keys}
    # If only a check is selected, what it checks must be made as well.
    looked_at = {products[key] for key in asked_checks.values()}
    selection = Selection(frozenset([*keys, *looked_at]), only_changes=config.only_changes)
    store = Store.open()
    try:
        with begin(
            store,
            context.partition_key,
            context.run.run_id,
            selection,
            allowed=config.allowed,
            draft=config.draft,
            automatic=is_automatic(context.run),
        ) as run:
            for done in flow.sync(run):
                results = checks.results(done, run, asked_checks)
                if done.product in keys:
                    yield dg.MaterializeResult(
                        asset_key=keys[done.product],
                        metadata=metadata.of(done, run, keys),
                        check_results=results,
                    )
                else:
                    yield from results
    finally:
        store.close()
