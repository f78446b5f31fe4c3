"""The head of an aiohttp response as a value."""

from __future__ import annotations

from aiohttp import ClientResponse, hdrs

from .._models import Head


def head_of(response: ClientResponse) -> Head:
    """Return the head of ``response``: what crosses in its place."""
    head = hop_of(response)
    if not response.history:
        return head
    return head._replace(history=tuple(head_of(r) for r in response.history))


def hop_of(response: ClientResponse) -> Head:
    """Return the head of ``response`` without its history.

    Before aiohttp has set that: it keeps what it tells first, and would never tell another.
    """
    headers = response.headers
    return Head(
        response.method,
        response.url,
        response.real_url,
        response.status,
        response.reason,
        response.version,
        headers,
        response.raw_headers,
        response.request_info,
        response.cookies if hdrs.SET_COOKIE in headers else None,
        (),
    )
