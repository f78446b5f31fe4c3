"""The rarer keywords of TCPConnector: the order of addresses, the cache's size, whole seconds."""

import math
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import syncclient
from syncclient import (
    NamedPipeConnector,
    Session,
    TCPConnector,
    UnixConnector,
)
from syncclient._client import transports as _transports
from tests.servers.process import AppServer
from tests.servers.raw import StartRawServer
from tests.servers.scripts import say_hello
from tests.wire.connect.reading import status

V4 = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]


@pytest.mark.parametrize(
    ("options", "order"),
    [
        ({}, [V4[0], "::1", V4[1], V4[2]]),
        ({"interleave": 2}, [V4[0], V4[1], "::1", V4[2]]),
        ({"happy_eyeballs_delay": None}, [*V4, "::1"]),
    ],
    ids=str,
)
def test_the_order_in_which_addresses_are_tried(options: dict[str, Any], order: list[str]) -> None:
    """The families take turns: after one address, after ``interleave`` of them, or not at all."""
    tried: list[str] = []

    def refuse(info: aiohttp.AddrInfoType) -> socket.socket:
        tried.append(str(info[4][0]))
        raise ConnectionRefusedError(111, "refused by the test")

    resolver = {"many.test": [*V4, "::1"]}
    connector = TCPConnector(resolver=resolver, socket_factory=refuse, **options)
    with Session(connector=connector) as session:
        with pytest.raises(syncclient.ClientConnectorError, match="refused by the test"):
            session.get("http://many.test:1/")
    assert list(dict.fromkeys(tried)) == order


@pytest.mark.parametrize(("options", "count"), [({}, 2), ({"dns_cache_max_size": 1}, 3)], ids=str)
def test_the_cache_keeps_so_many_names(
    raw_server: StartRawServer, options: dict[str, Any], count: int
) -> None:
    """With dns_cache_max_size names in it, the next one drives out the oldest."""
    asked: list[str] = []

    class Hosts:
        def resolve(self, host: str, port: int, family: int) -> str:
            asked.append(host)
            return "127.0.0.1"

    wire = raw_server(say_hello)
    connector = TCPConnector(resolver=Hosts(), force_close=True, **options)
    with Session(connector=connector) as session:
        for name in ("a.test", "b.test", "a.test"):
            assert status(session.get(f"http://{name}:{wire.port}/")) == 200
    assert len(asked) == count


def test_timeouts_above_the_threshold_end_on_whole_seconds(raw_server: StartRawServer) -> None:
    """With timeout_ceil_threshold=0 an idle connection is kept until the clock's next second."""
    wire = raw_server(say_hello)
    # Ends a fifth of a second after a whole one, and so is rounded up by the other four fifths.
    keepalive = 1.2 - time.monotonic() % 1
    connector = TCPConnector(keepalive_timeout=keepalive, timeout_ceil_threshold=0)
    with Session(connector=connector) as session:
        before = time.monotonic()
        assert status(session.get(wire.url)) == 200
        wire.wait_until_closed()
        # The clock of the loop counts in milliseconds.
        assert time.monotonic() >= math.ceil(before + keepalive) - 0.01


@pytest.mark.parametrize(
    "options", [{"enable_cleanup_closed": True}, {"ssl_shutdown_timeout": 1.0}], ids=str
)
@pytest.mark.filterwarnings("ignore:enable_cleanup_closed:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The ssl_shutdown_timeout:DeprecationWarning")
def test_how_connections_end_does_not_hinder_them(
    raw_server: StartRawServer, server_tls: Any, client_tls: Any, options: dict[str, Any]
) -> None:
    """Whatever is said of their end, requests over TLS work, and closing leaves none of them."""
    wire = raw_server(say_hello, tls=server_tls)
    with Session(connector=TCPConnector(ssl=client_tls, **options)) as session:
        assert session.get(wire.url).text() == "hello"
        assert session.get(wire.url).text() == "hello"
    wire.wait_until_closed()
    assert len(wire.connections) == 1


def test_settings_of_a_socks_proxy_are_those_of_tcp() -> None:
    """What SocksConnector takes beside the proxy, it has as TCPConnector has it."""
    options: dict[str, Any] = {
        "use_dns_cache": False,
        "ttl_dns_cache": 5.0,
        "dns_cache_max_size": 7,
        "family": socket.AF_INET,
        "ssl": False,
        "resolver": {"a.test": "127.0.0.1"},
        "keepalive_timeout": 3.0,
        "limit": 4,
        "limit_per_host": 2,
        "timeout_ceil_threshold": 9.0,
    }
    socks = syncclient.SocksConnector("socks5://127.0.0.1:1080", **options)
    assert set(options) | {"force_close"} == set(_transports.TCPOptions.__annotations__)
    plain = TCPConnector(**options)
    for name in options:
        assert getattr(socks._settings, name) == getattr(plain._settings, name)
    assert syncclient.SocksConnector("socks5://127.0.0.1:1080", force_close=True).force_close


@pytest.mark.parametrize(
    ("options", "opened"),
    [({"force_close": True}, 3), ({"keepalive_timeout": 0}, 3), ({"keepalive_timeout": 30.0}, 1)],
    ids=str,
)
def test_connections_to_a_socket_are_kept_or_not(
    unix_app: tuple[AppServer, Path], options: dict[str, Any], opened: int
) -> None:
    """UnixConnector keeps its connections as long as it is told to."""
    app, path = unix_app
    with Session("http://app/", connector=UnixConnector(path, **options)) as session:
        for _ in range(3):
            assert status(session.get("get")) == 200
    assert app.stats().connections_opened == opened


@pytest.mark.parametrize("options", [{"limit": 2}, {"limit_per_host": 2}], ids=str)
def test_a_limit_holds_for_a_unix_connector(
    unix_app: tuple[AppServer, Path], options: dict[str, Any]
) -> None:
    """However many threads ask at once, the socket has no more connections than the limit."""
    app, path = unix_app
    with Session("http://app/", connector=UnixConnector(path, **options)) as session:
        with ThreadPoolExecutor(6) as threads:
            replies = list(threads.map(lambda _: status(session.get("delay/0.05")), range(6)))
    assert replies == [200] * 6
    assert app.stats().connections_opened == 2


def test_a_named_pipe_is_described_as_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The description holds what it was given; here nothing can be connected to it."""
    monkeypatch.setattr(_transports, "_ON_WINDOWS", True)
    options: dict[str, Any] = {"keepalive_timeout": 3.0, "limit": 4, "limit_per_host": 2}
    pipe = NamedPipeConnector(r"\\.\pipe\app", **options)
    assert pipe.path == r"\\.\pipe\app"
    assert {name: getattr(pipe, name) for name in options} == options
    assert NamedPipeConnector(pipe.path, force_close=True).force_close
