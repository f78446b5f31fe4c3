"""Every place where a thread can be blocked in a session, for those who wake it there.

A place blocks any number of threads for ever: `block(session)`. `wait_until_blocked` tells
when they are, and `wait_until_gone` when the server has seen their connections end.
"""

import importlib
import importlib.util
import itertools
import socket
import tempfile
import threading
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import syncclient
from tests.bounds import BOUND, wait_until
from tests.servers import ws_script as ws
from tests.servers.raw import RawConnection, RawServer

_PART = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nsome"
_EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: hello\n\n"


class StuckNames:
    """A blocking resolver: names under stuck.test are never found, all others are 127.0.0.1."""

    def __init__(self) -> None:
        self.asked = 0
        self.freed = threading.Event()

    def resolve(self, host: str, port: int, family: int) -> str:
        if host.endswith(".stuck.test"):
            self.asked += 1
            self.freed.wait(60)
            raise OSError("freed")
        return "127.0.0.1"


class Place:
    """One place. The base class is the wait for the head of a response."""

    #: How many connections a thread that is blocked here has, which the server sees end.
    connections = 1

    def __init__(self, stack: ExitStack) -> None:
        self.names = StuckNames()
        stack.callback(self.names.freed.set)
        self._reached = 0
        self._gone = threading.Event()
        self._blocked = 0
        self.server = stack.enter_context(RawServer(self._script))
        stack.callback(self._gone.set)

    def prepare(self, session: syncclient.Session, threads: int) -> None:
        """Make ready for so many threads."""

    def block(self, session: syncclient.Session) -> None:
        session.get(self.server.url)

    def reached(self, session: syncclient.Session) -> int:
        """How many have come so far that they are in this place, ever."""
        return self._reached

    def wait_until_blocked(
        self, session: syncclient.Session, idents: Collection[int], reached: int
    ) -> None:
        """Block until all those threads wait here: for longer than a slice, by the portal's book.

        `reached` is what `reached()` has to be then.
        """

        def blocked() -> bool:
            return sleepers(session).issuperset(idents) and self.reached(session) >= reached

        wait_until(blocked, f"{len(idents)} threads in {type(self).__name__}")

    def wait_until_gone(self) -> None:
        """Block until the server has seen the end of every connection; get ready for more."""
        self._gone.set()
        self.server.wait_until_closed()
        self._gone.clear()

    def _script(self, conn: RawConnection) -> None:
        self.talk(conn)
        self._reached += 1
        conn.read_to_end()

    def talk(self, conn: RawConnection) -> None:
        conn.read_request()


class OneShot(Place):
    """`syncclient.get()`, on the session that the process shares."""

    def block(self, session: syncclient.Session) -> None:
        syncclient.get(self.server.url)

    def wait_until_blocked(
        self, session: syncclient.Session, idents: Collection[int], reached: int
    ) -> None:
        from syncclient._api import shared_session

        super().wait_until_blocked(shared_session(), idents, reached)


class Connect(Place):
    """A connection to a host that does not answer: its backlog is full."""

    def __init__(self, stack: ExitStack) -> None:
        super().__init__(stack)
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        self._address = listener.getsockname()
        for _ in range(4):  # Linux takes one more than the backlog, and others their share
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(self._address)

    def block(self, session: syncclient.Session) -> None:
        session.get("http://{}:{}".format(*self._address))

    def reached(self, session: syncclient.Session) -> int:
        return self._reached + session.connector.snapshot().open

    def wait_until_gone(self) -> None:
        """Nobody sees it: the server never answered."""


class LookUp(Place):
    """The look-up of a name, by a resolver that blocks."""

    _numbers = itertools.count()

    def block(self, session: syncclient.Session) -> None:
        session.get(f"http://{next(self._numbers)}.stuck.test")

    def reached(self, session: syncclient.Session) -> int:
        return self.names.asked


class Handshake(Place):
    """The TLS handshake, with a server that listens and says nothing."""

    def block(self, session: syncclient.Session) -> None:
        session.get(self.server.url.replace("http:", "https:"), ssl=False)

    def talk(self, conn: RawConnection) -> None:
        conn.read_some()


class Pool(Place):
    """The wait for a connection to become free, while unread responses hold them all."""

    connections = 0

    def prepare(self, session: syncclient.Session, threads: int) -> None:
        self._held = [session.get(self.server.url) for _ in range(session.connector.limit_per_host)]

    def reached(self, session: syncclient.Session) -> int:
        self._most = max(getattr(self, "_most", 0), session.connector.snapshot().waiting)
        return self._blocked_before + self._most

    _blocked_before = 0

    def wait_until_gone(self) -> None:
        """Nobody sees it: there was no connection."""
        self._blocked_before += self._most
        self._most = 0

    def talk(self, conn: RawConnection) -> None:
        conn.read_request()
        conn.send(_PART)


class Body(Place):
    """The rest of a body."""

    def block(self, session: syncclient.Session) -> None:
        session.get(self.server.url).read()

    def talk(self, conn: RawConnection) -> None:
        conn.read_request()
        conn.send(_PART)


class Download(Body):
    """A download into a file."""

    _numbers = itertools.count()

    def __init__(self, stack: ExitStack) -> None:
        super().__init__(stack)
        self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))

    def block(self, session: syncclient.Session) -> None:
        session.download(self.server.url, self._folder / str(next(self._numbers)), retries=0)


class Events(Body):
    """The next server-sent event."""

    def block(self, session: syncclient.Session) -> None:
        with session.sse(self.server.url) as events:
            next(events)

    def talk(self, conn: RawConnection) -> None:
        conn.read_request()
        conn.send(_EVENTS)


class Upload(Place):
    """An upload to a server that has stopped reading."""

    def block(self, session: syncclient.Session) -> None:
        session.post(self.server.url, data=bytes(30_000_000))

    def talk(self, conn: RawConnection) -> None:
        conn.read_head()

    def _script(self, conn: RawConnection) -> None:
        self.talk(conn)
        self._reached += 1
        # It sees the end of the connection only once it reads what is on the way to it.
        self._gone.wait(BOUND)
        conn.read_to_end()


class GeneratorUpload(Upload):
    """The same, with a body that the blocked thread itself generates."""

    def block(self, session: syncclient.Session) -> None:
        session.post(self.server.url, data=(bytes(100_000) for _ in itertools.count()))


class Writer(Upload):
    """`BodyWriter.write()`, where the request that takes the body has come to a halt."""

    def __init__(self, stack: ExitStack) -> None:
        super().__init__(stack)
        self._bodies: list[syncclient.BodyWriter] = []

    def block(self, session: syncclient.Session) -> None:
        future = None
        try:
            with syncclient.BodyWriter() as body:
                self._bodies.append(body)
                future = session.submit("POST", self.server.url, data=body)
                while True:
                    body.write(bytes(100_000))
        finally:
            if future is not None:
                future.cancel()

    def wait_until_blocked(
        self, session: syncclient.Session, idents: Collection[int], reached: int
    ) -> None:
        # A writer waits for its pipe, and not in the portal.
        super().wait_until_blocked(session, (), reached)
        wait_until(
            lambda: sum(bool(body._pipe._blocked) for body in self._bodies) >= len(idents),
            f"{len(idents)} writers",
        )

    def wait_until_gone(self) -> None:
        super().wait_until_gone()
        self._bodies.clear()


class Submitted(Place):
    """`result()` of a submitted request."""

    def block(self, session: syncclient.Session) -> None:
        future = session.submit("GET", self.server.url)
        try:
            future.result()
        finally:
            future.cancel()


class Many(Place):
    """The next response of `map()`."""

    connections = 2

    def block(self, session: syncclient.Session) -> None:
        for _ in session.map([self.server.url] * 2):
            pass


class Receive(Place):
    """The next message of a WebSocket."""

    def block(self, session: syncclient.Session) -> None:
        with session.ws_connect(self.server.url) as socket:
            socket.receive()

    def _script(self, conn: RawConnection) -> None:
        ws.accept(conn)
        self._reached += 1
        ws.say_goodbye(conn)
        conn.read_to_end()


class Goodbye(Place):
    """`WebSocket.close()`, which the server does not answer."""

    def block(self, session: syncclient.Session) -> None:
        session.ws_connect(self.server.url).close()

    def talk(self, conn: RawConnection) -> None:
        ws.accept(conn)


class Pause(Place):
    """The pause of `ws_connect_forever()` before it tries again."""

    def block(self, session: syncclient.Session) -> None:
        next(session.ws_connect_forever(self.server.url, min_delay=60.0))

    def talk(self, conn: RawConnection) -> None:
        conn.read_request()
        conn.send(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n")
        conn.send(b"Connection: close\r\n\r\n")


class Door(Place):
    """A request of httpx2's, or httpx's, on the session: the wait for the head of its response."""

    def __init__(self, stack: ExitStack) -> None:
        super().__init__(stack)
        name = "httpx2" if importlib.util.find_spec("httpx2") else "httpx"
        self._library: Any = importlib.import_module(name)
        self._ours: Any = importlib.import_module(f"syncclient.{name}")

    def block(self, session: syncclient.Session) -> None:
        transport = self._ours.Transport(session=session, retries=100)
        with self._ours.Client(transport=transport, timeout=None) as client:
            try:
                self.use(client)
            except self._library.ReadError as exc:
                raise exc.__cause__ or exc from None  # ours, by which the tests know it

    def use(self, client: Any) -> None:
        """Block in the library's client."""
        client.get(self.server.url)


class DoorBody(Door, Body):
    """The next chunk of a body, through the same."""

    def use(self, client: Any) -> None:
        with client.stream("GET", self.server.url) as response:
            for _ in response.iter_raw():
                pass


class DoorPause(Door):
    """The pause between two of its attempts to connect."""

    def __init__(self, stack: ExitStack) -> None:
        super().__init__(stack)
        refusing = stack.enter_context(socket.socket())
        refusing.bind(("127.0.0.1", 0))  # and does not listen
        self._url = "http://{}:{}".format(*refusing.getsockname())

    def use(self, client: Any) -> None:
        self._reached += 1
        client.get(self._url)

    def wait_until_gone(self) -> None:
        """Nobody sees it: there was no connection."""


PLACES = {
    place.__name__: place
    for place in (
        *(Place, OneShot, Connect, LookUp, Handshake, Pool),
        *(Body, Download, Events, Upload, GeneratorUpload, Writer),
        *(Submitted, Many, Receive, Goodbye, Pause),
        *(Door, DoorBody, DoorPause),
    )
}


def sleepers(session: syncclient.Session) -> set[int]:
    """The threads that have been blocked in a call for longer than a slice."""
    lease = session._portal._lease
    return set() if lease is None or lease.run is None else set(lease.run.sleepers)


@contextmanager
def session_for(*places: Place, limit_per_host: int = 0) -> Iterator[syncclient.Session]:
    """A session that can be blocked in those places: they share the resolver of the first."""
    names = places[0].names
    for place in places:
        place.names = names
    with syncclient.Session(
        connector=syncclient.TCPConnector(limit=0, limit_per_host=limit_per_host, resolver=names),
        timeout=None,
    ) as session:
        yield session


def answer(conn: RawConnection) -> None:
    """Answer each request."""
    with suppress(ConnectionError):
        while True:
            conn.read_request()
            conn.respond(b"fine")
