"""The matching of a connection: how it stands, how people change it, and the previews of its rows.

The rules of a matching, without a database, are in `mapping`.
"""
