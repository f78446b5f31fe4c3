"""A blocking HTTP and WebSocket client whose engine is aiohttp in a background thread.

>>> import syncclient
>>> with syncclient.Session() as session:              # doctest: +SKIP
...     with session.get("https://python.org") as response:
...         print(response.status, response.headers["Content-Type"])

The layers, each of which imports only what stands left of it: ground (values, errors,
types) <- core (``_async``: the async client) and boundary (the loop thread and the way
across: ``_loop_thread``, ``_call``, ``_portal``, ``_fork``) <- face (all the rest).
"""

from aiohttp import (
    BasicAuth,
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
    ClientTimeout,
    ClientWSTimeout,
    ConnectionTimeoutError,
    ContentTypeError,
    DigestAuthMiddleware,
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

from ._aio import AioSession
from ._aio_response import AioResponse
from ._aio_stream import AioStreamReader
from ._aio_websocket import AioWebSocket
from ._api import delete, get, head, options, patch, post, put, request
from ._async.rate_limit import RateLimit
from ._async.request_log import RequestLog
from ._async.retry import Retry
from ._async.sse import ServerSentEvent
from ._bearer import BearerAuth
from ._body_writer import BodyWriter
from ._connector import BaseConnector, TCPConnector
from ._cookies import CookieJar, DummyCookieJar
from ._deadline import DeadlineError, timeout
from ._exceptions import (
    BlockingCallError,
    ConnectTimeoutError,
    LoopThreadError,
    PoolTimeoutError,
    ReadTimeoutError,
    SessionClosedError,
    TotalTimeoutError,
)
from ._loop_thread import LoopThread
from ._many import Request, ResponseIterator
from ._middleware_request import MiddlewareRequest
from ._middlewares import HandlerType, MiddlewareType
from ._models import Attempt, Timings
from ._resolver import AsyncResolver, ThreadedResolver
from ._response import Response
from ._session import Session
from ._sse import EventSource
from ._stream import StreamReader
from ._transports import NamedPipeConnector, SocksConnector, UnixConnector
from ._types import HttpVersion10, HttpVersion11
from ._websocket import WebSocket
from ._ws_forever import Forever

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
    "HandlerType",
    "HttpVersion",
    "HttpVersion10",
    "HttpVersion11",
    "InvalidURL",
    "InvalidUrlClientError",
    "InvalidUrlRedirectClientError",
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
    "timeout",
]

# A user who sees a class in a traceback or a pickle learns where to import it from.
for _name in __all__:
    _value = globals()[_name]
    if getattr(_value, "__module__", "").startswith("syncclient."):
        _value.__module__ = "syncclient"
del _name, _value
