"""``requests.adapters`` with an HTTPAdapter that sends through the engine of syncclient."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from . import _needed as _needed  # isort: skip  # names a missing package first

import requests
from requests import adapters as _theirs
from requests.adapters import BaseAdapter as BaseAdapter
from requests.exceptions import InvalidProxyURL
from requests.utils import select_proxy
from urllib3.exceptions import InsecureRequestWarning, LocationValueError
from urllib3.poolmanager import PoolManager
from urllib3.util.retry import Retry

from .._async.connect import socks
from .._checks import seconds
from .._client.connectors import BaseConnector
from .._exceptions import LoopThreadError
from .._models import Head
from .._session import Session
from ._attempts import attempts
from ._body import Body
from ._engines import Settings, engine_for, settings_of
from ._own import CHOOSING, overridden, unpatched
from ._plan import Plan, planned, refuse_host
from ._raw import RawResponse
from ._response import Response as _Response
from ._timeouts import limits_for
from ._tls import context_for

if TYPE_CHECKING:
    from urllib3.connectionpool import HTTPConnectionPool


#: Bytes of a body that is worth a moment's wait, since it is read at once and in the same crossing.
_SMALL = 2**16


class HTTPAdapter(_theirs.HTTPAdapter):
    """requests' HTTPAdapter, which sends through the engine of syncclient.

    ``session.mount("https://", HTTPAdapter())``. All adapters of equal settings share their
    connections, so these outlast the session, and are closed when they have been idle for some
    seconds. ``poolmanager`` is a urllib3 PoolManager as ever, whose settings are read; what the
    engine cannot do (``pool_block=True``, an HTTPS proxy, a fingerprint, code of a subclass that
    chooses urllib3's connections) goes through it, as it does with requests' own adapter.

    Args:
        pool_connections, pool_maxsize, max_retries, pool_block: as requests has them.
        connector: a connector of syncclient to connect by, such as ``UnixConnector(path)``.
        deadline: seconds that each request may take, with all its attempts, the pauses between
            them and its body; None sets no limit. Once they are over, ReadTimeout is raised, or
            ConnectionError out of a body.

    Raises:
        TypeError, ValueError: A keyword cannot be honoured; the message says what to write.
    """

    __attrs__: list[str] = [*_theirs.HTTPAdapter.__attrs__, "connector", "deadline"]  # noqa: RUF012  # as theirs

    connector: BaseConnector | None = None
    deadline: float | None = None
    #: The settings last read: what they were read from, and what they came to.
    _read: tuple[PoolManager, dict[str, Any], Settings | None] | None = None

    def __init__(
        self,
        pool_connections: int = _theirs.DEFAULT_POOLSIZE,
        pool_maxsize: int = _theirs.DEFAULT_POOLSIZE,
        max_retries: Retry | int | None = _theirs.DEFAULT_RETRIES,
        pool_block: bool = _theirs.DEFAULT_POOLBLOCK,
        *,
        connector: BaseConnector | None = None,
        deadline: float | None = None,
    ) -> None:
        if connector is not None and not isinstance(connector, BaseConnector):
            raise TypeError(
                "connector must be one of syncclient, such as TCPConnector(...), "
                f"not {type(connector).__name__}"
            )
        if connector is not None and pool_block:
            raise ValueError(
                "pool_block cannot be combined with connector: write TCPConnector(limit=...)"
            )
        self.connector = connector
        self.deadline = seconds("deadline", deadline)
        super().__init__(pool_connections, pool_maxsize, max_retries, pool_block)

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str | None = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Send ``request``, and return its response. Blocks until its head is here.

        Any thread may call it. The arguments and the errors are those of requests.
        """
        changed = overridden(self)
        found = self._found(request, verify, cert, proxies, changed)
        if isinstance(found, str):
            self._refuse(found)
            refuse_host(request)
            return super().send(request, stream, timeout, verify, cert, proxies)  # type: ignore[arg-type]
        engine, plan, options = found
        if "add_headers" in changed:
            self.add_headers(
                request, stream=stream, timeout=timeout, verify=verify, cert=cert, proxies=proxies
            )
            again = planned(request)
            if isinstance(again, str):
                raise ValueError(f"add_headers made a request that cannot be sent: {again}")
            plan = again
        limits = limits_for(timeout, self.deadline)
        options |= {"headers": plan.headers, "timeout": limits.engine}
        if not stream:
            options["bring"] = _SMALL
        pool_of = partial(self._pool_for, request, verify, proxies, cert)
        head, body, retries = attempts(
            engine, plan, options, request, self.max_retries, limits, pool_of
        )
        make_raw = partial(_raw, request, plan.target.path, retries)
        if "build_response" in changed:
            return self.build_response(request, make_raw(head, body))
        response = _Response(head, body, request, make_raw)
        response.connection = self
        return response

    def _found(
        self,
        request: requests.PreparedRequest,
        verify: bool | str | None,
        cert: Any,
        proxies: Mapping[str, str] | None,
        changed: frozenset[str],
    ) -> tuple[Session, Plan, dict[str, Any]] | str:
        """Return what to send, and by which engine; or why urllib3 has to."""
        if not changed.isdisjoint(CHOOSING):
            return f"{', '.join(sorted(changed))} is not requests' own"
        if not unpatched():
            return "urllib3, requests or socket is patched"
        settings = self._settings()
        if settings is None:
            return "its pool has settings that the engine does not"
        plan = planned(request)
        if isinstance(plan, str):
            return plan
        options: dict[str, Any] = {"allow_redirects": False}
        proxy = select_proxy(str(request.url), proxies) if proxies else None
        if proxy and (fault := _through(proxy, options)) is not None:
            return fault
        if plan.target.scheme == "https":
            if (fault := self._secured(options, verify, cert)) is not None:
                return fault
            if not verify:
                _warn(plan)
        try:
            return engine_for(settings), plan, options
        except LoopThreadError as exc:
            return str(exc)

    def _settings(self) -> Settings | None:
        manager = self.poolmanager
        read = self._read
        if read is None or read[0] is not manager or read[1] != manager.connection_pool_kw:
            kept = dict(manager.connection_pool_kw)
            usual = type(manager) is PoolManager
            settings = settings_of(kept, self.connector) if usual else None
            read = self._read = (manager, kept, settings)
        return read[2]

    def _secured(self, options: dict[str, Any], verify: bool | str | None, cert: Any) -> str | None:
        """Put the context to connect with into ``options``, or return why there is none."""
        bundle = None
        if verify:
            bundle = _theirs.DEFAULT_CA_BUNDLE_PATH if verify is True else os.fspath(verify)
        if cert is not None and not isinstance(cert, (str, tuple)):
            return "its cert is neither a file nor a pair"
        own = self.poolmanager.connection_pool_kw.get("ssl_context")
        try:
            options["ssl"] = context_for(bundle, cert or None, own)
        except (OSError, ValueError, TypeError):
            return "its certificates cannot be read"  # which requests says in its own words
        return None

    def _refuse(self, reason: str) -> None:
        """Raise if a keyword that urllib3 does not have would be passed over."""
        for name in ("connector", "deadline"):
            if getattr(self, name) is not None:
                raise ValueError(
                    f"{name}= cannot be honoured, for this request would go through urllib3: "
                    f"{reason}. Mount an HTTPAdapter without {name}= for it"
                )

    def _pool_for(
        self, request: requests.PreparedRequest, verify: Any, proxies: Any, cert: Any
    ) -> HTTPConnectionPool:
        with contextlib.suppress(LocationValueError):
            return self.get_connection_with_tls_context(request, verify, proxies=proxies, cert=cert)  # type: ignore[return-value]
        # The URL has been parsed before. Not raised from that error: it may quote a password.
        raise InvalidProxyURL("Please check proxy URL. It is malformed.", request=request)


def _raw(
    request: requests.PreparedRequest, target: str, retries: Retry, head: Head, body: Body
) -> RawResponse:
    return RawResponse(head, body, request, target, retries)


def _through(proxy: str, options: dict[str, Any]) -> str | None:
    """Put ``proxy`` into ``options``, or return why the engine cannot go through it."""
    scheme, mark, _ = proxy.partition("://")
    scheme = scheme.lower() if mark else "http"
    if scheme in socks.SCHEMES:
        try:
            socks.require()
        except ImportError as exc:
            return str(exc)
    elif scheme != "http":
        return "its proxy is neither an HTTP nor a SOCKS one"
    options["proxy"] = proxy if mark else f"http://{proxy.lstrip('/')}"
    return None


def _warn(plan: Plan) -> None:
    warnings.warn(
        f"Unverified HTTPS request is being made to host {plan.target.url.raw_host!r}. "
        "Adding certificate verification is strongly advised. See: "
        "https://urllib3.readthedocs.io/en/latest/advanced-usage.html#tls-warnings",
        InsecureRequestWarning,
        stacklevel=3,
    )


def __getattr__(name: str) -> Any:
    return getattr(_theirs, name)
