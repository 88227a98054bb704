"""What starts by itself: what is due and why, when Pipedrive is asked, the night's run, and alerts.

Decided from the database; that it becomes a run is the business of `orchestration`.
"""
