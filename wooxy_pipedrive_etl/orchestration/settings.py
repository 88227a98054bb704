"""Settings of the assets in the environment: their owners, and the address of their connection's pages."""

from __future__ import annotations

import os
from urllib.parse import quote

from wooxy_pipedrive_etl.connections.oauth_app import PUBLIC_URL_VARIABLE

OWNERS_VARIABLE = "WOOXY_PIPEDRIVE_OWNERS"


def asset_owners() -> list[str]:
    """E-mail addresses and teams (`team:marketing`), separated by commas; Dagster rejects anything else."""
    return [owner.strip() for owner in os.environ.get(OWNERS_VARIABLE, "").split(",") if owner.strip()]


def page_of(connection_name: str, page: str) -> str | None:
    """The address of a connection's page, if `serve` can be reached from outside."""
    root = os.environ.get(PUBLIC_URL_VARIABLE, "").rstrip("/")
    return f"{root}/integrations/{quote(connection_name, safe='')}/{page}" if root else None
