"""A blocking HTTP and WebSocket client whose engine is aiohttp in a background thread.

>>> import syncclient
>>> with syncclient.Session() as session:              # doctest: +SKIP
...     with session.get("https://python.org") as response:
...         print(response.status, response.headers["Content-Type"])

The floors, each of which imports only from earlier ones: ground (the other files in this folder:
values, errors, types); core (``_async``: the async client) and boundary (``_boundary``: the loop
thread, and the calls that cross to it), which do not know each other; face (``_bodies``,
``_client``, ``_aio``, and on top ``_session`` and ``_api``).
"""

import typing as _typing

from aiohttp import (
    ClientConnectionError,
    ClientConnectionResetError,
    ClientConnectorCertificateError,
    ClientConnectorDNSError,
    ClientConnectorError,
    ClientConnectorSSLError,
    ClientError,
    ClientHttpProxyError,
    ClientOSError,
    ClientPayloadError,
    ClientProxyConnectionError,
    ClientResponseError,
    ClientSSLError,
    ClientWSTimeout,
    ConnectionTimeoutError,
    ContentTypeError,
    Fingerprint,
    FormData,
    HttpVersion,
    InvalidURL,
    InvalidUrlClientError,
    InvalidUrlRedirectClientError,
    MultipartWriter,
    NonHttpUrlClientError,
    NonHttpUrlRedirectClientError,
    RedirectClientError,
    RequestInfo,
    ServerConnectionError,
    ServerDisconnectedError,
    ServerFingerprintMismatch,
    ServerTimeoutError,
    SocketTimeoutError,
    TooManyRedirects,
    TraceConfig,
    WebSocketError,
    WSCloseCode,
    WSMessage,
    WSMessageTypeError,
    WSMsgType,
    WSServerHandshakeError,
    encode_basic_auth,
    hdrs,
)
from multidict import CIMultiDict, CIMultiDictProxy, MultiDict, MultiDictProxy
from yarl import URL

from ._aio.response import AioResponse
from ._aio.session import AioSession
from ._aio.websocket import AioWebSocket
from ._api import delete, get, head, options, patch, post, put, request
from ._async.exchange.retry import Retry
from ._async.middleware.cache.cache import HTTPCache
from ._async.middleware.digest import DigestAuthMiddleware
from ._async.middleware.rate_limit import RateLimit
from ._async.middleware.request_log import RequestLog
from ._async.sse import ServerSentEvent
from ._basic_auth import BasicAuth
from ._bodies.aio_stream import AioStreamReader
from ._bodies.stream import StreamReader
from ._bodies.streamer import streamer
from ._bodies.writer import BodyWriter
from ._boundary.loop_thread import LoopThread
from ._client.bearer import BearerAuth
from ._client.connectors import BaseConnector, TCPConnector
from ._client.cookies import CookieJar, DummyCookieJar
from ._client.event_source import EventSource
from ._client.har import HarRecorder
from ._client.map import Request, ResponseIterator
from ._client.middlewares import HandlerType, MiddlewareRequest, MiddlewareType
from ._client.resolvers import AsyncResolver, ThreadedResolver
from ._client.response import Response, StatusError
from ._client.transports import NamedPipeConnector, SocksConnector, UnixConnector
from ._client.websocket import WebSocket
from ._client.websocket_forever import Forever
from ._deadline import DeadlineError, timeout
from ._exceptions import (
    BlockingCallError,
    ConnectTimeoutError,
    LineTooLongError,
    LoopThreadError,
    PoolTimeoutError,
    ReadTimeoutError,
    SessionClosedError,
    TotalTimeoutError,
    WriteTimeoutError,
)
from ._models import Attempt, Timings
from ._name_clash import check_name as _check_name
from ._other_libraries import not_in_module as _not_in_module
from ._session import Session
from ._timeout import ClientTimeout
from ._types import HttpVersion10, HttpVersion11
from ._version import __version__ as __version__

__all__ = [
    "AioResponse",
    "AioSession",
    "AioStreamReader",
    "AioWebSocket",
    "AsyncResolver",
    "Attempt",
    "BaseConnector",
    "BasicAuth",
    "BearerAuth",
    "BlockingCallError",
    "BodyWriter",
    "CIMultiDict",
    "CIMultiDictProxy",
    "ClientConnectionError",
    "ClientConnectionResetError",
    "ClientConnectorCertificateError",
    "ClientConnectorDNSError",
    "ClientConnectorError",
    "ClientConnectorSSLError",
    "ClientError",
    "ClientHttpProxyError",
    "ClientOSError",
    "ClientPayloadError",
    "ClientProxyConnectionError",
    "ClientResponseError",
    "ClientSSLError",
    "ClientTimeout",
    "ClientWSTimeout",
    "ConnectTimeoutError",
    "ConnectionTimeoutError",
    "ContentTypeError",
    "CookieJar",
    "DeadlineError",
    "DigestAuthMiddleware",
    "DummyCookieJar",
    "EventSource",
    "Fingerprint",
    "Forever",
    "FormData",
    "HTTPCache",
    "HandlerType",
    "HarRecorder",
    "HttpVersion",
    "HttpVersion10",
    "HttpVersion11",
    "InvalidURL",
    "InvalidUrlClientError",
    "InvalidUrlRedirectClientError",
    "LineTooLongError",
    "LoopThread",
    "LoopThreadError",
    "MiddlewareRequest",
    "MiddlewareType",
    "MultiDict",
    "MultiDictProxy",
    "MultipartWriter",
    "NamedPipeConnector",
    "NonHttpUrlClientError",
    "NonHttpUrlRedirectClientError",
    "PoolTimeoutError",
    "RateLimit",
    "ReadTimeoutError",
    "RedirectClientError",
    "Request",
    "RequestInfo",
    "RequestLog",
    "Response",
    "ResponseIterator",
    "Retry",
    "ServerConnectionError",
    "ServerDisconnectedError",
    "ServerFingerprintMismatch",
    "ServerSentEvent",
    "ServerTimeoutError",
    "Session",
    "SessionClosedError",
    "SocketTimeoutError",
    "SocksConnector",
    "StatusError",
    "StreamReader",
    "TCPConnector",
    "ThreadedResolver",
    "Timings",
    "TooManyRedirects",
    "TotalTimeoutError",
    "TraceConfig",
    "URL",
    "UnixConnector",
    "WSCloseCode",
    "WSMessage",
    "WSMessageTypeError",
    "WSMsgType",
    "WSServerHandshakeError",
    "WebSocket",
    "WebSocketError",
    "WriteTimeoutError",
    "delete",
    "encode_basic_auth",
    "get",
    "hdrs",
    "head",
    "options",
    "patch",
    "post",
    "put",
    "request",
    "streamer",
    "timeout",
]

# In tracebacks and pickles, classes show where users can import them from.
for _name in __all__:
    _value = globals()[_name]
    if getattr(_value, "__module__", "").startswith("syncclient."):
        _value.__module__ = "syncclient"
del _name, _value

_check_name(__file__)

if not _typing.TYPE_CHECKING:

    def __getattr__(name):
        raise _not_in_module(name)
