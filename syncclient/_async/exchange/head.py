"""The head of an aiohttp response as a value."""

from __future__ import annotations

from ..._models import Head
from ..engine.kept_reader import StoredReader
from .lean_response import AnyResponse, LeanResponse


def head_of(response: AnyResponse) -> Head:
    """Return the head of ``response``: what crosses in its place."""
    head = response.head if type(response) is LeanResponse else hop_of(response)
    history = response.history
    # One deep: what led to a redirect stands before it in the same history.
    return head._replace(history=tuple(map(hop_of, history))) if history else head


def hop_of(response: AnyResponse) -> Head:
    """Return the head of ``response`` without its history.

    Before aiohttp has set that: it keeps what it tells first, and would never tell another.
    """
    if isinstance(response, LeanResponse):
        return response.head
    return Head(
        response.method,
        response.url,
        response.real_url,
        response.status,
        response.reason,
        response.version,
        response.headers,
        response.raw_headers,
        response.request_info,
        (),
        isinstance(response.content, StoredReader),
    )
