"""Changes to an existing connection: its settings, and whether its runs start automatically. *Ignore empty values* is a
setting of the matching (`matching.view`)."""

from __future__ import annotations

from wooxy_pipedrive_etl.store import Store, connections, sync_state
from wooxy_pipedrive_etl.store.database import reading
from wooxy_pipedrive_etl.store.locks import sole_writer

from .accounts import checked_settings


def change_settings(
    store: Store, name: str, *, default_region: str | None, consent: str, on_delete: str
) -> bool:
    """Sets all three, and returns whether the list must follow, for which a run then starts automatically. A new region
    maps persons again, and a new `on_delete` applies to contacts that have lost their person. A new consent setting
    matters only for channels that have yet to be subscribed, so it changes no contact.

    Raises InvalidSetting, UnknownConnection, and ConnectionBusy during a run, which would continue with the old
    settings.
    """
    settings = checked_settings(default_region, consent, on_delete)
    with reading(store.engine) as db:
        record = connections.get_connection(db, name)
    with sole_writer(store.engine, record), store.engine.begin() as db:
        record = connections.get_connection(db, name)
        known = (record.default_region, record.on_delete)
        follows = (settings.default_region, settings.on_delete) != known
        connections.change_settings(db, record.id, settings)
        if follows:
            sync_state.fall_behind(db, record.id)
        return follows and record.state == "active"


def pause(store: Store, name: str) -> None:
    """From now on no run starts automatically and Pipedrive is not polled; webhook events are still recorded. Requested
    runs still run. Raises UnknownConnection."""
    _set_paused(store, name, True)


def resume(store: Store, name: str) -> None:
    """Ends a pause; whatever has become due is then processed. Raises UnknownConnection."""
    _set_paused(store, name, False)


def _set_paused(store: Store, name: str, paused: bool) -> None:
    with store.engine.begin() as db:
        record = connections.get_connection(db, name)
        connections.set_paused(db, record.id, paused)
