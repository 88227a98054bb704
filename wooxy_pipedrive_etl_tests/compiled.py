"""Lets the engines of one database kind share compiled statements.

SQLAlchemy compiles each statement once per engine, and each test has its own engine; without sharing, compiling takes a
sixth of the test time.
"""

from __future__ import annotations

from typing import Any
from unittest import mock

import sqlalchemy as sa
from sqlalchemy.util import LRUCache

from wooxy_pipedrive_etl.store import database

_ENOUGH = 3_000


class _Shared(LRUCache[Any, Any]):
    """Uses the kind of dialect as the first part of each key, instead of the dialect itself."""

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get((type(key[0]), *key[1:]), default)

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__((type(key[0]), *key[1:]), value)


def share_compiled_statements() -> None:
    """Applies to every engine the product opens from now on."""
    shared = _Shared(_ENOUGH)

    def create_engine(*args: Any, **options: Any) -> sa.Engine:
        engine = sa.create_engine(*args, **options)
        engine.update_execution_options(compiled_cache=shared)
        return engine

    mock.patch.object(database, "create_engine", create_engine).start()
