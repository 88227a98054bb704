"""SQLAlchemy compiles each statement once for each engine, and each test has an engine of its own: so that the tests
don't spend a sixth of their time on it, the engines of one kind of database share what is compiled."""

from __future__ import annotations

from typing import Any
from unittest import mock

import sqlalchemy as sa
from sqlalchemy.util import LRUCache

from wooxy_pipedrive_etl.store import database

_ENOUGH = 3_000


class _Shared(LRUCache[Any, Any]):
    """By the kind of dialect in place of the dialect, which is the first part of each key."""

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get((type(key[0]), *key[1:]), default)

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__((type(key[0]), *key[1:]), value)


def share_compiled_statements() -> None:
    """From now on, for every engine that the product opens."""
    shared = _Shared(_ENOUGH)

    def create_engine(*args: Any, **options: Any) -> sa.Engine:
        engine = sa.create_engine(*args, **options)
        engine.update_execution_options(compiled_cache=shared)
        return engine

    mock.patch.object(database, "create_engine", create_engine).start()
