"""Servers for tests that run in the process: no port, no patching, and the real engine.

A *transport* of this module is a connector: pass it to ``Session(connector=...)``, or replace the
whole network by it with ``mount()`` or ``mock()``. Requests then pass through the whole engine,
over a connection in memory, to a function or a table of routes (``MockTransport``), or to an
application (``WSGITransport``, ``ASGITransport``, ``AiohttpTransport``).

With pytest, the fixture ``syncclient_mock`` is available as soon as syncclient is installed.
"""

from ._routes import Route, Routes, UnmatchedRequestError
from ._transports import (
    AiohttpTransport,
    ASGITransport,
    InProcessConnector,
    MockTransport,
    WSGITransport,
    mock,
    mount,
)
from ._values import Gate, MockReply, MockRequest

__all__ = (
    "ASGITransport",
    "AiohttpTransport",
    "Gate",
    "InProcessConnector",
    "MockReply",
    "MockRequest",
    "MockTransport",
    "Route",
    "Routes",
    "UnmatchedRequestError",
    "WSGITransport",
    "mock",
    "mount",
)

# Where users import them from, not the private module that defines them.
for _name in __all__:
    globals()[_name].__module__ = __name__
del _name
