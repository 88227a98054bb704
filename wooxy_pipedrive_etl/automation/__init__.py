"""What starts automatically: what is due and why, when to poll Pipedrive, the nightly run, and alerts.

Not here: starting the runs that are due (`orchestration`), and what a run does (`sync`).
"""
