"""Whether requests, urllib3 and the socket module are as they were: mocks and patches count.

``responses`` replaces ``HTTPAdapter.send``, vcrpy the connections of urllib3, many programs
``allowed_gai_family`` to have IPv4 only. What they mean is done by the code that they patched,
so a request takes the short way only while all of that is still in place.
"""

from __future__ import annotations

import socket
from operator import attrgetter

from requests.adapters import BaseAdapter
from requests.adapters import HTTPAdapter as RequestsAdapter
from urllib3 import connectionpool, poolmanager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util import connection

_HTTPPool, _HTTPSPool = connectionpool.HTTPConnectionPool, connectionpool.HTTPSConnectionPool
_SEND = RequestsAdapter.send
_URLOPEN, _MAKE_REQUEST = _HTTPPool.urlopen, _HTTPPool._make_request
_HTTP, _HTTPS = _HTTPPool.ConnectionCls, _HTTPSPool.ConnectionCls
_names = vars(connectionpool)
_NAMED = dict(_names)
_FROM_HOST = poolmanager.PoolManager.connection_from_host
_CONNECT, _CONNECT_TLS = HTTPConnection.connect, HTTPSConnection.connect
_NEW_CONN = HTTPConnection._new_conn
_CREATE_CONNECTION = connection.create_connection
_GAI_FAMILY = connection.allowed_gai_family
_SOCKET, _GETADDRINFO = socket.socket, socket.getaddrinfo
_CREATE_SOCKET = socket.create_connection


def unpatched() -> bool:
    """Return whether nothing that urllib3 would use has been replaced since the import."""
    return (
        RequestsAdapter.send is _SEND
        and _HTTPPool.urlopen is _URLOPEN
        and _HTTPPool._make_request is _MAKE_REQUEST
        and _HTTPPool.ConnectionCls is _HTTP
        and _HTTPSPool.ConnectionCls is _HTTPS
        and _names["HTTPConnection"] is _NAMED["HTTPConnection"]
        and _names["HTTPSConnection"] is _NAMED["HTTPSConnection"]
        and _names["HTTPConnectionPool"] is _HTTPPool
        and _names["HTTPSConnectionPool"] is _HTTPSPool
        and poolmanager.PoolManager.connection_from_host is _FROM_HOST
        and HTTPConnection.connect is _CONNECT
        and HTTPSConnection.connect is _CONNECT_TLS
        and HTTPConnection._new_conn is _NEW_CONN
        and connection.create_connection is _CREATE_CONNECTION
        and connection.allowed_gai_family is _GAI_FAMILY
        and socket.socket is _SOCKET
        and socket.getaddrinfo is _GETADDRINFO
        and socket.create_connection is _CREATE_SOCKET
    )


#: Methods of requests' adapter that are given a urllib3 pool or choose one, and of which the short
#: way has no use. The adapter that has others goes requests' way.
CHOOSING = (
    "build_connection_pool_key_attributes",
    "cert_verify",
    "get_connection",
    "get_connection_with_tls_context",
    "proxy_manager_for",
    "request_url",
)

#: Methods that the short way calls where they are not requests' own.
CALLED = ("add_headers", "build_response", "proxy_headers")

_NAMES = frozenset((*CHOOSING, *CALLED))
#: Each of these as requests has it, and all of them at once.
_ORIGINAL = {name: getattr(RequestsAdapter, name) for name in _NAMES}
_all_of = attrgetter(*_NAMES)
_ALL = _all_of(RequestsAdapter)
_NOTHING: frozenset[str] = frozenset()


def overridden(adapter: BaseAdapter) -> frozenset[str]:
    """Return which of these methods are not requests' own in ``adapter``."""
    cls, own = type(adapter), vars(adapter).keys()
    if _all_of(cls) == _ALL and own.isdisjoint(_NAMES):
        return _NOTHING
    changed = {name for name, method in _ORIGINAL.items() if getattr(cls, name) is not method}
    return frozenset(changed | (own & _NAMES))
