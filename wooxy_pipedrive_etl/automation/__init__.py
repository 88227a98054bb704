"""What starts automatically: what is due and why, when to poll Pipedrive, the nightly run, and alerts.

Decided from the database; `orchestration` turns it into runs.
"""
