"""The blocking classes against the installed aiohttp's: nothing is missing but by a written reason.

A public name, parameter or default of aiohttp's that ours lacks fails here, unless it stands in a
list below with its reason; so does a line of these lists that is true no more.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import aiohttp
import pytest

import syncclient
from syncclient._bodies.stream import StreamReader
from syncclient._checks import UNSET
from syncclient._client.request import RequestOptions
from syncclient._client.websocket import WebSocket

PAIRS: dict[type, type] = {
    syncclient.Session: aiohttp.ClientSession,
    syncclient.Response: aiohttp.ClientResponse,
    StreamReader: aiohttp.StreamReader,
    WebSocket: aiohttp.ClientWebSocketResponse,
    syncclient.AioSession: aiohttp.ClientSession,
    syncclient.AioResponse: aiohttp.ClientResponse,
    syncclient.AioStreamReader: aiohttp.StreamReader,
    syncclient.AioWebSocket: aiohttp.ClientWebSocketResponse,
    syncclient.CookieJar: aiohttp.CookieJar,
    syncclient.DummyCookieJar: aiohttp.DummyCookieJar,
    syncclient.TCPConnector: aiohttp.TCPConnector,
    syncclient.UnixConnector: aiohttp.UnixConnector,
    syncclient.NamedPipeConnector: aiohttp.NamedPipeConnector,
    syncclient.AsyncResolver: aiohttp.AsyncResolver,
    syncclient.ThreadedResolver: aiohttp.ThreadedResolver,
}

LOOP = "an event loop is nothing the caller has: ours is private"
LIVE = "a description has no life of its own: the live one is on the loop thread"
PARSER = "the parser's side of the stream, which the reader must not touch"
INSIDE = "an inside of the engine, public by its spelling only"
DEPRECATED = "deprecated in aiohttp, and never there in what came after it"
MADE_BY_US = "never made by users: a session makes it"
SENTINEL = "a default of ours that no value of the user's can be, for aiohttp's own"

#: What later issues bring. A name that has come may be taken off, and need not be at once.
LATER: set[tuple[object, str]] = {(syncclient, "StreamReader")}

#: Class and member of aiohttp's -> why ours has none of that name.
NO_MEMBER: dict[tuple[type, str], str] = {
    **{
        (ours, name): reason
        for ours in (syncclient.Session, syncclient.AioSession)
        for name, reason in {
            "ATTRS": INSIDE,
            "detach": "a session does not give its connections away unclosed",
            "loop": LOOP,
        }.items()
    },
    **{
        (ours, name): reason
        for ours in (syncclient.Response, syncclient.AioResponse)
        for name, reason in {
            "ATTRS": INSIDE,
            "connection": "an object of the engine's stays on the loop thread",
            "output_size": DEPRECATED,
            "start": INSIDE,
            "upload_complete": DEPRECATED,
            "url_obj": DEPRECATED,
            "wait_for_close": "releasing never waits, so there is nothing to await",
        }.items()
    },
    **{
        (ours, name): PARSER
        for ours in (StreamReader, syncclient.AioStreamReader)
        for name in (
            "begin_http_chunk_receiving",
            "end_http_chunk_receiving",
            "feed_data",
            "feed_eof",
            "get_read_buffer_limits",
            "on_eof",
            "set_exception",
            "set_read_chunk_size",
            "unread_data",
            "wait_eof",
        )
    },
    **{
        (syncclient.CookieJar, name): INSIDE
        for name in (
            "DATE_DAY_OF_MONTH_RE",
            "DATE_HMS_TIME_RE",
            "DATE_MONTH_RE",
            "DATE_TOKENS_RE",
            "DATE_YEAR_RE",
            "MAX_TIME",
            "SUB_MAX_TIME",
        )
    },
    **{
        (connector, name): LIVE
        for connector in (
            syncclient.TCPConnector,
            syncclient.UnixConnector,
            syncclient.NamedPipeConnector,
        )
        for name in ("allowed_protocol_schema_set", "connect")
    },
    **{
        (resolver, name): LIVE
        for resolver in (syncclient.AsyncResolver, syncclient.ThreadedResolver)
        for name in ("close", "resolve")
    },
}

#: Class, method and parameter of aiohttp's -> why ours takes none of that name.
NO_PARAMETER: dict[tuple[type, str, str], str] = {
    **{
        (ours, "__init__", "loop"): LOOP
        for ours in PAIRS
        if ours not in (StreamReader, syncclient.Response, WebSocket)
    },
    (syncclient.Session, "__init__", "conn_timeout"): DEPRECATED,
    (syncclient.Session, "__init__", "read_timeout"): DEPRECATED,
    (syncclient.Session, "__init__", "ssl_shutdown_timeout"): DEPRECATED,
    (syncclient.Session, "__init__", "request_class"): INSIDE,
    (syncclient.Session, "__init__", "response_class"): INSIDE,
    (syncclient.Session, "__init__", "ws_response_class"): INSIDE,
    (syncclient.AsyncResolver, "__init__", "args"): "aiodns's options go by name",
}

#: Keywords of a request that aiohttp has -> why ours has none of that name.
NO_KEYWORD: dict[str, str] = {
    "upload_tracker": "an object of the loop's; progress hooks of ours take its place",
}

WEB = "as browsers do it, which docs/migration/from-aiohttp.md says"

#: Class, method and parameter -> why the default, or the kind, is another than aiohttp's.
OTHER_DEFAULT: dict[tuple[type, str, str], str] = {
    (syncclient.Session, "__init__", "timeout"): SENTINEL,
    (syncclient.Session, "__init__", "fallback_charset_resolver"): "the same, spelt out anew",
    **{
        (syncclient.Session, "__init__", limit): "what curl takes"
        for limit in ("max_line_size", "max_field_size", "max_headers")
    },
    (syncclient.Session, "ws_connect", "timeout"): "None is aiohttp's default, spelt plainly",
    (syncclient.AioSession, "ws_connect", "timeout"): "None is aiohttp's default, spelt plainly",
    (syncclient.CookieJar, "__init__", "quote_cookie"): WEB,
    (syncclient.CookieJar, "__init__", "unsafe"): WEB,
    (syncclient.DummyCookieJar, "filter_cookies", "request_url"): "optional, as in CookieJar",
    (syncclient.TCPConnector, "__init__", "keepalive_timeout"): SENTINEL,
    (syncclient.TCPConnector, "__init__", "ssl_shutdown_timeout"): SENTINEL,
    (syncclient.UnixConnector, "__init__", "keepalive_timeout"): SENTINEL,
    (syncclient.NamedPipeConnector, "__init__", "keepalive_timeout"): SENTINEL,
}

#: Classes whose constructors are not compared.
NOT_MADE_BY_USERS: dict[type, str] = {
    syncclient.Response: MADE_BY_US,
    StreamReader: MADE_BY_US,
    WebSocket: MADE_BY_US,
    syncclient.AioSession: MADE_BY_US,
    syncclient.AioResponse: MADE_BY_US,
    syncclient.AioStreamReader: MADE_BY_US,
    syncclient.AioWebSocket: MADE_BY_US,
}

Parameters = Mapping[str, inspect.Parameter]


def public(cls: type) -> set[str]:
    return {name for name in dir(cls) if not name.startswith("_")}


#: The default of a keyword of a TypedDict, where a default cannot be written.
UNWRITTEN = object()


def parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The parameters of a method but ``self``; what gathers the misspelt is none."""
    found = dict(inspect.signature(function).parameters)
    found.pop("self", None)
    found.pop("misspelt", None)
    if hasattr(function, "__signature__"):
        # Made of a TypedDict, which has no defaults.
        for key, parameter in found.items():
            if parameter.default is UNSET:
                found[key] = parameter.replace(default=UNWRITTEN)
    return found


def shared_methods() -> Iterator[tuple[type, type, str]]:
    for ours, theirs in PAIRS.items():
        for name in sorted(public(ours) & public(theirs)):
            if callable(getattr(theirs, name)) and name not in REQUESTS:
                yield ours, theirs, name
        if ours not in NOT_MADE_BY_USERS:
            yield ours, theirs, "__init__"


#: What takes the keywords of a request.
REQUESTS = ("request", "get", "post", "put", "patch", "delete", "head", "options")

METHODS = list(shared_methods())


@pytest.mark.parametrize(("ours", "theirs"), PAIRS.items(), ids=lambda cls: cls.__name__)
def test_no_public_name_is_missing(ours: type, theirs: type) -> None:
    """What aiohttp's class has, ours has, but for what stands on the list; and the list is true."""
    missing = public(theirs) - public(ours)
    listed = {name for cls, name in NO_MEMBER if cls is ours}
    later = {name for cls, name in LATER if cls is ours}
    assert missing - listed - later == set(), "missing, and without a reason on the list"
    assert listed & public(ours) == set(), "there by now: take them off the list"


@pytest.mark.parametrize(("ours", "theirs"), PAIRS.items(), ids=lambda cls: cls.__name__)
def test_a_property_is_a_property_and_a_method_a_method(ours: type, theirs: type) -> None:
    """Nobody has to add or drop parentheses on the way over, or back."""
    # A value in aiohttp's class stands for an attribute that each response sets for itself.
    for name in public(ours) & public(theirs):
        assert callable(getattr(ours, name)) == callable(getattr(theirs, name)), name


@pytest.mark.parametrize(
    ("ours", "theirs", "name"), METHODS, ids=lambda value: getattr(value, "__name__", value)
)
def test_no_parameter_is_missing(ours: type, theirs: type, name: str) -> None:
    """Every parameter is there under its name, passed the same way, with the same default."""
    mine, their = parameters(getattr(ours, name)), parameters(getattr(theirs, name))
    if any(p.kind is p.VAR_KEYWORD for p in mine.values()):
        their = {key: p for key, p in their.items() if p.kind is not p.VAR_KEYWORD}
    listed = {key for cls, method, key in NO_PARAMETER if (cls, method) == (ours, name)}
    assert their.keys() - mine.keys() - listed == set(), "missing, and without a reason"
    assert listed & mine.keys() == set(), "there by now: take them off the list"
    for key in mine.keys() & their.keys():
        default = their[key].default if mine[key].default is UNWRITTEN else mine[key].default
        other = (default, _way(mine, key)) != (their[key].default, _way(their, key))
        assert other == ((ours, name, key) in OTHER_DEFAULT), (key, mine[key], their[key])


@pytest.mark.parametrize(
    ("ours", "theirs", "name"), METHODS, ids=lambda value: getattr(value, "__name__", value)
)
def test_a_parameter_of_our_own_is_optional_and_comes_last(
    ours: type, theirs: type, name: str
) -> None:
    """A call written for aiohttp means the same here."""
    mine, their = parameters(getattr(ours, name)), parameters(getattr(theirs, name))
    for key in mine.keys() - their.keys():
        parameter = mine[key]
        optional = parameter.default is not parameter.empty or parameter.kind in (
            parameter.VAR_KEYWORD,
            parameter.VAR_POSITIONAL,
        )
        assert optional or parameter.kind is parameter.KEYWORD_ONLY, key
    given = [key for key in _positional(mine) if key in their]
    assert given == [key for key in _positional(their) if key in mine]


def _way(where: Parameters, key: str) -> str:
    """How a parameter is passed. A first one that is positional only needs no name."""
    kind = where[key].kind
    return "positional" if kind is inspect.Parameter.POSITIONAL_ONLY else kind.name.lower()


def _positional(where: Parameters) -> list[str]:
    return [key for key, p in where.items() if p.kind is p.POSITIONAL_OR_KEYWORD]


AWAITED = [
    (ours, theirs, name)
    for ours, theirs, name in METHODS
    if ours.__name__.startswith("Aio") and name != "__init__"
]


@pytest.mark.parametrize(
    ("ours", "theirs", "name"), AWAITED, ids=lambda value: getattr(value, "__name__", value)
)
def test_what_is_awaited_is_what_aiohttp_awaits(ours: type, theirs: type, name: str) -> None:
    """Nobody has to add or drop an `await` on the way between session.aio and aiohttp."""
    mine, their = getattr(ours, name), getattr(theirs, name)
    assert inspect.iscoroutinefunction(mine) == inspect.iscoroutinefunction(their)


# The keywords of a request.


def engine_keywords() -> dict[str, inspect.Parameter]:
    """What aiohttp's request takes: ``request`` itself only says ``**kwargs``."""
    found = parameters(aiohttp.ClientSession._request)
    return {key: p for key, p in found.items() if p.kind is p.KEYWORD_ONLY}


def test_request_options_are_aiohttps() -> None:
    """RequestOptions has every keyword of a request that aiohttp has, and few of its own."""
    ours, theirs = set(RequestOptions.__annotations__), set(engine_keywords())
    assert theirs - ours - NO_KEYWORD.keys() == set()
    assert NO_KEYWORD.keys() & ours == set(), "there by now: take them off the list"
    assert ours - theirs == {"max_body", "retry", "timings", "upload_progress"}
    assert RequestOptions.__required_keys__ == frozenset()


@pytest.mark.parametrize("name", REQUESTS)
def test_every_verb_takes_every_keyword(name: str) -> None:
    """A verb takes the URL by position and all else by name, of a session as of the module."""
    homes: tuple[Any, ...] = (syncclient.Session, syncclient.AioSession, syncclient)
    for function in (getattr(home, name) for home in homes):
        mine = dict(inspect.signature(function).parameters)
        mine.pop("self", None)
        first = ["method", "url"] if name == "request" else ["url"]
        by_position, by_name = list(mine)[: len(first)], list(mine)[len(first) :]
        assert by_position == first
        assert by_name == list(RequestOptions.__annotations__)
        assert all(mine[key].kind is inspect.Parameter.KEYWORD_ONLY for key in by_name)


# The namespace.

PAYLOADS = "bodies are given as plain values; what becomes of them is the engine's affair"
SERVER = "of the server's side"
TRACES = "the arguments of aiohttp's own trace callbacks, imported from there for annotations"
MIDDLEWARE = "what a middleware of aiohttp's is given, imported from there for annotations"
OURS = "the asynchronous original of a class of ours"

NO_NAME: dict[str, str] = {
    **dict.fromkeys(("ClientResponse", "ClientSession", "ClientWebSocketResponse"), OURS),
    **dict.fromkeys(("ClientHandlerType", "ClientMiddlewareType", "ClientRequest"), MIDDLEWARE),
    **{name: TRACES for name in aiohttp.__all__ if name.startswith("Trace") and "Params" in name},
    **{name: PAYLOADS for name in aiohttp.__all__ if "ayload" in name and "Error" not in name},
    "PAYLOAD_REGISTRY": PAYLOADS,
    "EMPTY_PAYLOAD": PAYLOADS,
    **dict.fromkeys(("GunicornWebWorker", "GunicornUVLoopWebWorker"), SERVER),
    **dict.fromkeys(("DataQueue", "FlowControlDataQueue", "EofStream"), INSIDE),
    "AddrInfoType": "a type of TCPConnector's arguments",
    "SocketFactoryType": "a type of TCPConnector's arguments",
    "BadContentDispositionHeader": "a warning of aiohttp's own parser",
    "BadContentDispositionParam": "a warning of aiohttp's own parser",
    "BodyPartReader": "reads multipart bodies, which the server's side receives",
    "MultipartReader": "reads multipart bodies, which the server's side receives",
    "ChainMapProxy": INSIDE,
    "DefaultResolver": "ours is the threaded one, whatever is installed",
    "ETag": SERVER,
    "UploadAbortedError": "raised by UploadTracker only",
    "UploadTracker": NO_KEYWORD["upload_tracker"],
    "content_disposition_filename": "response.content_disposition.filename",
    "parse_content_disposition": "response.content_disposition",
    "set_zlib_backend": "a setting of the whole process's aiohttp, to be made there",
}


def test_names_of_aiohttp_are_here_or_on_the_list() -> None:
    """Whoever replaces `import aiohttp` finds what clients need, or the reason why not."""
    missing = set(aiohttp.__all__) - set(syncclient.__all__)
    later = {name for where, name in LATER if where is syncclient}
    assert missing - NO_NAME.keys() - later == set(), "missing, and without a reason on the list"


def test_values_and_errors_are_aiohttps_own() -> None:
    """The same objects, not copies: isinstance() and except go on to work during a migration."""
    ours = {
        cls.__name__
        for cls in (*PAIRS, syncclient.BaseConnector)
        if cls.__name__ in syncclient.__all__
    }
    for name in set(aiohttp.__all__) & set(syncclient.__all__) - ours:
        value = getattr(syncclient, name)
        if getattr(value, "__module__", "") != "syncclient":
            assert value is getattr(aiohttp, name), name
    for name in ("ClientError", "FormData", "TraceConfig", "hdrs"):
        assert getattr(syncclient, name) is getattr(aiohttp, name)


def test_the_lists_give_reasons() -> None:
    """A line without a sentence is an excuse."""
    for table in (NO_MEMBER, NO_PARAMETER, NO_KEYWORD, OTHER_DEFAULT, NO_NAME):
        assert all(len(reason) > 5 for reason in table.values())
