"""A partition is a connection: one Pipedrive account with its own runs and history in the UI."""

from __future__ import annotations

from collections.abc import Iterable

import dagster as dg

# Dagster's own; it does not export the name.
PARTITION_TAG = "dagster/partition"

connection_partitions = dg.DynamicPartitionsDefinition(name="connection")


def keep_in_step(instance: dg.DagsterInstance, names: Iterable[str]) -> None:
    """Makes the partitions equal to the given connections."""
    wanted = set(names)
    present = set(instance.get_dynamic_partitions("connection"))
    if wanted - present:
        instance.add_dynamic_partitions("connection", sorted(wanted - present))
    for name in sorted(present - wanted):
        instance.delete_dynamic_partition("connection", name)
