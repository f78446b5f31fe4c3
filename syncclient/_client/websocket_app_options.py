"""The arguments of ``WebSocketApp.run_forever``, converted to those of ``ws_connect``."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from yarl import URL

#: Arguments that are not supported, and what to write instead.
_REFUSED = {
    "sockopt": "pass the app a session with TCPConnector(socket_factory=...)",
    "ping_payload": "call app.sock.ping(payload)",
    "http_no_proxy": "list the hosts in the environment variable NO_PROXY",
    "http_proxy_timeout": "pass the app a session with a timeout",
    "dispatcher": "call run_forever in a separate thread",
    "suppress_host": "HTTP/1.1 needs a Host header",
}
_PROXIES = ("http", "socks4", "socks4a", "socks5", "socks5h")
_OF_TLS = frozenset(
    {
        *("context", "cert_reqs", "check_hostname", "server_hostname"),
        *("ca_certs", "ca_cert_path", "certfile", "keyfile", "password"),
    }
)


def run_options(
    *,
    refused: Mapping[str, object],
    pings: tuple[float, float | None],
    tls: Mapping[str, Any] | None,
    proxy: tuple[str | None, str | None, int | str | None, tuple[str, str] | None],
) -> dict[str, Any]:
    """Return the keywords of ``ws_connect`` for the arguments of ``run_forever``.

    Raises:
        ValueError: one is not supported, or is wrong; the message says what to write.
    """
    for name, value in refused.items():
        if value:
            raise ValueError(f"{name} is not supported: {_REFUSED[name]}")
    options: dict[str, Any] = {}
    interval, limit = pings
    if interval and interval < 0:
        raise ValueError("Ensure ping_interval >= 0")
    if limit is not None and limit <= 0:
        raise ValueError("Ensure ping_timeout > 0")
    if interval and limit and interval <= limit:
        raise ValueError("Ensure ping_interval > ping_timeout")
    if interval:
        # The engine waits half of the interval for a pong.
        options["heartbeat"] = interval if limit is None else min(interval, 2 * limit)
    return options | _tls(tls or {}) | _proxy(*proxy)


def _proxy(
    kind: str | None, host: str | None, port: int | str | None, auth: tuple[str, str] | None
) -> dict[str, Any]:
    kind = kind or "http"
    if kind not in _PROXIES:
        raise ValueError(f"proxy_type must be one of {', '.join(_PROXIES)}, not {kind!r}")
    if not host:
        return {}
    if not port:
        raise ValueError("http_proxy_host needs http_proxy_port")
    url = URL.build(scheme=kind, host=host, port=int(port))
    return {"proxy": url.with_user(auth[0]).with_password(auth[1]) if auth else url}


def _tls(given: Mapping[str, Any]) -> dict[str, Any]:
    if unknown := sorted(given.keys() - _OF_TLS):
        raise ValueError(
            f"sslopt[{unknown[0]!r}] is not supported: set it on an SSLContext, and write "
            'sslopt={"context": context}'
        )
    options: dict[str, Any] = {}
    if given.get("server_hostname"):
        options["server_hostname"] = given["server_hostname"]
    context = given.get("context")
    if context is None and given.keys() - {"server_hostname"}:
        context = ssl.create_default_context(
            cafile=given.get("ca_certs"), capath=given.get("ca_cert_path")
        )
        verify = given.get("cert_reqs", ssl.CERT_REQUIRED)
        context.check_hostname = verify != ssl.CERT_NONE and given.get("check_hostname", True)
        context.verify_mode = verify
        if given.get("certfile"):
            context.load_cert_chain(given["certfile"], given.get("keyfile"), given.get("password"))
    if context is not None:
        options["ssl"] = context
    return options


def header_pairs(
    header: Mapping[str, str | None]
    | Iterable[str]
    | Callable[[], Mapping[str, str | None] | Iterable[str]]
    | None,
    cookie: str | None,
    host: str | None,
) -> list[tuple[str, str]]:
    """Return the headers of a handshake as pairs.

    Raises:
        ValueError: a string among them is not "Name: value".
    """
    given = header() if callable(header) else header or ()
    pairs: list[tuple[str, str]] = []
    if isinstance(given, Mapping):
        pairs += [(name, value) for name, value in given.items() if value is not None]
    else:
        for line in given:
            name, colon, value = line.partition(":")
            if not colon:
                raise ValueError("header must contain strings such as 'Name: value'")
            pairs.append((name.strip(), value.strip()))
    if host:
        pairs.append(("Host", host))
    if cookie:
        pairs.append(("Cookie", cookie))
    return pairs


def origin_of(url: str) -> str:
    """Return the origin that a page at ``url`` would have."""
    parsed = URL(url)
    scheme = {"ws": "http", "wss": "https"}.get(parsed.scheme, parsed.scheme)
    return str(parsed.with_scheme(scheme).origin()) if parsed.host else ""
