"""The application's process: `python -m tests.servers`. It ends when its standard input does."""

import argparse
import asyncio
import json
import os
import signal
import ssl
import threading
from pathlib import Path

from aiohttp import web

from .app import make_app, make_control_app
from .journal import Journal


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.servers", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address")
    parser.add_argument("--port", type=int, default=0, help="0 (default): the system chooses")
    parser.add_argument("--unix", type=Path, help="listen on this socket path instead")
    parser.add_argument("--cert", type=Path, help="PEM chain: serve TLS")
    parser.add_argument("--key", type=Path, help="PEM key of the certificate")
    options = parser.parse_args()
    # Ctrl-C reaches the whole foreground group; the parent decides, and its end is our end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        import uvloop
    except ImportError:
        asyncio.run(_serve(options))
    else:
        uvloop.run(_serve(options))


async def _serve(options: argparse.Namespace) -> None:
    stopped = asyncio.Event()
    _watch_stdin(asyncio.get_running_loop(), stopped)
    journal = Journal()
    runner = web.AppRunner(
        make_app(journal), access_log=None, handler_cancellation=True, shutdown_timeout=0.5
    )
    control = web.AppRunner(make_control_app(journal), access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    await control.setup()
    assert runner.server is not None
    _count_connections(runner.server, journal)
    tls = _tls_context(options.cert, options.key) if options.cert else None
    site: web.BaseSite
    if options.unix:
        site = web.UnixSite(runner, options.unix, ssl_context=tls)
    else:
        site = web.TCPSite(runner, options.host, options.port, ssl_context=tls, backlog=1024)
    await site.start()
    await web.TCPSite(control, "127.0.0.1", 0).start()
    ready = {
        "port": None if options.unix else runner.addresses[0][1],
        "control_port": control.addresses[0][1],
    }
    print(json.dumps(ready), flush=True)  # noqa: T201  # the parent reads this line
    await stopped.wait()
    await control.cleanup()
    await runner.cleanup()


def _tls_context(cert: Path, key: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    return context


def _count_connections(server: web.Server, journal: Journal) -> None:
    """Tell the journal of every connection, those that never send a request included."""
    made, lost = server.connection_made, server.connection_lost

    def connection_made(handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        journal.connection_made(handler)
        made(handler, transport)

    def connection_lost(handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        journal.connection_lost(handler)
        lost(handler, exc)

    # aiohttp has no hook below the request; its protocol calls these two on the server object.
    server.connection_made = connection_made  # type: ignore[method-assign]  # see above
    server.connection_lost = connection_lost  # type: ignore[method-assign]  # see above


def _watch_stdin(loop: asyncio.AbstractEventLoop, stopped: asyncio.Event) -> None:
    """Stop at the end of standard input: it comes however the parent died, SIGKILL included."""

    def watch() -> None:
        while os.read(0, 4096):  # unbuffered: a buffered read would hold a lock at exit
            pass
        loop.call_soon_threadsafe(stopped.set)

    threading.Thread(target=watch, name="stdin-watch", daemon=True).start()


if __name__ == "__main__":
    main()
