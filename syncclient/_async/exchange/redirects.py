"""Redirects, one request of the engine's for each hop: where they lead, and what goes along.

The engine's own loop decides too much in one place: it follows one hop less than it is told,
keeps headers that describe a body which is not sent any more, knows no ``ws://``, and keeps a
``Host`` for all hosts. What is decided here follows the Fetch standard, section 4.4.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

from aiohttp import (
    ClientPayloadError,
    ClientTimeout,
    InvalidUrlRedirectClientError,
    NonHttpUrlRedirectClientError,
    TooManyRedirects,
    hdrs,
)
from multidict import CIMultiDict
from yarl import URL

from ..._hosts import cut_zone
from ..._models import redacted_url
from ..._urls import follow_location, same_origin, split_url
from ..engine.client import set_history, traces_of
from .lean_response import AnyResponse
from .progress import Progress
from .retry import can_be_sent_again

if TYPE_CHECKING:
    from aiohttp import ClientResponse

#: How many redirects are followed where nothing else is asked for.
MOST = 10

HTTP = frozenset({"http", "https"})
#: Where the redirect of a WebSocket's handshake may lead.
HANDSHAKE = HTTP | {"ws", "wss"}

#: The statuses that may redirect.
REDIRECTS = frozenset({301, 302, 303, 307, 308})

#: Options of a request that concern its body.
_OF_BODY = ("data", "chunked", "compress", "expect100")
#: Headers that describe a body, beside those that begin with ``Content-`` (RFC 9110, 15.4).
_DESCRIBING = frozenset(
    {"digest", "expect", "last-modified", "repr-digest", "trailer", "transfer-encoding"}
)
#: Headers that are meant for one origin.
_SECRET = (hdrs.AUTHORIZATION, hdrs.COOKIE, hdrs.PROXY_AUTHORIZATION)

#: Sends one hop, and returns its response once the head is here.
Ask = Callable[[str, URL, ClientTimeout, dict[str, Any]], Awaitable[AnyResponse]]


def is_redirect(response: AnyResponse) -> bool:
    """Return whether ``response`` says where to go instead; one that does not is an answer."""
    return response.status in REDIRECTS and any(response.headers.getall(hdrs.LOCATION, ()))


async def follow_redirects(
    response: AnyResponse,
    ask: Ask,
    progress: Progress,
    options: dict[str, Any],
    history: list[AnyResponse],
    *,
    most: int = MOST,
    literal: bool = False,
    schemes: frozenset[str] = HTTP,
) -> AnyResponse:
    """Return the response that ``response`` leads to: itself if it is no redirect.

    Args:
        response: the answer to the request of ``progress``.
        ask: sends the further hops.
        progress: the request; its total timeout is for all hops together.
        options: what the request was sent with.
        history: is given the redirects.
        most: how many of them to follow.
        literal: whether a Location stays to the letter, where that is legal.
        schemes: those that a Location may have.

    Raises:
        TooManyRedirects: there are more than ``most``.
        RedirectClientError: one leads to no URL, or to one of another scheme.
        ClientPayloadError: the body is wanted again, and can be sent only once.
    """
    method, url = progress.method, progress.url
    while is_redirect(response):
        history.append(response)
        try:
            if len(history) > most:
                redirects = cast("tuple[ClientResponse, ...]", tuple(history))
                raise TooManyRedirects(history[0].request_info, redirects)
            target = _target(url, response, literal, schemes)
            if _becomes_get(response):
                method, options = hdrs.METH_GET, _without_body(options)
            elif not can_be_sent_again(options.get("data")):
                raise ClientPayloadError(
                    "Cannot follow redirect with a consumed request body. Use bytes, "
                    "a seekable file-like object, or set allow_redirects=False."
                )
            options = _kept(options, url, target)
        except Exception as exc:
            response.close()
            await _tell(response, exc)
            raise
        url = _authorised(url, target)
        response.release()
        response = await ask(method, url, progress.time_left(), options)
    if history:
        set_history(response, history)
    return response


def without_zone(options: dict[str, Any], url: URL) -> dict[str, Any]:
    """Return ``options`` for a request to an IPv6 address with a zone.

    A zone means something to this machine only, so neither the Host header (RFC 6874, section 4)
    nor the name of a TLS handshake has it.
    """
    address = cut_zone(url.raw_host or "")
    headers = CIMultiDict(options.get("headers") or ())
    port = "" if url.is_default_port() else f":{url.port}"
    headers.setdefault(hdrs.HOST, f"[{address}]{port}")
    return {"server_hostname": address, **options, "headers": headers}


def _target(base: URL, response: AnyResponse, literal: bool, schemes: frozenset[str]) -> URL:
    location, *others = dict.fromkeys(filter(None, response.headers.getall(hdrs.LOCATION)))
    # Non-ASCII bytes arrive as surrogates, which cannot be printed.
    shown = location.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if others:
        why = f"there are more Locations: {1 + len(others)} in all"
        raise InvalidUrlRedirectClientError(shown, why)
    scheme = split_url(location).scheme
    if scheme is not None and scheme not in schemes:
        raise NonHttpUrlRedirectClientError(
            f"{redacted_url(shown)} - the scheme must be one of {', '.join(sorted(schemes))}"
        )
    try:
        target = follow_location(base, location, literal=literal)
    except ValueError as exc:
        raise InvalidUrlRedirectClientError(shown, str(exc)) from None
    if not target.raw_host:
        raise InvalidUrlRedirectClientError(shown, "no host")
    return target


def _becomes_get(response: AnyResponse) -> bool:
    if response.status == 303:
        return response.method not in (hdrs.METH_GET, hdrs.METH_HEAD)
    return response.status in (301, 302) and response.method == hdrs.METH_POST


def _without_body(options: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in options.items() if name not in _OF_BODY}
    headers = kept.get("headers")
    if headers:
        kept["headers"] = CIMultiDict(
            (name, value)
            for name, value in headers.items()
            if name.lower() not in _DESCRIBING and not name.lower().startswith("content-")
        )
    return kept


def _kept(options: dict[str, Any], url: URL, target: URL) -> dict[str, Any]:
    """Return the options without those that were meant for the server at ``url`` alone."""
    if same_origin(url, target):
        return options
    kept = dict(options)
    kept.pop("cookies", None)
    headers = kept.get("headers")
    if headers:
        headers = kept["headers"] = headers.copy()
        for name in _SECRET:
            headers.popall(name, None)
    if (url.raw_host, url.explicit_port) != (target.raw_host, target.explicit_port):
        # Another server, and not the same one with TLS: names of the first one are not its own.
        kept.pop("server_hostname", None)
        if headers:
            headers.popall(hdrs.HOST, None)
    return kept


def _authorised(url: URL, target: URL) -> URL:
    """Return ``target`` with the credentials in ``url``, where these hold and it has none."""
    if url.raw_user is None or target.raw_user is not None or not same_origin(url, target):
        return target
    return target.with_user(url.user).with_password(url.password)


async def _tell(response: AnyResponse, error: Exception) -> None:
    """Send ``error``, which ends the request, to the tracers of ``response``."""
    for trace in traces_of(response):
        info = response.request_info
        await trace.send_request_exception(
            info.method,
            info.url,
            info.headers,  # type: ignore[arg-type]  # declared more narrowly than it is used
            error,
        )
