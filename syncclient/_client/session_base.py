"""SessionBase: the settings, which a Session and its ``aio`` have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._other_libraries import HINTS, no_such_attribute
from .place import Place
from .session_settings import AllOptions, SessionOptions

if TYPE_CHECKING:
    from aiohttp import HttpVersion, TraceConfig
    from multidict import CIMultiDict, istr

    from .._timeout import ClientTimeout
    from .._types import JSONEncoder
    from .arguments import RaiseForStatus
    from .connectors import BaseConnector
    from .cookies import BaseCookieJar
    from .headers import Auth
    from .response import Response


class SessionBase:
    """The settings of a session. Any thread may read them without blocking."""

    __slots__ = ("_place",)

    _place: Place

    @property
    def closed(self) -> bool:
        """Whether the session is closed."""
        return self._place.closed

    @property
    def headers(self) -> CIMultiDict[str]:
        """The headers of every request; changes apply from the next request on."""
        return self._place.settings.headers

    @property
    def skip_auto_headers(self) -> frozenset[istr]:
        """Names of headers that are not added automatically."""
        return self._place.settings.skip_auto_headers

    @property
    def auth(self) -> Auth:
        """The credentials of every request."""
        return self._place.settings.auth

    @property
    def timeout(self) -> ClientTimeout:
        """The timeouts of requests that set none."""
        return self._place.settings.timeout

    @property
    def cookie_jar(self) -> BaseCookieJar[Any]:
        """The cookies. Its methods block for a crossing."""
        return self._place.settings.cookie_jar

    @property
    def connector(self) -> BaseConnector:
        """The connector: the settings and the state of the pool."""
        return self._place.connector

    @property
    def connector_owner(self) -> bool:
        """Whether the connector is closed with the session."""
        return self._place.settings.connector_owner

    @property
    def json_serialize(self) -> JSONEncoder:
        """The function that turns ``json=`` into text or bytes."""
        return self._place.settings.serialize

    @property
    def raise_for_status(self) -> RaiseForStatus[Response]:
        """Whether a status of 400 or above raises."""
        return self._place.settings.raise_for_status

    @property
    def version(self) -> HttpVersion:
        """The HTTP version spoken."""
        return self._place.settings.version

    @property
    def auto_decompress(self) -> bool:
        """Whether bodies are decompressed."""
        return self._place.settings.auto_decompress

    @property
    def trust_env(self) -> bool:
        """Whether proxies and .netrc of the environment are used."""
        return self._place.settings.trust_env

    @property
    def requote_redirect_url(self) -> bool:
        """Whether Location headers are requoted."""
        return self._place.settings.requote_redirect_url

    @property
    def trace_configs(self) -> list[TraceConfig]:
        """The TraceConfigs of every request."""
        return self._place.settings.trace_configs

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            raise no_such_attribute("Session", self, name)

        def __setattr__(self, name, value):
            # session.verify = "ca.pem" must not be ignored silently. Methods may be replaced, as
            # tests do, and subclasses may add attributes.
            cls = type(self)
            known = getattr(cls, name, None)
            if known is None and name in HINTS["Session"]:
                raise no_such_attribute("Session", self, name, to_set=True)
            if isinstance(known, property) or name in AllOptions.__annotations__:
                raise not_to_be_set(name)
            if known is None and cls.__module__ == "syncclient":  # and not a subclass of it
                raise no_such_attribute("Session", self, name, to_set=True)
            super().__setattr__(name, value)


def not_to_be_set(name: str) -> AttributeError:
    """Return the error for setting ``name``, a property or a keyword of a session."""
    text = f"{name!r} of a Session cannot be set; here it is "
    if name == "headers":
        text += "session.headers.update(...)"
    elif name in SessionOptions.__annotations__:
        text += f"Session({name}=...), or session.with_options({name}=...)"
    elif name in AllOptions.__annotations__:
        text += f"Session({name}=...)"
    else:
        text = f"{name!r} of a Session cannot be set"
    return AttributeError(text, name=name)
