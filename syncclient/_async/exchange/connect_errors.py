"""Connection errors that say what failed, on which host, for which request, and what to do.

aiohttp's messages contain TLS settings and error numbers. These classes are subclasses of
aiohttp's, with the same names and attributes, and differ only in ``str()``.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl
from typing import Any

import aiohttp
from aiohttp import ServerFingerprintMismatch, client_exceptions
from aiohttp.client_reqrep import ConnectionKey
from yarl import URL

from ..._models import redacted_url
from .progress import Progress


class Told:
    """The message that these errors have in common."""

    #: What failed, and on which host.
    what: str = ""
    #: The request and the phase.
    request: str = ""
    #: What to do about it; may be empty.
    hint: str = ""

    def __str__(self) -> str:
        if not self.what:  # not created by ``told``
            return super().__str__()
        text = f"{self.what} ({self.request})"
        return f"{text}. {self.hint}" if self.hint else text


class ClientConnectorError(Told, aiohttp.ClientConnectorError):
    """No connection to the host could be made."""


class ClientConnectorDNSError(Told, aiohttp.ClientConnectorDNSError):
    """The name of the host has no address."""


class ClientProxyConnectionError(Told, aiohttp.ClientProxyConnectionError):
    """No connection to the proxy, or through it, could be made."""


class ClientConnectorSSLError(Told, aiohttp.ClientConnectorSSLError):
    """The TLS handshake failed."""


class ClientConnectorCertificateError(Told, aiohttp.ClientConnectorCertificateError):
    """The certificate of the server is not accepted."""


class ClientHttpProxyError(Told, aiohttp.ClientHttpProxyError):
    """The proxy refused to open a tunnel."""


class UnixClientConnectorError(Told, client_exceptions.UnixClientConnectorError):
    """No connection over a Unix socket could be made."""

    def __init__(self, path: str, connection_key: ConnectionKey, os_error: OSError) -> None:
        super().__init__(path, connection_key, os_error)
        self.args = (
            path,
            connection_key,
            os_error,
        )  # the arguments with which pickle and copy call the class


#: These classes by those of aiohttp, most specific ones first.
_CLASSES: tuple[tuple[type[aiohttp.ClientConnectorError], type[Any]], ...] = (
    (aiohttp.ClientConnectorCertificateError, ClientConnectorCertificateError),
    (aiohttp.ClientConnectorSSLError, ClientConnectorSSLError),
    (aiohttp.ClientConnectorDNSError, ClientConnectorDNSError),
    (aiohttp.ClientProxyConnectionError, ClientProxyConnectionError),
    (aiohttp.ClientConnectorError, ClientConnectorError),
)


def told(error: aiohttp.ClientConnectorError, progress: Progress) -> aiohttp.ClientConnectorError:
    """Return ``error`` with a readable message, without secrets, contexts and frames."""
    if isinstance(error, Told) and error.what:
        return error
    key = _plain_key(next(each for each in error.args if isinstance(each, ConnectionKey)))
    twin: Any
    if isinstance(error, client_exceptions.UnixClientConnectorError):
        twin = UnixClientConnectorError(error.path, key, _copied(error.os_error))
        twin.what, twin.hint = _socket_failure(error.path, error.os_error)
    else:
        ours = next(ours for theirs, ours in _CLASSES if isinstance(error, theirs))
        reason: Any = (
            error.certificate_error
            if isinstance(error, aiohttp.ClientConnectorCertificateError)
            else error.os_error
        )
        twin = ours(key, _copied(reason))
        twin.what, twin.hint = _failure(twin, reason, key, progress)
    twin.request = progress.request()
    error.args = twin.args  # it becomes the context of the twin
    result: aiohttp.ClientConnectorError = twin
    return result


def refused_by_proxy(
    error: aiohttp.ClientHttpProxyError, progress: Progress
) -> aiohttp.ClientHttpProxyError:
    """Return ``error``, which already has plain values, with a readable message."""
    if isinstance(error, Told) and error.what:
        return error
    twin = ClientHttpProxyError(
        error.request_info,
        error.history,
        status=error.status,
        message=error.message,
        headers=error.headers,
    )
    proxy = error.request_info.real_url
    answer = f"{error.status} {error.message}".rstrip()
    twin.what = f"The proxy {address(proxy.raw_host or '', proxy.port)} refused a tunnel: {answer}"
    if error.status == _PROXY_AUTHENTICATION_REQUIRED:
        twin.hint = "Pass the credentials in the URL of the proxy, or as proxy_auth=."
    twin.request = progress.request()
    return twin


_PROXY_AUTHENTICATION_REQUIRED = 407


class PinMismatchError(ServerFingerprintMismatch):
    """aiohttp's error with a readable message, which pickle and copy preserve.

    By default they call the class with ``args``, of which an error with a message has only one.
    """

    def __init__(self, expected: bytes, got: bytes, host: str, port: int, text: str) -> None:
        super().__init__(expected, got, host, port)
        self.args = (text,)

    def __reduce__(self) -> tuple[Any, ...]:
        """Recreate it from its fields."""
        fields = (self.expected, self.got, self.host, self.port, *self.args)
        return type(self), fields, self.__dict__


def pin_mismatch(error: ServerFingerprintMismatch, progress: Progress) -> PinMismatchError:
    """Return ``error`` with a readable message."""
    return PinMismatchError(
        error.expected,
        error.got,
        error.host,
        error.port,
        f"The certificate of {address(error.host, error.port)} has the SHA-256 "
        f"{error.got.hex()}, not {error.expected.hex()} ({progress.request()}). "
        "Check whether the server has renewed it.",
    )


def address(host: str, port: int | None) -> str:
    """Return ``host:port``, with brackets around an IPv6 address."""
    host = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return host if port is None else f"{host}:{port}"


def _plain_key(key: ConnectionKey) -> ConnectionKey:
    """Return ``key`` without credentials, and without a context or a fingerprint.

    A context cannot be pickled, and both would be shown as an object at an address.
    """
    proxy = key.proxy and URL(redacted_url(key.proxy), encoded=True)
    setting = key.ssl if isinstance(key.ssl, bool) else True
    return key._replace(ssl=setting, proxy=proxy, proxy_auth=None)


def _copied(error: Any) -> Any:
    """Return a copy of an OSError without its traceback. Others may share the original (DNS)."""
    number, text = getattr(error, "errno", None), getattr(error, "strerror", None)
    text = text or str(error) or type(error).__name__
    try:
        twin = type(error)(number, text)
    except TypeError:  # a class with its own constructor
        twin = OSError(number, text)
    twin.__dict__.update(getattr(error, "__dict__", {}))
    return twin


# -- messages ------------------------------------------------------------------------

_UNREACHABLE = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.ENONET} | {
    number for name in ("EHOSTDOWN",) if (number := getattr(errno, name, None)) is not None
}
_ENDED = {errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE}
_NOT_PERMITTED = {errno.EACCES, errno.EPERM}
_NO_DESCRIPTOR = {errno.EMFILE, errno.ENFILE}
_NUMBERS = {
    ConnectionRefusedError: errno.ECONNREFUSED,
    ConnectionResetError: errno.ECONNRESET,
    ConnectionAbortedError: errno.ECONNABORTED,
    BrokenPipeError: errno.EPIPE,
}
#: Error numbers of resolvers for names without an address; not every system has the second.
_NO_NAME = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}

#: Messages that add nothing to the error number.
_STOCK = re.compile(
    r"Connect call failed \([^)]*\)|Multiple exceptions: .*|Name or service not known"
    r"|No address associated with hostname|nodename nor servname provided, or not known"
    r"|Temporary failure in name resolution|getaddrinfo failed",
    re.DOTALL,
)


def _reason(error: BaseException) -> str:
    """Return the message of ``error`` if it adds to its number, otherwise an empty string."""
    number, text = getattr(error, "errno", None), getattr(error, "strerror", None) or str(error)
    if not text or text == type(error).__name__ or _STOCK.fullmatch(text):
        return ""
    stock = isinstance(number, int) and text == os.strerror(abs(number))
    return "" if stock else text


def _failure(
    error: aiohttp.ClientConnectorError,
    reason: BaseException,
    key: ConnectionKey,
    progress: Progress,
) -> tuple[str, str]:
    """Return what failed, and a hint."""
    to_proxy = isinstance(error, aiohttp.ClientProxyConnectionError) or (
        progress.proxy == (key.host, key.port)
    )
    peer = address(key.host, key.port)
    if to_proxy:
        peer = f"the proxy {peer}"
    elif progress.proxy is not None:
        peer = f"{peer}, through the proxy {address(*progress.proxy)}"
    elif progress.detail != peer and progress.detail.endswith((f":{key.port}", ".sock")):
        peer = f"{peer}, at {progress.detail}"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return _name_failure(f"the proxy {key.host}" if to_proxy else key.host, reason)
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return _certificate_failure(peer, reason)
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return _tls_failure(peer, reason)
    number, more = error.errno or _number_of(reason), _reason(reason)
    suffix = f": {more}" if more else ""
    if number == errno.ECONNREFUSED:
        hint = "Check that the server is running and listens on this port."
        if to_proxy:
            hint = "Check that the proxy is running, and check its port."
        return f"Connection refused by {peer}{suffix}", hint
    if number in _UNREACHABLE:
        hint = "Check the network of this machine, and its VPN or routes."
        return f"No route to {peer}{suffix}", hint
    if number == errno.ETIMEDOUT:
        return f"No answer from {peer}{suffix}", "A firewall may drop the packets to it."
    if number in _ENDED and key.is_ssl:
        return f"Connection closed by {peer} during the TLS handshake{suffix}", ""
    if number in _ENDED:
        return f"Connection closed by {peer} before the request was sent{suffix}", ""
    if number in _NOT_PERMITTED:
        return f"Not permitted to connect to {peer}{suffix}", "A firewall may forbid it."
    if number in _NO_DESCRIPTOR:
        hint = "Close responses and sessions, or raise the limit (ulimit -n)."
        return f"Cannot connect to {peer}: too many open files", hint
    if to_proxy and number is None:  # it was reached
        return f"The proxy {address(key.host, key.port)} failed{suffix}", ""
    if not more:
        more = os.strerror(number) if number else type(reason).__name__
    return f"Cannot connect to {peer}: {more}", ""


def _number_of(error: BaseException) -> int | None:
    """Return the number for the class of ``error``, because uvloop sometimes leaves it out."""
    for kind, number in _NUMBERS.items():
        if isinstance(error, kind):
            return number
    return None


def _name_failure(host: str, reason: BaseException) -> tuple[str, str]:
    number, more = getattr(reason, "errno", None), _reason(reason)
    if more:
        return f"Cannot resolve {host}: {more}", ""
    if number in _NO_NAME:
        return f"Host name not found: {host}", "Check its spelling, and the DNS of this machine."
    if number == socket.EAI_AGAIN:
        hint = "Check the network of this machine, or try again."
        return f"No answer from DNS for {host}", hint
    return f"Cannot resolve {host}: {getattr(reason, 'strerror', None) or reason}", ""


def _socket_failure(path: str, error: OSError) -> tuple[str, str]:
    """Return what failed on a Unix socket, and a hint."""
    more = _reason(error)
    suffix = f": {more}" if more else ""
    if error.errno == errno.ECONNREFUSED:
        hint = "No server listens on it: start the server."
        return f"Connection refused by the socket {path}{suffix}", hint
    reason = os.strerror(error.errno) if error.errno else ""
    if error.errno == errno.ENOENT:
        return f"{reason}: the socket {path}", "Check the path, and that the server is running."
    if error.errno in _NOT_PERMITTED:
        return f"{reason}: the socket {path}", "Check the permissions of the socket."
    return f"Cannot connect to the socket {path}: {more or reason}", ""


#: Hints by the number of X509_V_ERR_...
_CERTIFICATES = {
    9: "The certificate is not valid yet: check the clocks of the server and of this machine.",
    10: "The certificate has expired: renew it on the server, or check this machine's clock.",
    18: "The certificate is self-signed: pass ssl= a context that trusts it, or its Fingerprint.",
    19: "Its authority is not trusted here: pass ssl= a context with it, or set SSL_CERT_FILE.",
    20: "Its authority is unknown here, or the server omits an intermediate certificate: "
    "give ssl= a context with the authority, or set SSL_CERT_FILE.",
    21: "Its authority is unknown here, or the server omits an intermediate certificate: "
    "give ssl= a context with the authority, or set SSL_CERT_FILE.",
    23: "The certificate has been revoked.",
    62: "The certificate is for another host: use its name in the URL, or as server_hostname=.",
    64: "The certificate does not name this IP address: use a name in the URL, "
    "or as server_hostname=.",
}


def _certificate_failure(peer: str, error: BaseException) -> tuple[str, str]:
    message = getattr(error, "verify_message", "") or getattr(error, "reason", "") or str(error)
    what = f"TLS certificate verify failed for {peer}: {str(message).rstrip('.')}"
    return what, _CERTIFICATES.get(getattr(error, "verify_code", 0), "")


#: Hints by the reason of an ssl.SSLError.
_HANDSHAKES = {
    "WRONG_VERSION_NUMBER": "The server does not speak TLS on this port, perhaps plain HTTP: "
    "check the scheme and the port of the URL.",
    "HTTP_REQUEST": "The server speaks plain HTTP on this port: write http:// instead of https://.",
    "UNSUPPORTED_PROTOCOL": "The server and this client have no version of TLS in common.",
    "TLSV1_ALERT_PROTOCOL_VERSION": "The server and this client have no version of TLS in common.",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "The server and this client have no TLS version, cipher "
    "or certificate in common.",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "The server asks for a client certificate: "
    "pass ssl= a context with one.",
    "TLSV1_UNRECOGNIZED_NAME": "The server does not know this host name: check the URL "
    "and server_hostname=.",
    "TLSV1_ALERT_UNRECOGNIZED_NAME": "The server does not know this host name: check the URL "
    "and server_hostname=.",
    "UNEXPECTED_EOF_WHILE_READING": "The server closed the connection during the handshake.",
}
_HANDSHAKES["PACKET_LENGTH_TOO_LONG"] = _HANDSHAKES["WRONG_VERSION_NUMBER"]
_HANDSHAKES["RECORD_LAYER_FAILURE"] = _HANDSHAKES["WRONG_VERSION_NUMBER"]


def _tls_failure(peer: str, error: BaseException) -> tuple[str, str]:
    name = getattr(error, "reason", None)
    if not isinstance(error, ssl.SSLError) or not name:
        return f"TLS failed for {peer}: {_reason(error) or error}", ""
    said = str(name).replace("_", " ").lower()
    return f"TLS handshake failed with {peer}: {said}", _HANDSHAKES.get(str(name), "")
