"""The names that requests, httpx, aiohttp and the rest have, and what to write here.

Someone who comes from one of them meets an error that says so, where the name is looked up.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from difflib import get_close_matches
from functools import wraps
from opcode import opmap
from typing import Any, TypeVar

#: By the class or the function they are looked up in, then by their name. A hint is true of all
#: that share it: of a Session, a one-shot function, ``map`` and ``session.aio``.
HINTS: Mapping[str, Mapping[str, str]] = {
    "syncclient": {
        "AsyncClient": "Session().aio",
        "AsyncSession": "Session().aio",
        "Client": "Session",
        "ClientResponse": "Response, and AioResponse for session.aio",
        "ClientSession": "Session, and Session().aio for async code",
        "ClientWebSocketResponse": "WebSocket, and AioWebSocket for session.aio",
        "CloseError": "ClientPayloadError",
        "ConnectError": "ClientConnectorError",
        "ConnectTimeout": "ConnectionTimeoutError",
        "ConnectionClosed": "no error: iteration over a WebSocket ends, and close_code says why",
        "ConnectionError": "ClientConnectionError",
        "Cookies": "CookieJar",
        "DigestAuth": "DigestAuthMiddleware",
        "HTTPAdapter": "Session(connector=TCPConnector(...)), or syncclient.requests.adapters",
        "HTTPBasicAuth": "BasicAuth, or a pair (login, password)",
        "HTTPDigestAuth": "DigestAuthMiddleware",
        "HTTPError": "StatusError for a status of 400 or above, ClientError for all errors",
        "HTTPStatusError": "StatusError",
        "HTTPTransport": "Session(connector=TCPConnector(...))",
        "Headers": "CIMultiDict",
        "JSONDecodeError": "json.JSONDecodeError of the standard library",
        "Limits": "TCPConnector(limit=..., limit_per_host=...)",
        "MaxRetryError": "the error of the last attempt, whose attempts names all",
        "MockTransport": "syncclient.testing.MockTransport",
        "NetRCAuth": "Session(trust_env=True)",
        "PoolManager": "Session",
        "PoolTimeout": "PoolTimeoutError",
        "Proxy": "proxy= of a Session or a request",
        "ProxyError": "ClientHttpProxyError or ClientProxyConnectionError",
        "ReadError": "ClientConnectionError or ClientPayloadError",
        "ReadTimeout": "ReadTimeoutError",
        "RequestError": "ClientError",
        "RequestException": "ClientError",
        "SSLError": "ClientSSLError",
        "StreamError": "ClientPayloadError",
        "Timeout": "ClientTimeout(...) as a setting, TimeoutError or ServerTimeoutError to catch",
        "TimeoutException": "TimeoutError or ServerTimeoutError",
        "TransportError": "ClientConnectionError",
        "WebSocketApp": "Session().ws_connect(url), or Session().ws_connect_forever(url)",
        "WebSocketException": "ClientError",
        "WriteTimeout": "WriteTimeoutError",
        "adapters": "Session(connector=...), or syncclient.requests.adapters",
        "auth": "auth= with a pair, BasicAuth, BearerAuth or DigestAuthMiddleware",
        "codes": "http.HTTPStatus of the standard library",
        "connect": "Session().ws_connect(url)",
        "cookies": "CookieJar",
        "create_connection": "Session().ws_connect(url)",
        "download": "Session().download(url, path)",
        "events": "Session().sse(url)",
        "exceptions": "syncclient itself: syncclient.ClientError and its subclasses",
        "map": "Session().map(requests)",
        "session": "Session()",
        "sessions": "Session",
        "sse": "Session().sse(url)",
        "stream": "Session().get(url), whose body stays on the wire until it is read",
        "structures": "CIMultiDict",
        "submit": "Session().submit(method, url)",
        "ws_connect": "Session().ws_connect(url)",
    },
    "Session": {
        "adapters": "connector",
        "allow_redirects": "Session(allow_redirects=...), or allow_redirects= of a request",
        "build_request": "request(), which prepares and sends",
        "cert": "Session(ssl=context), an ssl.SSLContext after load_cert_chain(...)",
        "content": "data= of a request",
        "cookies": "cookie_jar",
        "data": "data= of a request",
        "default_encoding": "fallback_charset_resolver",
        "event_hooks": "trace_configs or middlewares",
        "files": "data= of a request, a dict or a FormData with open files in it",
        "follow_redirects": "allow_redirects, of a Session or a request",
        "get_adapter": "connector",
        "hooks": "trace_configs or middlewares",
        "http2": "nothing: HTTP/1.1 is spoken, and no other",
        "is_closed": "closed",
        "json": "json= of a request",
        "limits": "Session(connector=TCPConnector(limit=...))",
        "max_redirects": "Session(max_redirects=...), or max_redirects= of a request",
        "max_retries": "Session(retry=...)",
        "mount": "Session(connector=...)",
        "mounts": "Session(connector=...)",
        "params": "Session(params=...), or params= of a request",
        "prepare_request": "request(), which prepares and sends",
        "proxies": "Session(proxy=...), or trust_env=True for the environment's",
        "retries": "Session(retry=...)",
        "send": "request()",
        "stream": "get(): a body stays on the wire until it is read",
        "transport": "Session(connector=...)",
        "verify": "Session(ssl=...), or ssl= of a request",
    },
    "a request": {
        "body": "data=, or json=",
        "cert": "ssl=context, an ssl.SSLContext after load_cert_chain(...)",
        "content": "data=",
        "extensions": "timeout=, or trace_configs= of a Session",
        "files": "data=, a dict or a FormData with open files in it",
        "follow_redirects": "allow_redirects=",
        "hooks": "middlewares=, or trace_configs= of a Session",
        "max_retries": "retry=",
        "proxies": "proxy=, or trust_env=True of a Session for the environment's",
        "retries": "retry=",
        "stream": (
            "nothing: a Session leaves a body on the wire until it is read, and one-shot "
            "functions and map() read it whole"
        ),
        "trust_env": "trust_env=True of a Session",
        "verify": "ssl=False, or ssl=context for a CA of your own",
    },
    "Response": {
        "apparent_encoding": "get_encoding()",
        "body": "read(), or content for a file of it",
        "data": "read()",
        "encoding": "get_encoding(), or text(encoding=...)",
        "http_version": "version",
        "is_client_error": "400 <= status < 500",
        "is_closed": "closed",
        "is_error": "not response.ok",
        "is_permanent_redirect": "status in (301, 308)",
        "is_redirect": "history, or status",
        "is_server_error": "status >= 500",
        "is_success": "ok",
        "iter_bytes": "content.iter_chunked(n)",
        "iter_content": "content.iter_chunked(n)",
        "iter_raw": "content.iter_chunked(n) of a request with auto_decompress=False",
        "iter_text": "iter_lines(), or text()",
        "next": "headers['Location'] of a request with allow_redirects=False",
        "num_bytes_downloaded": "content.total_bytes",
        "raw": "content, a readable binary file",
        "reason_phrase": "reason",
        "request": "request_info",
        "status_code": "status",
    },
    "StreamReader": {
        "decode": "text() of the response, or read() of it for bytes",
        "encode": "read() of the response",
        "find": "read() of the response, for bytes",
        "hex": "read() of the response, for bytes",
        "iter_content": "iter_chunked(n)",
        "json": "json() of the response",
        "split": "text() of the response, or read() of it for bytes",
        "splitlines": "iter_lines() of the response",
        "startswith": "read() of the response, for bytes",
        "strip": "text() of the response, or read() of it for bytes",
        "text": "text() of the response",
    },
    "iter_lines": {
        "chunk_size": "nothing: lines come as they arrive",
        "decode_unicode": "nothing: lines are text, and bytes from response.content",
        "delimiter": "response.content.readuntil(separator)",
    },
    "json": {
        name: f"json(loads=functools.partial(json.loads, {name}=...))"
        for name in (
            "object_hook",
            "object_pairs_hook",
            "parse_constant",
            "parse_float",
            "parse_int",
        )
    },
    "ws_connect": {
        "additional_headers": "headers=",
        "cookie": "headers={'Cookie': ...}, or the session's cookie_jar",
        "cookies": "headers={'Cookie': ...}, or the session's cookie_jar",
        "header": "headers=",
        "max_size": "max_msg_size=",
        "open_timeout": "a block: with syncclient.timeout(seconds):",
        "ping_interval": "heartbeat=",
        "sslopt": "ssl=",
        "subprotocols": "protocols=",
        "verify": "ssl=",
    },
    "WebSocket": {
        "close_reason": "close_code",
        "connected": "not socket.closed",
        "recv": "receive().data, receive_str() or receive_bytes()",
        "recv_data": "receive()",
        "recv_streaming": "receive(): messages come whole",
        "run_forever": "session.ws_connect_forever(), to iterate over",
        "send": "send_str() or send_bytes()",
        "send_binary": "send_bytes()",
        "send_text": "send_str()",
        "settimeout": (
            "receive(timeout=...), or timeout=ClientWSTimeout(ws_receive=...) of ws_connect"
        ),
        "subprotocol": "protocol",
    },
    "ClientTimeout": {
        "conn_timeout": "connect=",
        "read": "sock_read=",
        "read_timeout": "sock_read=",
        "timeout": "total=",
        "write": "sock_write=",
    },
    "TCPConnector": {
        "cert": "ssl=context, an ssl.SSLContext after load_cert_chain(...)",
        "http2": "nothing: HTTP/1.1 is spoken, and no other",
        "keepalive_expiry": "keepalive_timeout=",
        "local_address": "local_addr=(address, 0)",
        "loop": "nothing: it is made without a loop",
        "max_connections": "limit=",
        "max_keepalive_connections": "limit=",
        "max_retries": "retry= of a Session or a request",
        "pool_connections": "limit=",
        "pool_maxsize": "limit=",
        "proxy": "proxy= of a Session or a request",
        "retries": "retry= of a Session or a request",
        "uds": "UnixConnector(path)",
        "verify": "ssl=",
    },
    "Retry": {
        "allowed_methods": "methods=",
        "backoff_factor": "backoff=",
        "backoff_jitter": "jitter=",
        "backoff_max": "max_delay=",
        "connect": "attempts=, which counts the first one too",
        "factor": "backoff=",
        "max_attempts": "attempts=",
        "max_retries": "attempts=, which counts the first one too",
        "raise_on_status": "raise_for_status= of the request",
        "read": "attempts=, which counts the first one too",
        "redirect": "max_redirects= of the request",
        "respect_retry_after_header": "nothing: a Retry-After is followed, up to max_delay=",
        "retries": "attempts=, which counts the first one too",
        "status": "attempts=, which counts the first one too",
        "status_forcelist": "statuses=",
        "total": "attempts=, which counts the first one too",
    },
}


def no_such_keyword(taker: str, name: str, known: Iterable[str] = ()) -> TypeError:
    """Return the error for a keyword that ``taker``, a key of ``HINTS``, does not take.

    One that is nearly among the ``known`` ones is taken for a slip.
    """
    verb = "here it is" if taker == "Session" else "write"
    hint = HINTS[taker].get(name)
    if hint is None and (near := get_close_matches(name, known, 1, _NEAR)):
        hint = f"{near[0]}="
    return TypeError(
        f"{taker} takes no keyword {name!r}" + ("" if hint is None else f"; {verb} {hint}")
    )


#: How alike two names are that may be one, from 0 to 1: ``header`` and ``headers``.
_NEAR = 0.75


def check_keywords(taker: str, given: Mapping[str, object], known: Collection[str]) -> None:
    """Raise TypeError for the first of ``given`` that is not among the ``known`` keywords."""
    for name in given:
        if name not in known:
            raise no_such_keyword(taker, name, known)


def not_by_position(method: str) -> TypeError:
    """Return the error for a second positional argument of a verb."""
    what = "data=... or json=..." if method in ("POST", "PUT", "PATCH") else "params=..."
    return TypeError(f"only the URL is given by position: write {what} for what comes after it")


T = TypeVar("T")


def answering(taker: str) -> Callable[[type[T]], type[T]]:
    """Return a decorator of classes, whose errors of unknown keywords then give the hints."""

    def decorate(cls: type[T]) -> type[T]:
        made = cls.__init__
        code = made.__code__
        known = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]

        @wraps(made)
        def init(self: T, *args: Any, **given: Any) -> None:
            check_keywords(taker, given, known)
            made(self, *args, **given)

        setattr(cls, "__init__", init)  # noqa: B010  # mypy has none of assigning it
        return cls

    return decorate


def no_such_attribute(
    kind: str, owner: object, name: str, *, to_set: bool = False
) -> AttributeError:
    """Return the error for an attribute that ``owner``, of the ``kind`` in ``HINTS``, lacks.

    ``to_set`` says that the user tried to set it.
    """
    what = "Session" if kind == "Session" else type(owner).__name__
    text = f"{what} has no attribute {name!r}" + (" to set" if to_set else "")
    hint = HINTS[kind].get(name)
    if hint is not None:
        # With a name and no object: Python would add "Did you mean", and then a private name.
        return AttributeError(f"{text}; here it is {hint}", name=name)
    return AttributeError(text, name=name, obj=_Public(owner))


class _Public:
    """What Python looks for a similar name in: the public ones of an object."""

    def __init__(self, owner: object) -> None:
        self._owner = owner

    def __dir__(self) -> list[str]:
        return [name for name in dir(self._owner) if not name.startswith("_")]


def not_in_module(name: str) -> Exception:
    """Return the error for a name that the module ``syncclient`` lacks.

    An AttributeError; but an ImportError for ``from syncclient import name``, which would
    replace the message of an AttributeError by its own. To be called by the module's
    ``__getattr__``.
    """
    hint = HINTS["syncclient"].get(name)
    if hint is None:
        return AttributeError(
            f"module 'syncclient' has no attribute {name!r}",
            name=name,
            obj=_Public(sys.modules["syncclient"]),
        )
    asking = sys._getframe(2)
    code = asking.f_code.co_code
    if 0 <= asking.f_lasti < len(code) and code[asking.f_lasti] == opmap["IMPORT_FROM"]:
        text = f"cannot import name {name!r} from 'syncclient'; here it is {hint}"
        return ImportError(text, name="syncclient")
    return AttributeError(f"module 'syncclient' has no attribute {name!r}; here it is {hint}")
