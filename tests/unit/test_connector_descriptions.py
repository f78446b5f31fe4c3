"""Connectors and resolvers before any session: values, checked at once, that hide their secrets."""

import asyncio
import copy
import pickle
import socket
import ssl
import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from yarl import URL

from syncclient._checks import Unset
from syncclient._client.connectors import BaseConnector, TCPConnector
from syncclient._client.resolvers import AsyncResolver, ThreadedResolver
from syncclient._client.tls import merge_ssl
from syncclient._client.transports import (
    NamedPipeConnector,
    SocksConnector,
    UnixConnector,
    check_connector,
    proxy_url,
    split_unix_url,
)
from tests.ids import steady

PIN = bytes(range(32))
NO_SUCH: Any = {"no_such": 1}


class Hosts:
    """A resolver of the user's, such as may be compared and pickled."""

    def resolve(self, host: str, port: int, family: int) -> str:
        return "127.0.0.1"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Hosts)

    def __hash__(self) -> int:
        return 1

    def __repr__(self) -> str:
        return "Hosts()"


def socket_factory(addr_info: aiohttp.AddrInfoType) -> socket.socket:
    return socket.socket(addr_info[0], addr_info[1], addr_info[2])


DESCRIPTIONS: list[Callable[[], BaseConnector]] = [
    TCPConnector,
    lambda: TCPConnector(limit=0, limit_per_host=3, keepalive_timeout=None),
    lambda: TCPConnector(force_close=True, ssl=False),
    lambda: TCPConnector(ssl=aiohttp.Fingerprint(PIN)),
    lambda: TCPConnector(resolver={"a.test": "127.0.0.1", "b.test": ["::1", "127.0.0.1"]}),
    lambda: TCPConnector(resolver=AsyncResolver(nameservers=["127.0.0.1:53"], timeout=1.0)),
    lambda: TCPConnector(resolver=Hosts(), family=socket.AF_INET),
    lambda: TCPConnector(local_addr=("127.0.0.1", 0), socket_factory=socket_factory),
    lambda: TCPConnector(ttl_dns_cache=None, use_dns_cache=False, happy_eyeballs_delay=None),
    lambda: SocksConnector("socks5://user:secret@127.0.0.1:1080", limit=5),
    lambda: UnixConnector("/run/app.sock", limit=5),
]


@pytest.mark.parametrize("make", DESCRIPTIONS, ids=range(len(DESCRIPTIONS)))
def test_equal_parts_make_equal_descriptions(make: Callable[[], BaseConnector]) -> None:
    """Two descriptions made alike are equal, hash alike, and come back equal from a pickle."""
    one, two = make(), make()
    assert one == two
    assert hash(one) == hash(two)
    assert one == pickle.loads(pickle.dumps(one)) == copy.deepcopy(one)
    assert repr(one) == repr(two)


def test_different_parts_make_different_descriptions() -> None:
    """No two of the descriptions above are equal, nor is a connector equal to anything else."""
    made = [make() for make in DESCRIPTIONS]
    assert len(set(made)) == len(made)
    assert TCPConnector() != UnixConnector("x")
    assert TCPConnector() != 1


def test_descriptions_cannot_be_changed() -> None:
    """Setting or deleting anything on a description fails, and says what to do instead."""
    connector = TCPConnector(limit=3)
    with pytest.raises(AttributeError, match="create a new one with limit="):
        connector.limit = 5  # type: ignore[misc]  # what is refused
    with pytest.raises(AttributeError):
        del connector._settings
    assert connector.limit == 3


def test_descriptions_need_no_event_loop() -> None:
    """A description can be made in a thread that has never had an event loop."""
    made: list[BaseConnector] = []
    thread = threading.Thread(target=lambda: made.extend(make() for make in DESCRIPTIONS))
    thread.start()
    thread.join(20)
    assert len(made) == len(DESCRIPTIONS)


def test_every_keyword_of_the_engine_is_taken() -> None:
    """Our connectors take aiohttp's keywords, all but the loop, with the same defaults."""
    import inspect

    for ours, theirs in (
        (TCPConnector, aiohttp.TCPConnector),
        (UnixConnector, aiohttp.UnixConnector),
        (NamedPipeConnector, aiohttp.NamedPipeConnector),
    ):
        mine = inspect.signature(ours).parameters
        wanted = {n: p for n, p in inspect.signature(theirs).parameters.items() if n != "loop"}
        assert list(mine) and set(wanted) == set(mine)
        for name, parameter in wanted.items():
            assert mine[name].kind is parameter.kind, name
            if not isinstance(mine[name].default, Unset):
                assert mine[name].default == parameter.default, name


def test_the_defaults_are_aiohttps() -> None:
    """A pool opened from the default description is set as aiohttp's own default one."""

    async def both() -> tuple[aiohttp.BaseConnector, aiohttp.BaseConnector]:
        # A resolver, for aiohttp's own default is aiodns, which outlives its loop.
        theirs = aiohttp.TCPConnector(resolver=aiohttp.ThreadedResolver())
        ours = TCPConnector()._factory()()
        await ours.close()
        await theirs.close()
        return ours, theirs

    ours, theirs = asyncio.run(both())
    for name in (
        *("limit", "limit_per_host", "force_close", "family", "use_dns_cache"),
        *("_keepalive_timeout", "_timeout_ceil_threshold", "_happy_eyeballs_delay"),
        *("_interleave", "_ssl", "_ssl_shutdown_timeout", "_local_addr_infos"),
    ):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert TCPConnector().limit == 100


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"limit": -1}, ValueError, "limit"),
        ({"limit": 1.5}, TypeError, "limit"),
        ({"limit": True}, TypeError, "limit"),
        ({"limit_per_host": -1}, ValueError, "limit_per_host"),
        ({"keepalive_timeout": "15"}, TypeError, "keepalive_timeout"),
        ({"keepalive_timeout": -1}, ValueError, "keepalive_timeout"),
        ({"keepalive_timeout": 5, "force_close": True}, ValueError, "force_close"),
        ({"ttl_dns_cache": float("nan")}, ValueError, "ttl_dns_cache"),
        ({"dns_cache_max_size": 0}, ValueError, "dns_cache_max_size"),
        ({"family": socket.AF_UNIX}, ValueError, "family"),
        ({"local_addr": "127.0.0.1"}, ValueError, "local_addr"),
        ({"local_addr": ("127.0.0.1", 70000)}, ValueError, "local_addr"),
        ({"interleave": 0}, ValueError, "interleave"),
        ({"happy_eyeballs_delay": -0.1}, ValueError, "happy_eyeballs_delay"),
        ({"socket_factory": 5}, TypeError, "socket_factory"),
        ({"ssl": "yes"}, TypeError, "ssl"),
        ({"ssl": 1}, TypeError, "ssl"),
        ({"resolver": 5}, TypeError, "resolver"),
        ({"resolver": ThreadedResolver}, TypeError, r"write ThreadedResolver\(\)"),
        ({"resolver": {"a.test": ""}}, ValueError, "a.test"),
        ({"loop": None}, TypeError, "loop"),
        ({"no_such": 1}, TypeError, "no_such"),
    ],
    ids=steady,
)
def test_bad_settings_are_refused_at_once(
    options: dict[str, Any], error: type[Exception], says: str
) -> None:
    """A setting that makes no sense fails where it is written, and the message names it."""
    with pytest.raises(error, match=says):
        TCPConnector(**options)


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: UnixConnector(""), ValueError, "1 to"),
        (lambda: UnixConnector("/" + "x" * 200), ValueError, "201"),
        (lambda: SocksConnector("http://127.0.0.1:3128"), ValueError, "socks5"),
        (lambda: SocksConnector("socks5://"), ValueError, "host"),
        (lambda: SocksConnector("socks5://h", **NO_SUCH), TypeError, "no_such"),
        (lambda: AsyncResolver("8.8.8.8"), TypeError, "list"),
        (lambda: AsyncResolver(loop=None), TypeError, "loop"),
        (BaseConnector, TypeError, "TCPConnector"),
    ],
    ids=steady,
)
def test_bad_transports_are_refused_at_once(
    make: Callable[[], object], error: type[Exception], says: str
) -> None:
    """The other descriptions check themselves as they are made, too."""
    with pytest.raises(error, match=says):
        make()


@pytest.mark.skipif(sys.platform == "win32", reason="named pipes exist there")
def test_named_pipes_are_for_windows() -> None:
    """A named pipe described anywhere else says what to use instead."""
    with pytest.raises(RuntimeError, match="UnixConnector"):
        NamedPipeConnector(r"\\.\pipe\app")


def test_an_aiohttp_connector_is_refused() -> None:
    """An aiohttp connector, bound to its loop, is refused with what to write instead."""

    async def make() -> aiohttp.BaseConnector:
        connector = aiohttp.UnixConnector("/run/app.sock")
        await connector.close()
        return connector

    with pytest.raises(TypeError, match=r"syncclient\.UnixConnector\(\.\.\.\)"):
        check_connector(asyncio.run(make()))
    with pytest.raises(TypeError, match=r"TCPConnector\(\.\.\.\)"):
        check_connector(TCPConnector)
    with pytest.raises(TypeError, match="not int"):
        check_connector(5)
    assert check_connector(None) == TCPConnector()


def test_an_aiohttp_resolver_is_refused() -> None:
    """An aiohttp resolver, bound to its loop, is refused with what to write instead."""

    async def make() -> aiohttp.ThreadedResolver:
        return aiohttp.ThreadedResolver()

    resolver: Any = asyncio.run(make())
    with pytest.raises(TypeError, match=r"syncclient\.ThreadedResolver"):
        TCPConnector(resolver=resolver)


def test_secrets_stay_out_of_the_repr() -> None:
    """A proxy's credentials and a context's insides are not shown."""
    text = repr(SocksConnector("socks5://user:secret@proxy.test:1080"))
    assert "proxy.test:1080" in text
    assert "user" not in text
    assert "secret" not in text
    assert "<SSLContext>" in repr(TCPConnector(ssl=ssl.create_default_context()))


def test_the_repr_shows_what_was_set() -> None:
    """A repr shows the settings that differ from the defaults, and only them."""
    assert repr(TCPConnector()) == "TCPConnector()"
    assert repr(TCPConnector(limit=5, ssl=False)) == "TCPConnector(limit=5, ssl=False)"
    resolver = {"a.test": "127.0.0.1"}
    assert repr(TCPConnector(resolver=resolver)) == f"TCPConnector(resolver={resolver})"
    assert repr(TCPConnector(resolver=Hosts())) == "TCPConnector(resolver=Hosts())"
    assert repr(UnixConnector("/x")) == "UnixConnector(path='/x')"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"verify_ssl": False}, "verify_ssl"),
        ({"ssl_context": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)}, "ssl_context"),
        ({"fingerprint": PIN}, "fingerprint"),
        ({"enable_cleanup_closed": True}, "enable_cleanup_closed"),
        ({"ssl_shutdown_timeout": 1.0}, "ssl_shutdown_timeout"),
    ],
    ids=steady,
)
def test_old_spellings_warn_at_the_callers_line(options: dict[str, Any], says: str) -> None:
    """A deprecated keyword works, and its warning points at the line that wrote it."""
    if says == "enable_cleanup_closed" and not _cleanup_is_ignored():
        pytest.skip("of use on this Python")
    with pytest.warns(DeprecationWarning, match=says) as caught:
        TCPConnector(**options)
    assert [warning.filename for warning in caught] == [__file__]


def _cleanup_is_ignored() -> bool:
    return not aiohttp.connector.NEEDS_CLEANUP_CLOSED


def test_old_spellings_say_the_same() -> None:
    """The older spellings of ssl= make the same description as ssl= itself."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        assert TCPConnector(verify_ssl=False) == TCPConnector(ssl=False)
        assert TCPConnector(ssl_context=context) == TCPConnector(ssl=context)
        assert TCPConnector(fingerprint=PIN) == TCPConnector(ssl=aiohttp.Fingerprint(PIN))
        with pytest.raises(ValueError, match="mutually exclusive"):
            TCPConnector(verify_ssl=False, fingerprint=PIN)
        with pytest.raises(ValueError, match="mutually exclusive"):
            merge_ssl(False, fingerprint=PIN)
        with pytest.raises(ValueError, match="sha256"):
            merge_ssl(True, fingerprint=b"x" * 16)
        assert merge_ssl(None) is True
        assert merge_ssl(None, verify_ssl=False) is False


def test_a_missing_extra_names_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """What needs another package says which one to install, as it is made."""
    monkeypatch.setattr("syncclient._client.tls.truststore", None)
    monkeypatch.setattr("syncclient._async.connect.socks.python_socks", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    from syncclient._client.tls import system_context

    system_context.cache_clear()
    with pytest.raises(ImportError, match="pip install truststore"):
        TCPConnector(ssl="system")
    with pytest.raises(ImportError, match=r"pip install 'python-socks\[asyncio\]'"):
        SocksConnector("socks5://127.0.0.1:1080")
    with pytest.raises(ImportError, match="pip install aiodns"):
        AsyncResolver()


def test_a_description_has_no_connections() -> None:
    """Asked for a snapshot, a bare description says whom to ask."""
    with pytest.raises(RuntimeError, match=r"session\.connector"):
        TCPConnector().snapshot()
    with pytest.raises(RuntimeError, match=r"session\.connector"):
        TCPConnector().clear_dns_cache()


def test_factories_share_by_token() -> None:
    """One description opens one pool for all who share it, and a pool each for all others."""
    connector = TCPConnector()

    async def opened() -> None:
        shared, again = connector._factory(shared=True), connector._factory(shared=True)
        own = connector._factory()
        pools = [shared(), again(), own(), TCPConnector()._factory(shared=True)()]
        assert pools[0] is pools[1]
        assert len(set(map(id, pools))) == 3
        for closed in (False, True):  # two were opened, so the second close() counts
            await pools[0].close()
            assert pools[0].closed is closed
        reopened = shared()
        assert not reopened.closed
        for pool in (*pools[2:], reopened):
            await pool.close()
            assert pool.closed

    asyncio.run(opened())


@pytest.mark.parametrize(
    ("url", "path", "asked"),
    [
        ("http+unix://%2Frun%2FApp.sock/a/b?c=1", "/run/App.sock", "http://localhost/a/b?c=1"),
        ("ws+unix://%2Fx/ws", "/x", "ws://localhost/ws"),
        ("http+unix://%2Fx", "/x", "http://localhost"),
    ],
)
def test_unix_urls_are_split(url: str, path: str, asked: str) -> None:
    """A URL of a Unix socket is the path, in its own letters, and what to ask for over it."""
    assert split_unix_url(url) == (path, URL(asked))


def test_other_urls_are_left_alone() -> None:
    """Other URLs are none of a Unix socket, and one without a path is refused."""
    assert split_unix_url("http://unix/") is None
    assert split_unix_url(URL("https://example.test/?u=http+unix://x")) is None
    with pytest.raises(aiohttp.InvalidURL, match="%2F"):
        split_unix_url("http+unix:///run/app.sock")


def test_proxy_credentials_are_merged() -> None:
    """proxy_auth goes into the proxy's URL, and not beside credentials that are there already."""
    assert proxy_url(None, None) is None
    assert proxy_url("http://p:1", None) == URL("http://p:1")
    assert proxy_url("http://p:1", ("us:er", "p@ss")) == URL("http://us%3Aer:p%40ss@p:1")
    with pytest.raises(ValueError, match="needs a proxy"):
        proxy_url(None, ("u", "p"))
    with pytest.raises(ValueError, match="cannot be combined"):
        proxy_url("http://u:p@p:1", ("u", "p"))
    with pytest.raises(aiohttp.InvalidURL) as caught:
        proxy_url("user:secret@p:1", None)
    assert "secret" not in str(caught.value)
