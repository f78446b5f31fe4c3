"""WebSocketApp, beside websocket-client's own: what each calls, when, and with what."""

import contextlib
import gc
import importlib
import inspect
import os
import queue
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

import syncclient
from syncclient import websocket as ours
from tests.bounds import BOUND, wait_until
from tests.children import RunChild
from tests.servers import ws_script as ws
from tests.servers.proxies import socks_proxy
from tests.servers.raw import RawConnection, StartRawServer

pytestmark = pytest.mark.timeout(60)

theirs = importlib.import_module("websocket")  # it has no types

#: websocket-client leaves it to the garbage collector to close a socket that the server closed.
_LEAVES_SOCKETS = (
    pytest.mark.leaks("it is not ours"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
)
BOTH = pytest.mark.parametrize(
    "module",
    [pytest.param(theirs, marks=_LEAVES_SOCKETS, id="theirs"), pytest.param(ours, id="ours")],
)


class Server:
    """A server of `websockets`: what it is asked, and what came to its handler."""

    def __init__(self, **options: Any) -> None:
        self.handler: Callable[[ServerConnection], None] = echo
        self.connections: list[ServerConnection] = []
        self._server = serve(self._handle, "127.0.0.1", 0, close_timeout=1, **options)
        self._thread = threading.Thread(target=self._server.serve_forever, name="websockets")
        self._thread.start()
        scheme = "wss" if "ssl" in options else "ws"
        self.url = f"{scheme}://127.0.0.1:{self._server.socket.getsockname()[1]}/"

    def _handle(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        with contextlib.suppress(ConnectionClosed):
            self.handler(connection)

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join(BOUND)
        # A pipe in older versions, a pair of sockets in newer ones.
        ends: list[socket.socket | int] = [
            self._server.shutdown_watcher,
            self._server.shutdown_notifier,
        ]
        for end in ends:
            os.close(end) if isinstance(end, int) else end.close()


def echo(connection: ServerConnection) -> None:
    for message in connection:
        connection.send(message)


@pytest.fixture
def start_server() -> Iterator[Callable[..., Server]]:
    """Starts servers that echo until their handler is another."""
    with contextlib.ExitStack() as stack:

        def start(**options: Any) -> Server:
            server = Server(**options)
            stack.callback(server.stop)
            return server

        yield start


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    """A server that echoes until its handler is another."""
    return start_server()


@pytest.fixture(autouse=True)
def garbage_is_collected() -> Iterator[None]:
    """Sockets that websocket-client has left are closed in the test that they are of."""
    yield
    gc.collect()


@pytest.fixture
def free_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


class Seen:
    """What an app's callbacks were called with, in their order."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self._threads: set[int] = set()
        self._came: queue.Queue[tuple[str, Any]] = queue.Queue()

    def note(self, name: str, then: Callable[..., object] | None = None) -> Any:
        def callback(app: Any, *args: Any) -> None:
            self._threads.add(threading.get_ident())
            call = name, args[0] if len(args) == 1 else args
            self.calls.append(call)
            self._came.put(call)
            if then is not None:
                then(app, *args)

        return callback

    def wait(self, name: str) -> Any:
        """Block until the callback `name` is called, and return its argument."""
        while True:
            came, args = self._came.get(timeout=BOUND)
            if came == name:
                return args

    def names(self) -> list[str]:
        return [name for name, _ in self.calls]


def app_of(module: Any, server: Server, seen: Seen, **callbacks: Any) -> Any:
    names = ("on_open", "on_message", "on_error", "on_close")
    given = {name: seen.note(name, callbacks.pop(name, None)) for name in names}
    return module.WebSocketApp(server.url, **given, **callbacks)


@contextlib.contextmanager
def running(app: Any, **options: Any) -> Iterator[threading.Thread]:
    """Run an app in a thread, as programs do; at the end it is closed.

    websocket-client's may need ten seconds to notice that, but for a callback that closes.
    """
    thread = threading.Thread(target=app.run_forever, kwargs=options, daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        app.close()
        thread.join(2 * BOUND)
        assert not thread.is_alive()


def close_at_bye(app: Any, message: Any) -> None:
    """Close the app, which is the callback of a message, if the message says so."""
    if message == "bye":
        app.close()


# -- the same as theirs ---------------------------------------------------------------


@BOTH
def test_messages_and_close_from_a_callback(module: Any, server: Server) -> None:
    """Callbacks get what they are documented to get, and may send and close."""
    seen = Seen()

    def on_message(app: Any, message: Any) -> None:
        if isinstance(message, bytes):
            app.close()
        else:
            app.send_bytes(b"\x01")

    app = app_of(
        module,
        server,
        seen,
        on_open=lambda app: app.send("hello"),
        on_message=on_message,
        on_data=seen.note("on_data"),
    )
    assert app.run_forever() is False
    assert seen.calls == [
        ("on_open", ()),
        ("on_data", ("hello", 1, True)),
        ("on_message", "hello"),
        ("on_data", (b"\x01", 2, True)),
        ("on_message", b"\x01"),
        ("on_close", (1000, None)),
    ]
    assert len(seen._threads) == 1
    assert app.sock is None
    assert not app.keep_running


@BOTH
@pytest.mark.parametrize(
    ("code", "reason", "told"),
    [
        (4000, "enough", "Connection closed (code 4000): enough"),
        (1000, None, "Connection closed normally (code 1000)"),
        (None, None, "Connection closed"),
    ],
)
def test_the_server_closes(
    module: Any, code: int | None, reason: str | None, told: str, raw_server: StartRawServer
) -> None:
    """A close frame is told to on_error, and code and reason to on_close."""

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        text = (reason or "").encode()
        conn.send(ws.frame(8) if code is None else ws.close_frame(code, text))
        conn.read_to_end()

    seen = Seen()
    given = {name: seen.note(name) for name in ("on_open", "on_error", "on_close")}
    url = raw_server(script).url.replace("http", "ws")
    assert module.WebSocketApp(url, **given).run_forever() is False
    assert seen.names() == ["on_open", "on_error", "on_close"]
    error = seen.calls[1][1]
    assert type(error).__name__ == "WebSocketConnectionClosedException"
    assert str(error) == told
    assert (error.status_code, error.reason) == (code, reason)
    assert seen.calls[2][1] == (code, reason)


@BOTH
def test_a_connection_that_is_lost(module: Any, raw_server: StartRawServer) -> None:
    """Without a close frame it is an error, and on_close has neither code nor reason."""

    def script(conn: RawConnection) -> None:
        ws.accept(conn)

    server = raw_server(script)
    seen = Seen()
    given = {name: seen.note(name) for name in ("on_open", "on_error", "on_close")}
    url = server.url.replace("http", "ws")
    assert module.WebSocketApp(url, **given).run_forever() is True
    assert seen.names() == ["on_open", "on_error", "on_close"]
    assert seen.calls[2][1] == (None, None)


@BOTH
def test_a_server_that_is_not_there(module: Any, server: Server, free_port: int) -> None:
    """The first attempt that fails is an error, and the end."""
    seen = Seen()
    app = app_of(module, server, seen)
    app.url = f"ws://127.0.0.1:{free_port}/"
    assert app.run_forever() is True
    assert seen.names() == ["on_error", "on_close"]
    assert isinstance(seen.calls[0][1], ConnectionRefusedError | OSError)


@BOTH
def test_errors_of_callbacks(module: Any, server: Server) -> None:
    """What a callback raises goes to on_error, and the app goes on."""
    seen = Seen()
    fault = ValueError("of the program")

    def on_message(app: Any, message: str) -> None:
        if message == "first":
            raise fault
        app.close()

    def on_open(app: Any) -> None:
        app.send("first")
        app.send("second")

    app_of(module, server, seen, on_open=on_open, on_message=on_message).run_forever()
    assert seen.calls[1:4] == [
        ("on_message", "first"),
        ("on_error", fault),
        ("on_message", "second"),
    ]


@BOTH
def test_threads_that_send(module: Any, server: Server) -> None:
    """Other threads send and close while the app runs; afterwards sending is an error."""
    seen = Seen()
    app = app_of(module, server, seen, on_message=close_at_bye)
    with pytest.raises(module.WebSocketConnectionClosedException):
        app.send("too early")
    with running(app):
        seen.wait("on_open")
        senders = [
            threading.Thread(target=lambda n=n: [app.send(f"{n}-{i}") for i in range(20)])
            for n in range(4)
        ]
        for sender in senders:
            sender.start()
        came = [seen.wait("on_message") for _ in range(80)]
        assert sorted(came) == sorted(f"{n}-{i}" for n in range(4) for i in range(20))
        for sender in senders:
            sender.join()
        app.send("bye")
        assert seen.wait("on_close") == (1000, None)
    with pytest.raises(module.WebSocketConnectionClosedException):
        app.send("too late")


@BOTH
def test_an_app_runs_again(module: Any, server: Server) -> None:
    """run_forever in a loop of the program's own: each run is a new connection."""
    server.handler = lambda connection: connection.close(1001)
    seen = Seen()
    app = app_of(module, server, seen)
    assert [app.run_forever() for _ in range(2)] == [False, False]
    assert seen.names() == ["on_open", "on_error", "on_close"] * 2


@BOTH
def test_reconnect(module: Any, server: Server) -> None:
    """With reconnect= a new connection follows the one that ended, until close()."""
    server.handler = lambda connection: (
        echo(connection) if len(server.connections) > 2 else connection.close(1012)
    )
    seen = Seen()
    app = app_of(
        module, server, seen, on_message=close_at_bye, on_reconnect=seen.note("on_reconnect")
    )
    with running(app, reconnect=1):
        for _ in range(2):
            seen.wait("on_reconnect")
        app.send("still here")
        assert seen.wait("on_message") == "still here"
        app.send("bye")
        seen.wait("on_close")
    assert seen.names().count("on_open") == 1
    assert seen.names().count("on_close") == 1


@BOTH
def test_what_is_sent_in_the_handshake(module: Any, start_server: Callable[..., Server]) -> None:
    """header=, cookie=, subprotocols=, host= and origin= are what the server gets."""
    server = start_server(subprotocols=["chat"])
    seen = Seen()
    app = app_of(
        module,
        server,
        seen,
        on_open=lambda app: app.send("bye"),
        on_message=close_at_bye,
        header=lambda: ["X-One: 1", "Authorization: Bearer a:b"],
        cookie="a=b; c=d",
        subprotocols=["chat", "other"],
    )
    app.run_forever(origin="https://example.org", host="example.net")
    app.header = {"X-Two": "2", "X-None": None} if module is ours else {"X-Two": "2"}
    app.run_forever()
    wait_until(lambda: len(server.connections) == 2, "the server is asked")
    first, second = (connection.request.headers for connection in server.connections)  # type: ignore[union-attr]
    assert (first["X-One"], first["Authorization"]) == ("1", "Bearer a:b")
    assert first["Cookie"] == "a=b; c=d"
    assert first["Sec-WebSocket-Protocol"].replace(" ", "") == "chat,other"
    assert (first["Origin"], first.get_all("Host")) == ("https://example.org", ["example.net"])
    assert second["X-Two"] == "2"
    assert second["Origin"] == server.url.replace("ws", "http").rstrip("/")
    app.run_forever(suppress_origin=True)
    wait_until(lambda: len(server.connections) == 3, "the server is asked")
    assert "Origin" not in server.connections[2].request.headers  # type: ignore[union-attr]


@BOTH
@pytest.mark.parametrize("how", ["ca_certs", "context", "cert_reqs"])
def test_sslopt(
    module: Any,
    how: str,
    ca: trustme.CA,
    tmp_path: Path,
    start_server: Callable[..., Server],
) -> None:
    """Certificates are verified as sslopt says."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    bundle = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(str(bundle))
    server = start_server(ssl=context)
    sslopt = {
        "ca_certs": {"ca_certs": str(bundle)},
        "context": {"context": ssl.create_default_context(cafile=str(bundle))},
        "cert_reqs": {"cert_reqs": ssl.CERT_NONE, "check_hostname": False},
    }[how]
    seen = Seen()
    app = app_of(module, server, seen, on_open=lambda app: app.send("bye"), on_message=close_at_bye)
    assert app.run_forever(sslopt=sslopt) is False
    assert app.run_forever() is True
    assert isinstance(seen.calls[3][1], ssl.SSLError | syncclient.ClientSSLError)


@BOTH
def test_pings_and_pongs(module: Any, server: Server) -> None:
    """Pings are answered and told; so are the pongs to our own."""

    def handler(connection: ServerConnection) -> None:
        assert connection.ping(b"theirs").wait(BOUND)
        connection.send("answered")
        echo(connection)

    server.handler = handler
    seen = Seen()
    app = app_of(module, server, seen, on_ping=seen.note("on_ping"), on_pong=seen.note("on_pong"))
    with running(app, ping_interval=0.2, ping_timeout=0.1):
        assert seen.wait("on_ping") == b"theirs"
        assert seen.wait("on_message") == "answered"
        assert seen.wait("on_pong") == b""
    assert "on_error" not in seen.names()


@pytest.mark.parametrize("name", ["__init__", "run_forever"])
def test_arguments_are_theirs(name: str) -> None:
    """Names, order and defaults are websocket-client's, so that positional arguments fit."""

    def arguments(module: Any) -> list[tuple[str, Any]]:
        parameters = inspect.signature(getattr(module.WebSocketApp, name)).parameters.values()
        return [(each.name, each.default) for each in parameters if each.kind != each.KEYWORD_ONLY]

    assert arguments(ours) == arguments(theirs)


# -- ours alone -----------------------------------------------------------------------


def test_close_in_another_thread(server: Server) -> None:
    """close() in another thread, or in on_open, ends the run at once, with the peer's code."""
    seen = Seen()
    with running(app_of(ours, server, seen)) as thread:
        seen.wait("on_open")
    assert not thread.is_alive()
    assert seen.names() == ["on_open", "on_close"]
    assert app_of(ours, server, seen, on_open=lambda app: app.close()).run_forever() is False
    assert seen.calls[1] == seen.calls[3] == ("on_close", (1000, None))


def test_keep_running_may_be_set(server: Server) -> None:
    """keep_running = False ends the run, and a second run_forever is refused until then."""
    seen = Seen()
    app = app_of(ours, server, seen)
    with running(app) as thread:
        seen.wait("on_open")
        assert app.ready()
        with pytest.raises(RuntimeError, match="running already"):
            app.run_forever()
        app.keep_running = False
        thread.join(BOUND)
        assert not thread.is_alive()
    assert seen.wait("on_close") == (1000, None)


def test_on_close_may_run_the_app_again(server: Server) -> None:
    """Programs that reconnect by themselves do it in on_close."""
    server.handler = lambda connection: connection.close(1012)
    seen = Seen()

    def on_close(app: Any, code: int, reason: str) -> None:
        if len(server.connections) < 3:
            app.run_forever()

    app_of(ours, server, seen, on_close=on_close).run_forever()
    assert seen.names() == ["on_open", "on_error", "on_close"] * 3


def test_close_may_be_called_at_any_time(server: Server) -> None:
    """Before a run, twice, in on_error and in on_close: nothing is raised, nothing is left."""
    server.handler = lambda connection: connection.close(1012)
    seen = Seen()

    def close(app: Any, *args: Any) -> None:
        app.close()
        app.close(status=1001, reason=b"twice")

    app = app_of(ours, server, seen, on_error=close, on_close=close)
    app.close()
    assert app.run_forever(reconnect=1000) is False
    assert seen.names() == ["on_open", "on_error", "on_close"]


def test_many_threads_close_while_messages_come(server: Server) -> None:
    """Whoever is first closes; the others return, and the run ends once."""

    def flood(connection: ServerConnection) -> None:
        while True:
            connection.send("more")

    server.handler = flood
    seen = Seen()
    app = app_of(ours, server, seen)
    with running(app) as thread:
        for _ in range(20):
            seen.wait("on_message")
        closers = [threading.Thread(target=app.close) for _ in range(8)]
        for closer in closers:
            closer.start()
        for closer in (*closers, thread):
            closer.join(BOUND)
            assert not closer.is_alive()
    assert seen.names().count("on_close") == 1
    assert "on_error" not in seen.names()


def test_close_ends_an_attempt_to_connect(raw_server: StartRawServer) -> None:
    """close() while the handshake hangs ends run_forever, without an error."""
    asked = threading.Event()

    def script(conn: RawConnection) -> None:
        conn.read_head()
        asked.set()
        conn.read_to_end()

    seen = Seen()
    url = raw_server(script).url.replace("http", "ws")
    app = ours.WebSocketApp(url, on_error=seen.note("on_error"), on_close=seen.note("on_close"))
    with running(app, reconnect=5):
        assert asked.wait(BOUND)
    assert seen.calls == [("on_close", (None, None))]


def test_close_ends_the_pause_between_two_attempts(server: Server, free_port: int) -> None:
    """close() does not wait for the next attempt; each one that failed is told."""
    seen = Seen()
    app = app_of(ours, server, seen)
    app.url = f"ws://127.0.0.1:{free_port}/"
    with running(app, reconnect=1000):
        seen.wait("on_error")
    assert seen.names() == ["on_error", "on_close"]


def test_a_refusal_for_good_ends_reconnecting(raw_server: StartRawServer) -> None:
    """A 403 is no passing fault: it is told once, and reconnect= does not hammer the server."""

    def script(conn: RawConnection) -> None:
        conn.read_head()
        conn.respond(status="403 Forbidden")

    seen = Seen()
    url = raw_server(script).url.replace("http", "ws")
    app = ours.WebSocketApp(url, on_error=seen.note("on_error"), on_close=seen.note("on_close"))
    assert app.run_forever(reconnect=1000) is True
    assert seen.names() == ["on_error", "on_close"]
    assert seen.calls[0][1].status == 403


def test_a_silent_server_is_given_up(raw_server: StartRawServer) -> None:
    """Where no pong comes within ping_timeout, that is the error."""

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        conn.read_to_end()

    seen = Seen()
    url = raw_server(script).url.replace("http", "ws")
    app = ours.WebSocketApp(url, on_error=seen.note("on_error"), on_close=seen.note("on_close"))
    assert app.run_forever(ping_interval=0.2, ping_timeout=0.1) is True
    assert "No PONG" in str(seen.calls[0][1])


def test_a_session_of_ones_own(server: Server) -> None:
    """session= gives headers and cookies, and stays open."""
    seen = Seen()
    with syncclient.Session(headers={"X-Session": "1"}) as session:
        app = app_of(ours, server, seen, on_open=lambda app: app.close(), session=session)
        assert app.run_forever() is False
        assert not session.closed
    wait_until(lambda: server.connections, "the server is told")
    assert server.connections[0].request.headers["X-Session"] == "1"  # type: ignore[union-attr]


def test_proxies(server: Server, raw_server: StartRawServer) -> None:
    """http_proxy_host and its kin name an HTTP or SOCKS proxy, with credentials."""

    def script(conn: RawConnection) -> None:
        request = conn.read_head()
        asked.append((request.method, request.header("Proxy-Authorization")))
        conn.respond(status="403 Forbidden")

    asked: list[tuple[str, str]] = []
    seen = Seen()
    app = app_of(ours, server, seen, on_open=lambda app: app.close())
    port = raw_server(script).url.rpartition(":")[2].rstrip("/")
    assert app.run_forever(
        http_proxy_host="127.0.0.1", http_proxy_port=str(port), http_proxy_auth=("me", "p@ss")
    )
    assert asked == [("CONNECT", "Basic bWU6cEBzcw==")]
    with socks_proxy(5, ("me", "p@ss:word")) as proxy:
        assert not app.run_forever(
            proxy_type="socks5h",
            http_proxy_host="127.0.0.1",
            http_proxy_port=proxy.port,
            http_proxy_auth=("me", "p@ss:word"),
        )
    assert len(proxy.asked) == 1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"sockopt": [(1, 2, 3)]}, "socket_factory"),
        ({"ping_payload": "x"}, r"app\.sock\.ping"),
        ({"http_no_proxy": ["a"]}, "NO_PROXY"),
        ({"dispatcher": object()}, "in a separate thread"),
        ({"suppress_host": True}, "HTTP/1.1 needs"),
        ({"http_proxy_host": "a"}, "needs http_proxy_port"),
        ({"http_proxy_host": "a", "http_proxy_port": 1, "proxy_type": "x"}, "one of http, socks4"),
        ({"sslopt": {"ssl_version": 2}}, r"sslopt\['ssl_version'\] is not supported"),
        ({"ping_interval": -1}, "ping_interval >= 0"),
        ({"ping_timeout": 0}, "ping_timeout > 0"),
        ({"ping_interval": 1, "ping_timeout": 2}, "ping_interval > ping_timeout"),
        ({"reconnect": -1}, "reconnect must be"),
    ],
    ids=lambda each: "+".join(each) if isinstance(each, dict) else "",
)
def test_what_cannot_be_honoured(options: dict[str, Any], told: str, server: Server) -> None:
    """It is an error that says what to write, before anything is sent or called."""
    seen = Seen()
    app = app_of(ours, server, seen)
    with pytest.raises(ValueError, match=told):
        app.run_forever(**options)
    assert not seen.calls
    for name in ("on_cont_message", "get_mask_key", "socket"):
        with pytest.raises(ValueError, match=f"{name} is not supported"):
            app_of(ours, server, seen, **{name: print})


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
def test_ctrl_c(server: Server, run_child: RunChild) -> None:
    """Ctrl-C closes the connection, calls on_error and on_close, and is raised."""
    child = run_child(
        "import os, signal, sys\n"
        "from syncclient.websocket import WebSocketApp\n"
        "app = WebSocketApp(\n"
        "    sys.argv[1],\n"
        "    on_open=lambda app: app.send('go'),\n"
        "    on_message=lambda app, text: os.kill(os.getpid(), signal.SIGINT),\n"
        "    on_error=lambda app, error: print(type(error).__name__),\n"
        "    on_close=lambda app, code, reason: print(code, reason),\n"
        ")\n"
        "try:\n"
        "    app.run_forever()\n"
        "except KeyboardInterrupt:\n"
        "    print('raised', app.sock)\n",
        server.url,
    )
    assert (child.stdout, child.stderr) == (
        "KeyboardInterrupt\nNone None\nraised None\n",
        "",
    ), child
    wait_until(lambda: server.connections, "the server is asked")
    wait_until(lambda: server.connections[0].close_code is not None, "the server is told")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
