"""The Dagster side: assets, checks, jobs, schedules, sensors, partitions and resources, one partition per connection.

Not here: what a run does (`sync`), and when one is due (`automation`).
"""
