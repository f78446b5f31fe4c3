"""The version, and the name that requests go by."""

from __future__ import annotations

import sys

import aiohttp

__version__ = "0.1.0"

#: The User-Agent of requests that have none of their own: ours, and the engine's.
USER_AGENT = (
    f"syncclient/{__version__} Python/{sys.version_info[0]}.{sys.version_info[1]} "
    f"aiohttp/{aiohttp.__version__}"
)
