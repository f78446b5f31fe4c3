"""Names: the system's resolver, DNS servers, the user's own, pinned addresses, the cache."""

import asyncio
import re
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from dnslib import AAAA, QTYPE, RR, A, DNSRecord  # type: ignore[import-untyped]  # no types
from dnslib.server import BaseResolver, DNSServer  # type: ignore[import-untyped]  # the same

import syncclient
from syncclient import AsyncResolver, ClientTimeout, Session, TCPConnector, ThreadedResolver
from syncclient._async.connect.pool import Pool
from syncclient._async.connect.resolver import SystemResolver
from syncclient._async.connect.tcp import TCPPool
from tests.servers.process import AppServer, app_server
from tests.servers.raw import RawServer
from tests.servers.scripts import say_hello
from tests.wire.connect.reading import status

RawServers = Callable[..., RawServer]


class Hosts:
    """A blocking resolver that counts its look-ups and notes the threads they ran on."""

    def __init__(self, answer: object = "127.0.0.1") -> None:
        self.answer = answer
        self.asked: list[tuple[str, int, int]] = []
        self.threads: set[str] = set()

    def resolve(self, host: str, port: int, family: int) -> Any:
        self.asked.append((host, port, family))
        self.threads.add(threading.current_thread().name)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


# The system's.


@pytest.mark.parametrize("resolver", [None, ThreadedResolver()], ids=["default", "asked for"])
def test_the_systems_resolver(app: AppServer, resolver: ThreadedResolver | None) -> None:
    """Names are the system's: localhost leads to this machine."""
    with Session(connector=TCPConnector(resolver=resolver)) as session:
        assert status(session.get(f"http://localhost:{app.port}/get")) == 200


def test_a_name_that_does_not_exist() -> None:
    """An unknown name fails as a DNS error that names the host."""
    with Session() as session, pytest.raises(syncclient.ClientConnectorDNSError) as caught:
        session.get("http://no-such-host.invalid/")
    assert caught.value.host == "no-such-host.invalid"
    assert isinstance(caught.value.__cause__, socket.gaierror)
    assert "Host name not found: no-such-host.invalid (" in str(caught.value)


def test_a_stuck_look_up_delays_nobody(monkeypatch: pytest.MonkeyPatch, app: AppServer) -> None:
    """A look-up that hangs is timed out as one, while other requests and closing go on."""
    release = threading.Event()
    system = socket.getaddrinfo

    def stuck(host: str, *args: Any, **options: Any) -> Any:
        if host == "stuck.test":
            release.wait(10)
            raise socket.gaierror(socket.EAI_NONAME, "too late")
        return system(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", stuck)
    try:
        with Session() as session:
            with pytest.raises(
                syncclient.ServerTimeoutError, match=r"resolving the host name \(stuck\.test\)"
            ):
                session.get("http://stuck.test/", timeout=0.2)
            assert status(session.get(f"http://localhost:{app.port}/get")) == 200
    finally:
        release.set()


def test_many_stuck_look_ups(monkeypatch: pytest.MonkeyPatch, app: AppServer) -> None:
    """More stuck look-ups than libuv has threads leave room for those of others."""
    release = threading.Event()
    stuck = threading.Semaphore(0)
    system = socket.getaddrinfo

    def ask(host: str, *args: Any, **options: Any) -> Any:
        if host.endswith("stuck.test"):
            stuck.release()
            release.wait(10)
            raise socket.gaierror(socket.EAI_NONAME, "too late")
        return system(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", ask)
    with ThreadPoolExecutor(8) as threads, Session() as session:
        calls = [threads.submit(session.get, f"http://{n}.stuck.test/") for n in range(8)]
        assert all(stuck.acquire(timeout=20) for _ in calls)
        assert status(session.get(f"http://localhost:{app.port}/get")) == 200
        release.set()
        for call in calls:
            assert isinstance(call.exception(20), syncclient.ClientConnectorDNSError)


def test_ipv6() -> None:
    """An IPv6 server is reached by its address, and by family=AF_INET6 from a name."""
    with app_server(host="::1") as app:
        with Session() as session:
            assert status(session.get(f"{app.url}/get")) == 200
        resolver = {"both.test": ["127.0.0.1", "::1"]}
        connector = TCPConnector(resolver=resolver, family=socket.AF_INET6)
        with Session(connector=connector) as session:
            assert status(session.get(f"http://both.test:{app.port}/get")) == 200


def test_happy_eyeballs(app: AppServer) -> None:
    """An address that nobody answers at does not keep a name from being reached at its other."""
    resolver = {"both.test": ["::1", "127.0.0.1"]}
    with Session(connector=TCPConnector(resolver=resolver)) as session:
        assert status(session.get(f"http://both.test:{app.port}/get")) == 200


def test_an_unreachable_address_is_named() -> None:
    """A timeout while connecting names the address that was tried."""
    with silent_port() as port, Session() as session:
        url = f"http://127.0.0.1:{port}/"
        with pytest.raises(
            syncclient.ConnectTimeoutError, match=re.escape(f"connecting (127.0.0.1:{port})")
        ):
            session.get(url, timeout=ClientTimeout(sock_connect=0.2))


@contextmanager
def silent_port() -> Iterator[int]:
    """A port whose queue is full: the system answers no further connection to it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        waiting = []
        try:
            while True:
                sock = socket.socket()
                waiting.append(sock)
                sock.settimeout(0.2)
                sock.connect(("127.0.0.1", port))
        except TimeoutError:
            yield port
        finally:
            for sock in waiting:
                sock.close()


# The user's.


@pytest.mark.parametrize(
    "answer",
    [
        "127.0.0.1",
        ["127.0.0.1"],
        ("::1", "127.0.0.1"),
        [{"hostname": "x", "host": "127.0.0.1", "port": 0, "family": socket.AF_INET}],
    ],
    ids=str,
)
def test_a_blocking_resolver(app: AppServer, answer: object) -> None:
    """Any object with a blocking resolve() does, on a worker thread, with what it may return."""
    hosts = Hosts(answer)
    connector = TCPConnector(resolver=hosts, family=socket.AF_INET)
    with Session(connector=connector) as session:
        assert status(session.get(f"http://shop.test:{app.port}/get")) == 200
    assert hosts.asked == [("shop.test", app.port, socket.AF_INET)]
    assert not hosts.threads & {threading.current_thread().name, "syncclient-loop"}


def test_an_async_resolver_of_the_users(app: AppServer) -> None:
    """An object whose resolve() is a coroutine function is awaited on the event loop."""
    loops: list[bool] = []

    class Async:
        async def resolve(self, host: str, port: int, family: int) -> str:
            loops.append(asyncio.get_running_loop().is_running())
            return "127.0.0.1"

    with Session(connector=TCPConnector(resolver=Async())) as session:
        assert status(session.get(f"http://shop.test:{app.port}/get")) == 200
    assert loops == [True]


def test_the_users_errors(app: AppServer) -> None:
    """An OSError of the resolver's is a DNS error; any other error comes out as itself."""
    hosts = Hosts(OSError("not in the book"))
    with Session(connector=TCPConnector(resolver=hosts)) as session:
        url = f"http://shop.test:{app.port}/get"
        with pytest.raises(syncclient.ClientConnectorDNSError) as caught:
            session.get(url)
        assert caught.value.__cause__ is hosts.answer
        for answer, error in (
            (LookupError("a bug"), LookupError),
            (["not-an-address"], TypeError),
            (5, TypeError),
        ):
            hosts.answer = answer
            with pytest.raises(error):
                session.get(url)
        hosts.answer = []
        with pytest.raises(syncclient.ClientConnectorDNSError, match="knows no address"):
            session.get(url)


def test_pinned_addresses(app: AppServer) -> None:
    """A mapping gives addresses, or other names, by hand, and leaves all else to the system."""
    resolver = {"Shop.Test": "127.0.0.1", "alias.test": "localhost", "six.test": "::1"}
    with Session(connector=TCPConnector(resolver=resolver, family=socket.AF_INET)) as session:
        for host in ("shop.test", "SHOP.TEST.", "alias.test", "localhost"):
            reply = session.get(f"http://{host}:{app.port}/get").json()
            assert dict(reply["headers"])["Host"] == f"{host.rstrip('.').lower()}:{app.port}"
        with pytest.raises(syncclient.ClientConnectorDNSError, match="another family"):
            session.get(f"http://six.test:{app.port}/get")


# The cache.


def test_the_cache(raw_server: RawServers) -> None:
    """Addresses are remembered until ttl_dns_cache has passed or the cache is cleared."""
    wire = raw_server(say_hello)
    hosts = Hosts()
    url = f"http://shop.test:{wire.port}/"
    with Session(connector=TCPConnector(resolver=hosts, force_close=True)) as session:
        for _ in range(3):
            session.get(url).close()
        assert len(hosts.asked) == 1
        connector = session.connector
        assert isinstance(connector, TCPConnector)
        connector.clear_dns_cache("shop.test", wire.port)
        session.get(url).close()
        assert len(hosts.asked) == 2
        connector.clear_dns_cache()
        session.get(url).close()
        assert len(hosts.asked) == 3
        with pytest.raises(ValueError, match="both"):
            connector.clear_dns_cache("shop.test")


@pytest.mark.parametrize("options", [{"use_dns_cache": False}, {"ttl_dns_cache": 0}], ids=str)
def test_no_cache(raw_server: RawServers, options: dict[str, Any]) -> None:
    """Without a cache, or with one that forgets at once, each connection asks anew."""
    wire = raw_server(say_hello)
    hosts = Hosts()
    connector = TCPConnector(resolver=hosts, force_close=True, **options)
    with Session(connector=connector) as session:
        for _ in range(3):
            session.get(f"http://shop.test:{wire.port}/").close()
    assert len(hosts.asked) == 3


# DNS servers.


class Zone(BaseResolver):  # type: ignore[misc]  # dnslib has no types
    """A DNS server's book: here.test is this machine, silent.test is never answered."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.release = threading.Event()

    def resolve(self, request: DNSRecord, handler: object) -> DNSRecord:
        name, kind = str(request.q.qname).rstrip("."), QTYPE[request.q.qtype]
        self.asked.append(f"{name} {kind}")
        reply = request.reply()
        if name == "silent.test":
            self.release.wait(20)
        if name == "here.test" and kind == "A":
            reply.add_answer(RR(request.q.qname, QTYPE.A, rdata=A("127.0.0.1"), ttl=60))
        elif name == "here6.test" and kind == "AAAA":
            reply.add_answer(RR(request.q.qname, QTYPE.AAAA, rdata=AAAA("::1"), ttl=60))
        elif name not in ("here.test", "here6.test"):
            reply.header.rcode = 3
        return reply


@pytest.fixture
def zone() -> Iterator[tuple[Zone, str]]:
    """A DNS server of our own, and its address."""
    book = Zone()
    server = DNSServer(book, address="127.0.0.1", port=0)
    server.start_thread()
    try:
        yield book, f"127.0.0.1:{server.server.server_address[1]}"
    finally:
        book.release.set()
        server.stop()
        server.server.server_close()
        server.thread.join(20)


def test_nameservers(app: AppServer, zone: tuple[Zone, str]) -> None:
    """AsyncResolver asks the servers it is given, and nobody else."""
    book, address = zone
    resolver = AsyncResolver(nameservers=[address], timeout=2.0, tries=1)
    with Session(connector=TCPConnector(resolver=resolver)) as session:
        assert status(session.get(f"http://here.test:{app.port}/get")) == 200
        with pytest.raises(syncclient.ClientConnectorDNSError) as caught:
            session.get(f"http://unknown.test:{app.port}/get")
        assert caught.value.host == "unknown.test"
    assert "here.test A" in book.asked
    assert "unknown.test A" in book.asked


def test_a_nameserver_that_is_silent(app: AppServer, zone: tuple[Zone, str]) -> None:
    """A DNS server that does not answer is timed out while resolving, and closing does not wait."""
    _, address = zone
    resolver = AsyncResolver(nameservers=[address], timeout=30.0, tries=1)
    with Session(connector=TCPConnector(resolver=resolver)) as session:
        with pytest.raises(syncclient.ServerTimeoutError, match=r"resolving .*silent\.test"):
            session.get("http://silent.test/", timeout=0.3)


def test_aiodns_is_never_used_unasked(app: AppServer, zone: tuple[Zone, str]) -> None:
    """With aiodns installed, and aiohttp's own default thus aiodns, the system still resolves."""
    import aiohttp.resolver

    assert aiohttp.resolver.DefaultResolver is aiohttp.AsyncResolver
    kinds: list[type] = []

    def note(pool: Pool) -> None:
        assert isinstance(pool, TCPPool)
        kinds.append(type(pool._resolver))

    with Session() as session:
        assert status(session.get(f"http://localhost:{app.port}/get")) == 200
        assert session.connector._pool is not None
        session.connector._pool(note)
    assert kinds == [SystemResolver]
