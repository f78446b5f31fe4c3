"""Servers for tests that live in the process: no port, no patching, and the real engine.

A *transport* of this module is a connector: give it to ``Session(connector=...)``, or put it
in the place of the whole network with ``mount()`` or ``mock()``. Requests then go the whole way
through the engine, over a connection in memory, to a function or a table of routes
(``MockTransport``), or to an application (``WSGITransport``, ``ASGITransport``,
``AiohttpTransport``).

With pytest, the fixture ``syncclient_mock`` is there as soon as syncclient is installed.
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

# Where users find them, and not the private module they were written in.
for _name in __all__:
    globals()[_name].__module__ = __name__
del _name
