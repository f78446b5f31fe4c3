"""Sessions in notebooks: their settings and their pool."""

from __future__ import annotations

from collections.abc import Iterator

from aiohttp import ClientError

from .._deadline import timeout
from .notebook import folded, table, text_of
from .redaction import shown_header
from .session_base import SessionBase

#: Fields of a timeout that are shown if they are set.
_LIMITS = ("total", "pool", "connect", "sock_connect", "sock_read", "sock_write")
#: Seconds to wait for the state of the pool.
_WITHIN = 1.0


def session_html(session: SessionBase) -> str:
    """Return the settings and the pool as standalone HTML. Blocks for a second at most."""
    parts = [f"<div><b>{text_of(repr(session))}</b></div>", table(list(_settings(session)))]
    try:
        with timeout(_WITHIN):
            pool = session.connector.snapshot()
    except (ClientError, RuntimeError):  # closed, busy, or this is its own loop thread
        return f"<div>{''.join(parts)}</div>"
    parts.append(
        f"<div>connections: {pool.in_use} in use, {pool.idle} idle, {pool.waiting} waiting "
        f"(limit: {pool.limit or 'none'})</div>"
    )
    hosts = [
        (host, f"{held.in_use} in use, {held.idle} idle, {held.waiting} waiting")
        for host, held in pool.hosts.items()
    ]
    if hosts:
        parts.append(folded(f"hosts: {len(hosts)}", hosts))
    return f"<div>{''.join(parts)}</div>"


def _settings(session: SessionBase) -> Iterator[tuple[str, str]]:
    limits = ((name, getattr(session.timeout, name, None)) for name in _LIMITS)
    set_limits = [f"{name} {seconds:g} s" for name, seconds in limits if _is_number(seconds)]
    yield "timeout", ", ".join(set_limits) or "none"
    for name, value in session.headers.items():
        yield "header", f"{name}: {shown_header(name, value, secrets=False)}"
    if session.auth is not None:
        yield "auth", "set"
    yield "trust_env", str(session.trust_env)
    yield "connector", repr(session.connector)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and value > 0
