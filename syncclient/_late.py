"""Imports that wait until somebody needs them, so that all other programs start without them.

An import holds a lock. If a process forks while another thread imports a module, the child
inherits a lock that is never released, and its own import of that module never returns. So a
fork waits until the imports made here are done. They belong into the caller's thread, before
its call crosses. What an ordinary request needs is imported with the package (``_preload.py``).
"""

from __future__ import annotations

import codecs
import contextlib
import importlib
import os
import threading

#: What anyio imports late: for tasks that await us, for WebSockets, and for threads.
ANYIO = ("anyio._backends._asyncio", "anyio.from_thread", "anyio.lowlevel", "anyio.to_thread")

#: Seconds that a fork waits, or another import. Both give up then, since a fork that never
#: returns would be worse than what it waits for: imports take milliseconds, and only an
#: interrupt at an unlucky moment, or a module that waits for the fork itself, leaves the lock
#: locked.
LIMIT = 5.0


class _ImportLock:
    """Held by a thread that imports, and by one that forks.

    A thread that has it may enter again: a signal handler may fork in the midst of an import.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire(timeout=LIMIT)

    def __exit__(self, *_: object) -> None:
        # It is not ours if we gave up, or are a child that was forked meanwhile.
        with contextlib.suppress(RuntimeError):
            self._lock.release()

    def renew(self) -> None:
        """Forget who has it. For the one thread of a forked child."""
        self._lock = threading.RLock()


IMPORTING = _ImportLock()
_loaded: set[str] = set()


def load(*modules: str) -> None:
    """Import the modules, except those that are not installed. Blocks while they are read."""
    if not _loaded.issuperset(modules):
        with IMPORTING:
            for module in modules:
                # Some are private: what has replaced one that is gone is imported on first use.
                with contextlib.suppress(ImportError):
                    importlib.import_module(module)
        _loaded.update(modules)


def load_codec(encoding: str) -> None:
    """Import the codec of that name, if there is one. Blocks while it is read."""
    if encoding not in _loaded:
        with IMPORTING:
            try:
                codecs.lookup(encoding)
            except LookupError:
                return
        _loaded.add(encoding)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=IMPORTING.__enter__,
        after_in_parent=IMPORTING.__exit__,
        after_in_child=IMPORTING.renew,
    )
