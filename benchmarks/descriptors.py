"""Room for ten thousand connections in one process."""

from __future__ import annotations

import sys


def raise_descriptor_limit() -> None:
    """Take all the descriptors the system lets this process have; many give 1,024 at first."""
    if sys.platform == "win32":
        return
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):
        pass  # macOS calls the limit infinite and refuses it: what is there must do.
