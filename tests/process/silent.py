"""Ask for what fails, in every phase and in every way of giving up: `silent.py LOOP CASE CERT`.

Prints "done" at its end. What else is printed, on stderr, is noise.
"""

import asyncio
import contextlib
import gc
import random
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import syncclient
from syncclient import ClientTimeout, LoopThread, Session, TCPConnector
from syncclient._boundary.loop_thread import new_event_loop

Script = Callable[[socket.socket], object]

#: From an end within the first turn of the loop to one that comes later than the failure.
SECONDS = (0.0005, 0.001, 0.002, 0.004, 0.01, 0.05)
ROUNDS = 12
CERTIFICATE = sys.argv[3]


def drain(conn: socket.socket) -> None:
    while conn.recv(2**16):
        pass


def hang_up(conn: socket.socket) -> None:
    """Return at once: then it is closed."""


def reset(conn: socket.socket) -> None:
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def reset_late(conn: socket.socket) -> None:
    conn.recv(10)
    reset(conn)


def after_the_head(answer: bytes, *, ends: bool = False) -> Script:
    def script(conn: socket.socket) -> None:
        conn.recv(5000)
        conn.sendall(answer)
        if not ends:
            drain(conn)

    return script


def socks(answer: bytes, *, ends: bool = False) -> Script:
    def script(conn: socket.socket) -> None:
        conn.recv(100)
        conn.sendall(b"\x05\x00")
        after_the_head(answer, ends=ends)(conn)

    return script


def over_tls(script: Script) -> Script:
    def wrapped(conn: socket.socket) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE)
        with context.wrap_socket(conn, server_side=True) as secure:
            script(secure)

    return wrapped


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
ESTABLISHED = b"HTTP/1.1 200 OK\r\n\r\n"
FORBIDDEN = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
JOINED = b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50"

SERVERS: dict[str, Script] = {
    "hangs up": hang_up,
    "resets": reset,
    "resets late": reset_late,
    "says nothing": drain,
    "talks plainly": after_the_head(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "refuses the handshake": after_the_head(b"\x15\x03\x03\x00\x02\x02\x28"),
    "answers": over_tls(after_the_head(HEAD + b"ok")),
    "cuts the body": over_tls(after_the_head(HEAD, ends=True)),
    "resets behind TLS": over_tls(reset),
}
PROXIES: dict[str, Script] = {
    "hangs up": hang_up,
    "resets": reset,
    "refuses": after_the_head(FORBIDDEN, ends=True),
    "tunnels to silence": after_the_head(ESTABLISHED),
    "tunnels to the end": after_the_head(ESTABLISHED, ends=True),
    "tunnels to noise": after_the_head(ESTABLISHED + b"noise"),
}
SOCKS_PROXIES: dict[str, Script] = {
    "hangs up": hang_up,
    "wants a password": after_the_head(b"\x05\xff"),
    "refuses": socks(b"\x05\x05\x00\x01" + bytes(6)),
    "joins to silence": socks(JOINED),
    "joins to the end": socks(JOINED, ends=True),
    "joins to noise": socks(JOINED + b"noise\r\n"),
}


def serve(script: Script) -> int:
    """Return the port of a server that plays ``script`` to each connection."""
    server = socket.create_server(("127.0.0.1", 0))

    def play(conn: socket.socket) -> None:
        with contextlib.suppress(OSError), conn:
            conn.settimeout(10)
            script(conn)

    def accept() -> None:
        while True:
            conn, _ = server.accept()
            threading.Thread(target=play, args=(conn,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return int(server.getsockname()[1])


def quiet_loop() -> asyncio.AbstractEventLoop:
    loop = new_event_loop() if sys.argv[1] == "default" else asyncio.new_event_loop()
    loop.slow_callback_duration = 60  # with -X dev a busy machine is told of, too
    return loop


THREAD = LoopThread(loop_factory=quiet_loop)


def ask(url: str, connector: TCPConnector | None = None, **options: Any) -> None:
    """Ask in vain: with timeouts, cancelled, and with the session closed meanwhile."""

    def session() -> Session:
        return Session(loop_thread=THREAD, connector=connector)

    failures = (syncclient.ClientError, TimeoutError)
    with session() as one:
        for _ in range(ROUNDS):
            limit = ClientTimeout(total=random.choice(SECONDS))
            with contextlib.suppress(*failures):
                one.get(url, timeout=limit, **options).read()
            with contextlib.suppress(*failures), syncclient.timeout(random.choice(SECONDS)):
                one.ws_connect(url.replace("http", "ws", 1), **options).close()
        futures = [one.submit("GET", url, **options) for _ in range(ROUNDS)]
        for future in futures:
            time.sleep(random.choice(SECONDS))
            future.cancel()
    for _ in range(ROUNDS):
        short = session()
        futures = [short.submit("GET", url, **options) for _ in range(2)]
        time.sleep(random.choice(SECONDS))
        short.close()
        for future in futures:
            with contextlib.suppress(*failures):
                future.result(10)


class Many:
    """Addresses of which some are never connected."""

    def resolve(self, host: str, port: int, family: int) -> list[str]:
        return ["::1", "127.0.0.1", "127.0.0.2", "127.0.0.3"]


def main(case: str) -> None:
    kind, _, name = case.partition(": ")
    pin = syncclient.Fingerprint(bytes(32))
    if kind == "nobody listens":
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            at = f"127.0.0.1:{bound.getsockname()[1]}"
            ask(f"http://{at}/")
            ask(f"https://{at}/")
            ask("https://host.test/", proxy=f"http://{at}")
            ask("https://127.0.0.1/", proxy=f"socks5://{at}")
    elif kind == "no such name":
        ask("https://host.invalid/")
    elif kind == "server":
        url = f"https://127.0.0.1:{serve(SERVERS[name])}/"
        for verify in (True, False, pin):
            ask(url, ssl=verify)
    elif kind == "proxy":
        ask("https://host.test/", proxy=f"http://127.0.0.1:{serve(PROXIES[name])}")
    elif kind == "secure proxy":
        proxy = f"https://127.0.0.1:{serve(over_tls(PROXIES[name]))}"
        ask("https://host.test/", proxy=proxy, ssl=False)
    elif kind == "SOCKS proxy":
        ask("https://127.0.0.1/", proxy=f"socks5://127.0.0.1:{serve(SOCKS_PROXIES[name])}")
    else:
        port = serve(SERVERS["answers"])
        connector = TCPConnector(resolver=Many(), happy_eyeballs_delay=0.001)
        ask(f"https://many.test:{port}/", connector, ssl=False)
    gc.collect()
    sys.stdout.write("done\n")


if __name__ == "__main__":
    main(sys.argv[2])
