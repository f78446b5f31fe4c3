"""Missing private names of aiohttp: continue with fewer features, and log a warning."""

from __future__ import annotations

import functools
import logging

import aiohttp

_log = logging.getLogger("syncclient")


@functools.cache
def warn_without(name: str, consequence: str) -> None:
    """Log a warning that the engine lacks ``name``. Once per process and name.

    Args:
        name: the private name, after the class or module that had it.
        consequence: what works less well without it.
    """
    _log.warning(
        "aiohttp %s has no %s: %s. Please use a newer syncclient.",
        aiohttp.__version__,
        name,
        consequence,
    )


def unsupported(name: str, what: str) -> RuntimeError:
    """Return the error of a feature that needs ``name``, which the engine lacks."""
    return RuntimeError(
        f"aiohttp {aiohttp.__version__} has no {name}, which {what} needs: "
        "please use a newer syncclient"
    )
