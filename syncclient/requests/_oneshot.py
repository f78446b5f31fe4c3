"""The functions of requests that make a session for one request."""

from __future__ import annotations

from typing import Any

import requests
from requests.cookies import RequestsCookieJar
from requests.hooks import default_hooks
from requests.utils import default_headers

from ._session import Session


def request(method: str, url: Any, **kwargs: Any) -> requests.Response:
    """Send a request and return its response, as ``requests.request`` does.

    Connections are kept alive and shared by the whole process; cookies last as long as the call.
    """
    with _session() as session:
        return session.request(method=method, url=url, **kwargs)


def _session() -> Session:
    """Return a session as new as ``Session()``, with the adapters of all of them.

    Making a session would otherwise be a third of what a request costs here.
    """
    if requests.Session.__init__ is not _INIT:
        return Session()  # somebody wants to know of each one
    session = Session.__new__(Session)
    vars(session).update(
        _SETTINGS,
        headers=default_headers(),
        proxies={},
        hooks=default_hooks(),
        params={},
        cookies=RequestsCookieJar(),
    )
    return session


_INIT = requests.Session.__init__
#: The settings of a new session; ``adapters`` among them, which hold nothing of a request.
_SETTINGS = vars(Session())


def get(url: Any, params: Any = None, **kwargs: Any) -> requests.Response:
    """Send a GET request; see ``request``."""
    return request("get", url, params=params, **kwargs)


def options(url: Any, **kwargs: Any) -> requests.Response:
    """Send an OPTIONS request; see ``request``."""
    return request("options", url, **kwargs)


def head(url: Any, **kwargs: Any) -> requests.Response:
    """Send a HEAD request, without following redirects unless told to; see ``request``."""
    kwargs.setdefault("allow_redirects", False)
    return request("head", url, **kwargs)


def post(url: Any, data: Any = None, json: Any = None, **kwargs: Any) -> requests.Response:
    """Send a POST request; see ``request``."""
    return request("post", url, data=data, json=json, **kwargs)


def put(url: Any, data: Any = None, **kwargs: Any) -> requests.Response:
    """Send a PUT request; see ``request``."""
    return request("put", url, data=data, **kwargs)


def patch(url: Any, data: Any = None, **kwargs: Any) -> requests.Response:
    """Send a PATCH request; see ``request``."""
    return request("patch", url, data=data, **kwargs)


def delete(url: Any, **kwargs: Any) -> requests.Response:
    """Send a DELETE request; see ``request``."""
    return request("delete", url, **kwargs)
