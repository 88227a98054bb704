"""What a connection is, and what users do with it: connect, credentials, the OAuth app, settings, webhooks, the token
budget, requested runs, and its field catalogue.

Not here: what a run does (`sync`), its matching (`matching`), and the rows themselves (`store`).
"""
