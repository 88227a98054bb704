"""The command line, `wooxy-pipedrive`: reads arguments and prints; the packages below do the work.

Each command imports what it needs by itself, so that `--help` and `status` do not wait for pandas, Dagster or a web
server to load.
"""

from .main import app, main

__all__ = ["app", "main"]
