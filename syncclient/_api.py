"""One-shot functions, using a session that the whole process shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import hdrs

from ._boundary.unclosed import forgive
from ._client.cookies import PassingJar
from ._client.request import RequestOptions
from ._client.response import Response
from ._other_libraries import not_by_position
from ._session import Session
from ._shown import shown
from ._types import StrOrURL

if TYPE_CHECKING:
    from typing_extensions import Never, Unpack

_shared: dict[str, Session] = {}


def shared_session() -> Session:
    """Return the session of the one-shot functions: it pools connections, keeps no cookies."""
    session = _shared.get("session")
    if session is None:
        # setdefault is atomic, and an unused session costs nothing. A fork could copy a lock
        # while it is held, and a signal handler could acquire it twice.
        session = _shared.setdefault("session", Session(cookie_jar=PassingJar()))
        forgive(session)  # the user cannot close it
    return session


@shown
def request(
    method: str, url: StrOrURL, *misplaced: Never, **options: Unpack[RequestOptions]
) -> Response:
    """Send a request and return its response, with the whole body read. Blocks until then.

    Any thread may call it. Connections are pooled and shared by the whole process; cookies
    are kept while this call follows redirects, but not between calls.
    See ``Session.request`` for the keywords and the errors.
    """
    if misplaced:
        raise not_by_position(method)
    with shared_session().request(method, url, **options) as response:
        response.read()
    response._serve_again()
    return response


@shown
def get(url: StrOrURL, *misplaced: Never, **options: Unpack[RequestOptions]) -> Response:
    """Send a GET request and return its response, with its body; see ``request``."""
    if misplaced:
        raise not_by_position(hdrs.METH_GET)
    return request(hdrs.METH_GET, url, **options)


@shown
def options(url: StrOrURL, *misplaced: Never, **options: Unpack[RequestOptions]) -> Response:
    """Send an OPTIONS request and return its response, with its body; see ``request``."""
    if misplaced:
        raise not_by_position(hdrs.METH_OPTIONS)
    return request(hdrs.METH_OPTIONS, url, **options)


@shown
def head(url: StrOrURL, *misplaced: Never, **options: Unpack[RequestOptions]) -> Response:
    """Send a HEAD request, without following redirects unless told to; see ``request``."""
    if misplaced:
        raise not_by_position(hdrs.METH_HEAD)
    options.setdefault("allow_redirects", False)
    return request(hdrs.METH_HEAD, url, **options)


@shown
def post(url: StrOrURL, *misplaced: Never, **options: Unpack[RequestOptions]) -> Response:
    """Send a POST request and return its response, with its body; see ``request``."""
    if misplaced:
        raise not_by_position(hdrs.METH_POST)
    return request(hdrs.METH_POST, url, **options)


@shown
def put(url: StrOrURL, *misplaced: Never, **options: Unpack[RequestOptions]) -> Response:
    """Send a PUT request and return its response, with its body; see ``request``."""
    if misplaced:
        raise not_by_position(hdrs.METH_PUT)
    return request(hdrs.METH_PUT, url, **options)


@shown
def patch(url: StrOrURL, *misplaced: Never, **options: Unpack[RequestOptions]) -> Response:
    """Send a PATCH request and return its response, with its body; see ``request``."""
    if misplaced:
        raise not_by_position(hdrs.METH_PATCH)
    return request(hdrs.METH_PATCH, url, **options)


@shown
def delete(url: StrOrURL, *misplaced: Never, **options: Unpack[RequestOptions]) -> Response:
    """Send a DELETE request and return its response, with its body; see ``request``."""
    if misplaced:
        raise not_by_position(hdrs.METH_DELETE)
    return request(hdrs.METH_DELETE, url, **options)
