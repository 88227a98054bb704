"""The matching of a connection: its state, how users change it, and the previews of its rows.

Not here: the rules of a matching, which need no database (`mapping`).
"""
