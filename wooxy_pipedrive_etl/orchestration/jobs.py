"""The kinds of run, each a selection of the assets with its options."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import or_

import dagster as dg

from wooxy_pipedrive_etl.automation.due import RunKind
from wooxy_pipedrive_etl.sync.selection import Product, Selection

from .options import PRODUCT_TAG, run_config


def _selected(products: Sequence[Product]) -> dg.AssetSelection:
    """By tags, so that it works whatever keys the assets have in the project that embeds them."""
    return reduce(or_, (dg.AssetSelection.tag(PRODUCT_TAG, product) for product in products))


full_sync = dg.define_asset_job(
    "full_sync",
    selection=_selected(Selection.of("full").names),
    description="Every person, by id: finds deletions, repairs everything.",
)

changes_sync = dg.define_asset_job(
    "changes_sync",
    selection=_selected(Selection.of("changes").names),
    config=run_config(only_changes=True),
    description="The persons that changed since the last run, and those that a webhook named.",
)

remap = dg.define_asset_job(
    "remap",
    selection=_selected(Selection.of("re-map").names),
    description="Applies the matching to the stored snapshot; asks Pipedrive for no persons.",
)

match_variables = dg.define_asset_job(
    "match_variables",
    selection=_selected(["person_fields", "variable_matches"]),
    description="Reads the fields and refreshes the Match variables table; the list is not changed.",
)

JOB_NAMES: dict[RunKind, str] = {
    "full": full_sync.name,
    "changes": changes_sync.name,
    "re-map": remap.name,
    "match": match_variables.name,
}


def asset_keys(graph: dg.AssetGraph, selection: Selection) -> list[dg.AssetKey]:
    """The keys of the selected assets, in a project that has them."""
    return sorted(
        key
        for key in graph.get_all_asset_keys()
        if graph.get(key).tags.get(PRODUCT_TAG) in selection.products
    )
