"""Who is measured.

To add a client, write ``clients/<name>.py`` with a function ``open_client(loop) -> Client`` and
enter it here. For one that needs an environment of its own (niquests, which replaces urllib3)
``environment`` says what to install there; its module may import nothing beyond the library and
``clients.base``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ClientSpec:
    """A client's name in the tables, its module here, the distributions whose versions count."""

    name: str
    module: str
    distributions: tuple[str, ...] = ()
    loop: str | None = None
    """Which event loop it runs: "uvloop", "asyncio", or None for a client without one."""
    environment: tuple[str, ...] = ()
    """What to install into an environment of its own; nothing for a client that shares ours."""


CLIENTS: tuple[ClientSpec, ...] = (
    ClientSpec("syncclient", "syncclient", ("syncclient", "aiohttp", "uvloop"), loop="uvloop"),
    ClientSpec("syncclient/asyncio", "syncclient", ("syncclient", "aiohttp"), loop="asyncio"),
    ClientSpec("aiohttp", "aiohttp", ("aiohttp", "uvloop"), loop="uvloop"),
    ClientSpec("aiohttp/asyncio", "aiohttp", ("aiohttp",), loop="asyncio"),
    ClientSpec("requests", "requests", ("requests", "urllib3")),
    ClientSpec("requests tuned", "requests_tuned", ("requests", "urllib3")),
    ClientSpec("requests on syncclient", "requests_mounted", ("requests", "syncclient")),
    ClientSpec("syncclient.requests", "requests_ours", ("requests", "syncclient")),
    ClientSpec("httpx", "httpx", ("httpx", "httpcore", "h11")),
    ClientSpec("httpx2", "httpx2", ("httpx2", "httpcore2")),
    ClientSpec("httpx2 on syncclient", "httpx2_ours", ("httpx2", "syncclient")),
    ClientSpec("urllib3", "urllib3", ("urllib3",)),
    ClientSpec("niquests", "niquests", ("niquests", "urllib3-future"), environment=("niquests",)),
    ClientSpec("pycurl", "pycurl", ("pycurl",)),
    ClientSpec("primp", "primp", ("primp",)),
    ClientSpec("websockets", "websockets", ("websockets",)),
    ClientSpec("websocket-client", "websocket_client", ("websocket-client",)),
    ClientSpec("threadsafe", "threadsafe", ("uvloop",), loop="uvloop"),
    ClientSpec("threadsafe/asyncio", "threadsafe", (), loop="asyncio"),
    ClientSpec("anyio portal", "anyio_portal", ("anyio", "uvloop"), loop="uvloop"),
    ClientSpec("anyio portal/asyncio", "anyio_portal", ("anyio",), loop="asyncio"),
    ClientSpec("bare socket", "bare_socket"),
)


def counterpart(peer: str, loop: str | None) -> str:
    """Return the name under which ``peer`` stands beside a client on ``loop``."""
    names = {spec.name for spec in CLIENTS}
    return f"{peer}/asyncio" if loop == "asyncio" and f"{peer}/asyncio" in names else peer
