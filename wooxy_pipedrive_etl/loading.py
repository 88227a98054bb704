"""What large libraries cost beside their own code: Python looks for garbage again and again while they are loaded, and
once more through all of them when the program ends. It finds none, and of a run with nothing to do it took a third."""

from __future__ import annotations

import atexit
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """For imports of large libraries: no search while they are loaded, and none among what they made later on."""
    was_enabled, modules = gc.isenabled(), len(sys.modules)
    gc.disable()
    try:
        yield
    finally:
        # Where all was loaded before, what lives now is not the libraries' alone.
        if len(sys.modules) > modules:
            gc.freeze()
        if was_enabled:
            gc.enable()


def end_quickly() -> None:
    """No search when the program ends: the system takes all memory back anyway."""
    atexit.unregister(gc.freeze)
    atexit.register(gc.freeze)
