"""What a connection is, and what people do with it: connect, credentials, the OAuth app, settings, webhooks, the token
budget, runs that are asked for, and its field catalogue.

Not here: what a run does (`sync`), and the rows themselves (`store`).
"""
