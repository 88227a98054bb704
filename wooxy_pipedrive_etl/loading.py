"""Reduces what large libraries cost besides their own code: Python collects garbage again and again while they are
loaded, and goes through all of them once more when the program ends. It finds none, and this took a third of a run with
nothing to do."""

from __future__ import annotations

import atexit
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """For imports of large libraries: no garbage collection while they are loaded, and none later among the objects
    that they made."""
    was_enabled, modules = gc.isenabled(), len(sys.modules)
    gc.disable()
    try:
        yield
    finally:
        # If everything was loaded before, other objects live now besides those of the libraries.
        if len(sys.modules) > modules:
            gc.freeze()
        if was_enabled:
            gc.enable()


def end_quickly() -> None:
    """No garbage collection when the program ends: the system takes back all memory anyway."""
    atexit.unregister(gc.freeze)
    atexit.register(gc.freeze)
