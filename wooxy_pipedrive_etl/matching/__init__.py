"""The matching of a connection: its state, how users change it, and the previews of its rows.

The rules of a matching, without a database, are in `mapping`.
"""
