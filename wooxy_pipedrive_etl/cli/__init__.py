"""The command line, `wooxy-pipedrive`: reads arguments and prints; what is done is done in the packages below.

Each command imports what it needs by itself: `--help` and `status` do not wait until pandas, Dagster or a web server is
loaded.
"""

from .main import app, main

__all__ = ["app", "main"]
