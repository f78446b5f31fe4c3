"""One-shot functions on a session that the whole process shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import hdrs

from ._cookies import DummyCookieJar
from ._request import RequestOptions
from ._response import Response
from ._session import Session
from ._types import StrOrURL
from ._unclosed import forgive

if TYPE_CHECKING:
    from typing_extensions import Unpack

_shared: dict[str, Session] = {}


def shared_session() -> Session:
    """Return the session of the one-shot functions: it pools connections, keeps no cookies."""
    session = _shared.get("session")
    if session is None:
        # setdefault is atomic, and an unused session costs nothing. A lock could be
        # copied locked by a fork, or taken twice by a signal handler.
        session = _shared.setdefault("session", Session(cookie_jar=DummyCookieJar()))
        forgive(session)  # nobody has it, to close it
    return session


def request(method: str, url: StrOrURL, **options: Unpack[RequestOptions]) -> Response:
    """Send a request and return its response with the whole body read. Blocks until it is here.

    Any thread may call it. Connections are pooled and shared by the whole process;
    cookies are not kept. See ``Session.request`` for the keywords and the errors.
    """
    with shared_session().request(method, url, **options) as response:
        response.read()
    return response


def get(url: StrOrURL, **options: Unpack[RequestOptions]) -> Response:
    """Send a GET request and return its response, read whole; see ``request``."""
    return request(hdrs.METH_GET, url, **options)


def options(url: StrOrURL, **options: Unpack[RequestOptions]) -> Response:
    """Send an OPTIONS request and return its response, read whole; see ``request``."""
    return request(hdrs.METH_OPTIONS, url, **options)


def head(url: StrOrURL, **options: Unpack[RequestOptions]) -> Response:
    """Send a HEAD request, without following redirects unless told to; see ``request``."""
    options.setdefault("allow_redirects", False)
    return request(hdrs.METH_HEAD, url, **options)


def post(url: StrOrURL, **options: Unpack[RequestOptions]) -> Response:
    """Send a POST request and return its response, read whole; see ``request``."""
    return request(hdrs.METH_POST, url, **options)


def put(url: StrOrURL, **options: Unpack[RequestOptions]) -> Response:
    """Send a PUT request and return its response, read whole; see ``request``."""
    return request(hdrs.METH_PUT, url, **options)


def patch(url: StrOrURL, **options: Unpack[RequestOptions]) -> Response:
    """Send a PATCH request and return its response, read whole; see ``request``."""
    return request(hdrs.METH_PATCH, url, **options)


def delete(url: StrOrURL, **options: Unpack[RequestOptions]) -> Response:
    """Send a DELETE request and return its response, read whole; see ``request``."""
    return request(hdrs.METH_DELETE, url, **options)
