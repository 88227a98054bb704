"""Dagster and nothing else: assets, checks, jobs, schedules, partitions and resources, each of one connection."""
