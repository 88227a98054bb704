"""What the program serves over HTTP: the pages, and the receiver of Pipedrive's webhooks.

Not here: the data that pages show (`views`), what users' actions change (`connections`, `matching`), and the client of
Pipedrive's API (`pipedrive`).
"""
