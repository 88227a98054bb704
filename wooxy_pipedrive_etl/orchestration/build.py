"""Everything that Dagster loads, assembled in one place. Tests and tools override parts of it; they never patch it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from .assets import contact_list_assets
from .jobs import changes_sync, full_sync, match_variables, remap
from .schedules import nightly_full_sync
from .sensors import SENSORS

_CHECKOUT = Path(__file__).parents[2]


def build_defs(key_prefix: Sequence[str] = ()) -> dg.Definitions:
    """The definitions for a project that embeds them with `Definitions.merge`; the project keeps its own executor and
    resources.

    `key_prefix`: goes before the keys of the assets.
    """
    return dg.Definitions(
        assets=_with_code_references([contact_list_assets(key_prefix)]),
        jobs=[changes_sync, full_sync, match_variables, remap],
        schedules=[nightly_full_sync],
        sensors=SENSORS,
    )


def _with_code_references(assets: Sequence[dg.AssetsDefinition]) -> Sequence[Any]:
    """In a checkout, adds links to the code, for developers who use the UI."""
    if not (_CHECKOUT / "pyproject.toml").exists():
        return assets
    with warnings.catch_warnings():
        # Whoever starts Dagster need not know that this API is in beta.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return dg.with_source_code_references(assets)
