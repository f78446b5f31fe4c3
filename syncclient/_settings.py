"""What a session was made with, to be looked at: its read-only properties."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from aiohttp import ClientTimeout, HttpVersion, TraceConfig
    from multidict import CIMultiDict, istr

    from ._async.session import AsyncSession
    from ._connector import BaseConnector
    from ._cookies import BaseCookieJar
    from ._portal import Portal
    from ._request import Auth, Defaults, RaiseForStatus
    from ._response import CharsetResolver, Response
    from ._types import JSONEncoder

#: What sessions of requests and httpx have or take, and what to write here.
TWINS = {
    "build_request": "request(), which prepares and sends",
    "cert": "Session(connector=TCPConnector(ssl=context))",
    "cookies": "cookie_jar",
    "default_encoding": "fallback_charset_resolver",
    "event_hooks": "trace_configs or middlewares",
    "follow_redirects": "allow_redirects= of a request",
    "hooks": "trace_configs or middlewares",
    "http2": "nothing: HTTP/1.1 is spoken, and no other",
    "is_closed": "closed",
    "limits": "Session(connector=TCPConnector(limit=...))",
    "max_redirects": "max_redirects= of a request",
    "mount": "Session(connector=...)",
    "mounts": "Session(connector=...)",
    "params": "params= of a request",
    "prepare_request": "request(), which prepares and sends",
    "proxies": "Session(proxy=...), or trust_env=True for the environment's",
    "send": "request()",
    "stream": "get(): a body stays on the wire until it is read",
    "transport": "Session(connector=...)",
    "verify": "Session(connector=TCPConnector(ssl=...)), or ssl= of a request",
}

#: Those that requests has set on a session. Others may be a subclass's own.
_SETTABLE_THERE = frozenset(
    {"cert", "cookies", "hooks", "max_redirects", "params", "proxies", "stream", "verify"}
)


class Settings:
    """The settings of a session. Any thread may look at them; none of it blocks."""

    _defaults: Defaults
    _options: dict[str, Any]
    _connector: BaseConnector
    _connector_owner: bool
    _cookie_jar: BaseCookieJar[Any]
    _charset_resolver: CharsetResolver
    #: The keywords the session was made with, those at their defaults left out.
    _given: dict[str, Any]
    _portal: Portal[AsyncSession]

    @property
    def headers(self) -> CIMultiDict[str]:
        """The headers of every request; changes apply from the next request on."""
        return self._defaults.headers

    @property
    def skip_auto_headers(self) -> frozenset[istr]:
        """Names of headers that are not added by themselves."""
        return self._defaults.skip_auto_headers

    @property
    def auth(self) -> Auth:
        """The credentials of every request."""
        return self._defaults.auth

    @property
    def timeout(self) -> ClientTimeout:
        """The timeouts of requests that set none."""
        return self._defaults.timeout

    @property
    def cookie_jar(self) -> BaseCookieJar[Any]:
        """The cookies. Its methods block for a crossing."""
        return self._cookie_jar

    @property
    def connector(self) -> BaseConnector:
        """How connections are made."""
        return self._connector

    @property
    def connector_owner(self) -> bool:
        """Whether the connector is closed with the session."""
        return self._connector_owner

    @property
    def json_serialize(self) -> JSONEncoder:
        """What turns ``json=`` into text."""
        return self._defaults.json_serialize

    @property
    def raise_for_status(self) -> RaiseForStatus[Response]:
        """Whether a status of 400 or above raises."""
        return self._defaults.raise_for_status

    @property
    def version(self) -> HttpVersion:
        """The HTTP version spoken."""
        return cast("HttpVersion", self._options["version"])

    @property
    def auto_decompress(self) -> bool:
        """Whether bodies are decompressed."""
        return cast(bool, self._options["auto_decompress"])

    @property
    def trust_env(self) -> bool:
        """Whether proxies and .netrc of the environment are used."""
        return cast(bool, self._options["trust_env"])

    @property
    def requote_redirect_url(self) -> bool:
        """Whether Location headers are quoted anew."""
        return cast(bool, self._options["requote_redirect_url"])

    @property
    def trace_configs(self) -> list[TraceConfig]:
        """The TraceConfigs of every request."""
        return cast("list[TraceConfig]", self._options["trace_configs"])

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            hint = f"; here it is {TWINS[name]}" if name in TWINS else ""
            raise AttributeError(f"Session has no attribute {name!r}{hint}", name=name, obj=self)

        def __setattr__(self, name, value):
            # To take session.verify = "ca.pem" and do nothing of the kind would be a trap.
            if name in _SETTABLE_THERE and not hasattr(type(self), name):
                raise AttributeError(
                    f"Session has no attribute {name!r} to set; here it is {TWINS[name]}",
                    name=name,
                    obj=self,
                )
            super().__setattr__(name, value)
