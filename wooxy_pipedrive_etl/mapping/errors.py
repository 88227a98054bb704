"""The error for a matching file; a module of its own, so that code that catches it need not load a YAML parser."""

from __future__ import annotations


class MatchingFileError(ValueError):
    """The file is not an importable matching. `errors`: one sentence each, in the file's order."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors
