"""The command line, `wooxy-pipedrive`: reads arguments and prints. Not here: the work itself (the packages that it
calls).

Each command imports what it needs, so that `--help` and `status` do not wait for pandas, Dagster or a web server to
load.
"""

from .main import app, main

__all__ = ["app", "main"]
