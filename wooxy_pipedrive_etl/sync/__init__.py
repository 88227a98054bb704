"""One run, from the account to the list: its steps, in the order of `flow.py`.

Not here: when a run is due (`automation`), what a user does to a connection (`connections`), and anything of Dagster
(`orchestration`).
"""
