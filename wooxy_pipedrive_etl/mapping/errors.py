"""What can go wrong with a matching file; a module of its own, so that who catches it need not load a YAML parser."""

from __future__ import annotations


class MatchingFileError(ValueError):
    """A file that is not a matching that can be imported. `errors`: one sentence each, in the file's order."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors
