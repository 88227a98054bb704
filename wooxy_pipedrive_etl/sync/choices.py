"""What there is to choose from when an account is connected with a domain."""

from __future__ import annotations

from wooxy_pipedrive_etl.store import Store, connections
from wooxy_pipedrive_etl.store.connections import ConnectionRecord
from wooxy_pipedrive_etl.store.database import reading


def names_taken(store: Store) -> list[str]:
    with reading(store.engine) as connection:
        return [record.name for record in connections.list_connections(connection)]


def free_domains(store: Store) -> list[str]:
    """Domains that have a list and that no connection feeds."""
    with reading(store.engine) as connection:
        return connections.domains_without_connection(connection)


def disconnected(store: Store, company_id: int) -> list[ConnectionRecord]:
    """Connections with the company that would take up where they were, given their name and domain."""
    with reading(store.engine) as connection:
        return [
            record
            for record in connections.list_connections(connection)
            if record.state == "disconnected" and record.company_id == company_id
        ]
