"""WebSockets with other people's servers: `websockets`, and uvicorn with both its protocols."""

import os
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import trustme
import uvicorn
from aiohttp import WSMsgType
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

import syncclient
from tests import autobahn_client
from tests.servers.process import AppServer

pytestmark = pytest.mark.timeout(30)

WAIT = 20.0

# Larger than a frame's short lengths, than a socket's buffers, and than what compresses at once.
SIZES = [0, 1, 125, 126, 65535, 65536, 1_000_000]


@contextmanager
def websockets_server(
    handler: Callable[[ServerConnection], None], compression: str | None = None
) -> Iterator[str]:
    """`websockets`, threaded. It pings every tenth of a second, and is quick to give up."""
    server = serve(
        handler,
        "127.0.0.1",
        0,
        compression=compression,
        max_size=2**24,
        ping_interval=0.1,
        ping_timeout=1.0,
    )
    thread = threading.Thread(target=server.serve_forever, name="websockets-server")
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.socket.getsockname()[1]}"
    finally:
        server.shutdown()
        thread.join(WAIT)
        # It never closes what wakes it: a pipe in older versions, a pair of sockets in newer.
        ends: list[socket.socket | int] = [server.shutdown_watcher, server.shutdown_notifier]
        for end in ends:
            os.close(end) if isinstance(end, int) else end.close()


def echo(connection: ServerConnection) -> None:
    try:
        for message in connection:
            connection.send(message)
    except ConnectionClosed:
        pass


Message = MutableMapping[str, Any]  # ASGI's own type


@contextmanager
def uvicorn_server(protocol: str, deflate: bool) -> Iterator[str]:
    """uvicorn in a thread, with one of its WebSocket protocols: an ASGI application that echoes."""
    up = threading.Event()

    async def application(
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            up.set()
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            if message.get("text") == "close":
                await send({"type": "websocket.close", "code": 4321, "reason": "as you wish"})
                return
            await send({**message, "type": "websocket.send"})

    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        application,
        ws=protocol,
        ws_per_message_deflate=deflate,
        ws_max_size=2**24,
        log_level="critical",
        loop="asyncio",
        lifespan="on",
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), name="uvicorn")
    thread.start()
    try:
        assert up.wait(WAIT), "uvicorn did not start"
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(WAIT)
        listener.close()


PEERS = {
    "websockets": lambda: websockets_server(echo),
    "websockets-deflate": lambda: websockets_server(echo, "deflate"),
    "uvicorn-websockets": lambda: uvicorn_server("websockets-sansio", deflate=False),
    "uvicorn-websockets-deflate": lambda: uvicorn_server("websockets-sansio", deflate=True),
    "uvicorn-wsproto": lambda: uvicorn_server("wsproto", deflate=False),
    "uvicorn-wsproto-deflate": lambda: uvicorn_server("wsproto", deflate=True),
}


@pytest.fixture(scope="module", params=["aiohttp", *PEERS])
def peer(request: pytest.FixtureRequest, app: AppServer) -> Iterator[str]:
    """The URL of an echo."""
    with ExitStack() as stack:
        if request.param == "aiohttp":
            yield f"{app.url}/echo"
        else:
            url = stack.enter_context(PEERS[request.param]())
            # Once it has answered, it has opened all that it opens, and no_leaks knows of it.
            with syncclient.Session() as session:
                session.ws_connect(url).close()
            yield url


@pytest.mark.parametrize("compress", [0, 15], ids=["plain", "compress"])
def test_all_sizes_come_back_whole(client: syncclient.Session, peer: str, compress: int) -> None:
    """Text and bytes of every size come back as they were, compressed where both agree to it."""
    with client.ws_connect(peer, compress=compress) as ws:
        if not compress:
            assert ws.compress == 0
        for size in SIZES:
            text, data = ("äb" * size)[:size], bytes(range(256)) * (size // 256 + 1)
            ws.send_str(text)
            ws.send_bytes(data[:size])
            assert ws.receive_str(timeout=WAIT) == text
            assert ws.receive_bytes(timeout=WAIT) == data[:size]
    assert ws.close_code == 1000


def test_many_messages_keep_their_order(client: syncclient.Session, peer: str) -> None:
    """A thousand messages sent before the first is read come back in order."""
    with client.ws_connect(peer, compress=15) as ws:
        for number in range(1000):
            ws.send_json(number)
        assert [ws.receive_json(timeout=WAIT) for _ in range(1000)] == list(range(1000))


def test_compression_is_agreed_on_or_not_used(client: syncclient.Session) -> None:
    """Deflate takes both: asked for alone, it is off, and messages go plain."""
    for deflate in (False, True):
        with uvicorn_server("wsproto", deflate) as url, client.ws_connect(url, compress=12) as ws:
            assert bool(ws.compress) is deflate
            ws.send_str("hello " * 1000)
            assert ws.receive_str(timeout=WAIT) == "hello " * 1000


def test_the_peers_close_has_its_code_and_reason(client: syncclient.Session) -> None:
    """An ASGI application's close code and reason arrive as it gave them."""
    with (
        uvicorn_server("websockets-sansio", deflate=False) as url,
        client.ws_connect(url) as ws,
    ):
        ws.send_str("close")
        message = ws.receive(timeout=WAIT)
        assert message.type is WSMsgType.CLOSE
        assert (message.data, message.extra) == (4321, "as you wish")
        assert ws.close_code == 4321


def test_a_server_that_drops_silent_clients_keeps_us(client: syncclient.Session) -> None:
    """Ten of its pings pass while we do nothing for the socket, and then it still echoes."""
    pinged = threading.Semaphore(0)

    def handler(connection: ServerConnection) -> None:
        for _ in range(10):
            # What the library's own keepalive does, by our clock: one after the other.
            if not connection.ping().wait(1.0):
                connection.close(1011, "no pong")
                return
            pinged.release()
        for message in connection:
            connection.send(message)

    with websockets_server(handler) as url, client.ws_connect(url) as ws:
        for _ in range(10):
            assert pinged.acquire(timeout=WAIT)
        ws.send_str("still here")
        assert ws.receive_str(timeout=WAIT) == "still here"


def test_tls(tls_app: AppServer, ca: trustme.CA) -> None:
    """wss:// with a certificate authority of one's own; the transport tells the cipher."""
    context = ssl.create_default_context()
    ca.configure_trust(context)
    url = tls_app.url.replace("https", "wss")
    with syncclient.Session() as session, session.ws_connect(f"{url}/echo", ssl=context) as ws:
        ws.send_str("secret")
        assert ws.receive_str(timeout=WAIT) == "secret"
        assert ws.get_extra_info("cipher")[1].startswith("TLS")
    with syncclient.Session() as session, pytest.raises(syncclient.ClientConnectorCertificateError):
        session.ws_connect(f"{url}/echo")


def test_over_a_unix_socket(unix_app: tuple[AppServer, Any]) -> None:
    """The session's connector is the socket's connector."""
    app, path = unix_app
    connector = syncclient.UnixConnector(str(path))
    with syncclient.Session(connector=connector) as session:
        with session.ws_connect(f"{app.url}/echo") as ws:
            ws.send_str("local")
            assert ws.receive_str(timeout=WAIT) == "local"


def test_the_autobahn_driver_echoes_every_case() -> None:
    """The driver asks for the count, echoes each case, and has the report written."""
    asked: list[str] = []
    echoed: list[str | bytes] = []

    def fuzzing_server(connection: ServerConnection) -> None:
        assert connection.request is not None
        asked.append(connection.request.path)
        if connection.request.path == "/getCaseCount":
            connection.send("2")
        elif connection.request.path.startswith("/runCase"):
            for message in ("text", b"bytes"):
                connection.send(message)
                echoed.append(connection.recv(WAIT))

    with websockets_server(fuzzing_server) as url:
        assert autobahn_client.main([url.replace("http", "ws"), "an agent"]) == 0
    assert asked == [
        "/getCaseCount",
        "/runCase?case=1&agent=an%20agent",
        "/runCase?case=2&agent=an%20agent",
        "/updateReports?agent=an%20agent",
    ]
    assert echoed == ["text", b"bytes"] * 2
