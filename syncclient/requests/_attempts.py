"""Attempts at a request: what ``urlopen`` of urllib3 does with a ``Retry``, on the engine."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import attr
import requests
from urllib3.exceptions import HTTPError, InvalidHeader, MaxRetryError
from urllib3.util.request import set_file_position
from urllib3.util.retry import Retry
from yarl import URL

from .._async.session import AsyncSession
from .._bodies.payload import outgoing
from .._client.response import Response
from .._client.session_settings import utf_8
from .._models import Head
from .._session import Session
from ._body import Body, OpenBody, PoolOf, WholeBody
from ._errors import as_requests, as_urllib3
from ._pauses import rest
from ._plan import Plan, pieces_of
from ._raw import RawResponse
from ._timeouts import Limits

if TYPE_CHECKING:
    from urllib3.connectionpool import HTTPConnectionPool

#: Seconds of a deadline that are left, at least: a limit of 0 would be none.
_AT_ONCE = 1e-6

#: Bytes of an unwanted body that are read at a time.
_DRAINED = 2**16

#: urllib3's own: programs and tests look there.
log = logging.getLogger("urllib3.connectionpool")


def attempts(
    engine: Session,
    plan: Plan,
    options: dict[str, Any],
    request: requests.PreparedRequest,
    retries: Retry,
    limits: Limits,
    pool_of: PoolOf,
) -> tuple[Head, Body, Retry]:
    """Send a request as often as ``retries`` allows; return its response and what is left of them.

    Blocks until the head of the response is here.

    Raises:
        requests.RequestException: as requests has it, from what urllib3 would have raised.
    """
    method, target, body = str(request.method), plan.target, plan.body
    position: Any = None
    total = limits.engine.total
    due = None if total is None or not _may_repeat(retries) else time.monotonic() + total
    while True:
        sent = body
        if not isinstance(body, (bytes, type(None))):
            position = set_file_position(body, position)
            sent = pieces_of(body)
        try:
            head, here = _asked(engine, method, target.url, sent, options, pool_of)
        except Exception as exc:
            pool = pool_of()
            error = as_urllib3(exc, pool, target.path, limits)
            if error is exc:
                raise
            retries = _counted(request, retries, target.path, pool, error)
            _rested(engine, retries, None, due, request, limits, pool)
            log.warning(
                "Retrying (%r) after connection broken by '%r': %s", retries, error, target.path
            )
            _shorten(options, limits, due)
            continue
        if log.isEnabledFor(logging.DEBUG):
            _note(plan, method, head)
        if not (retries.total or retries.status_forcelist) or not retries.is_retry(
            method, head.status, "Retry-After" in head.headers
        ):
            return head, here, retries
        # Without the body, which it would close when it is dropped.
        raw = RawResponse(head, WholeBody(b""), request, target.path, retries)
        try:
            retries = retries.increment(method, target.path, response=raw, _pool=pool_of())
        except MaxRetryError as exc:
            if not retries.raise_on_status:
                return head, here, retries
            _drain(here)
            raise as_requests(exc, request)  # noqa: B904  # requests has it as the context
        _drain(here)
        _rested(engine, retries, raw, due, request, limits, pool_of())
        _shorten(options, limits, due)
        log.debug("Retry: %s", target.path)


def _asked(
    engine: Session,
    method: str,
    url: URL,
    body: bytes | Iterator[bytes] | None,
    options: dict[str, Any],
    pool_of: PoolOf,
) -> tuple[Head, Body]:
    """Send a request once, and return its response with the body as urllib3 reads it."""
    if isinstance(body, (bytes, type(None))) and "proxy" not in options:
        # What Session.request would check, the plan has been made from.
        timeout, crossing = options["timeout"], {**options}
        del crossing["timeout"]
        if body is not None:
            crossing["data"] = outgoing(body).value
        reply, remote = engine._place.portal.open(
            AsyncSession.request, method, url, timeout, crossing
        )
        if remote is None:
            return reply.head, WholeBody(reply.body or b"")
        response = Response(reply, remote, utf_8)
    else:
        given = {name: value for name, value in options.items() if name != "bring"}
        response = engine.request(method, url, data=body, **given)
        if response.closed:
            return response._head, WholeBody(response.read())
    return response._head, OpenBody(response, pool_of)


def _drain(body: Body) -> None:
    """Read ``body`` to its end, so that its connection serves the next attempt."""
    with contextlib.suppress(Exception):  # the connection is lost, then
        while body.read1(_DRAINED):
            pass
    body.close()


def _counted(
    request: requests.PreparedRequest,
    retries: Retry,
    target: str,
    pool: HTTPConnectionPool,
    error: Exception,
) -> Retry:
    """Return the remaining ``retries`` after ``error``; raise it if none are left."""
    try:
        if isinstance(error, InvalidHeader):
            raise error  # which urllib3 does not count
        return retries.increment(request.method, target, error=error, _pool=pool)
    except (HTTPError, OSError) as exc:
        raised = as_requests(exc, request)
        if raised is exc:
            raise
        raise raised  # noqa: B904  # requests has it as the context


def _may_repeat(retries: Retry) -> bool:
    return retries.total is None or retries.total > 0


def _shorten(options: dict[str, Any], limits: Limits, due: float | None) -> None:
    """Give the next attempt the rest of the adapter's deadline."""
    if due is not None:
        left = max(due - time.monotonic(), _AT_ONCE)
        options["timeout"] = attr.evolve(limits.engine, total=left)


def _rested(
    engine: Session,
    retries: Retry,
    response: RawResponse | None,
    due: float | None,
    request: requests.PreparedRequest,
    limits: Limits,
    pool: HTTPConnectionPool,
) -> None:
    try:
        rest(engine, retries, response, due)
    except Exception as exc:
        error = as_urllib3(exc, pool, str(request.path_url), limits)
        raised = as_requests(error, request)
        if raised is exc:
            raise
        raise raised  # noqa: B904  # requests has it as the context


def _note(plan: Plan, method: str, head: Head) -> None:
    url = plan.target.url
    log.debug(
        '%s://%s:%s "%s %s HTTP/1.1" %s %s',
        *(url.scheme, url.raw_host, url.port, method, plan.target.path),
        *(head.status, head.headers.get("Content-Length")),
    )
