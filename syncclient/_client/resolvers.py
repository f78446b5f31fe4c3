"""Resolvers of host names: descriptions, made in any thread and without an event loop."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import aiohttp

from .._async.connect.resolver import (
    CustomNames,
    Names,
    PinnedNames,
    Resolve,
    ServerNames,
    SystemNames,
)
from .._hosts import host_key


class ThreadedResolver:
    """The operating system's resolver, with ``/etc/hosts``, ``nsswitch.conf``, mDNS and VPNs.

    The default. Each look-up runs on a daemon worker thread, so a stuck one delays neither other
    requests nor the exit of the interpreter.
    """

    __slots__ = ()

    def _names(self) -> Names:
        return SystemNames()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ThreadedResolver)

    def __hash__(self) -> int:
        return hash(ThreadedResolver)

    def __repr__(self) -> str:
        return "ThreadedResolver()"


class AsyncResolver:
    """Asks DNS servers directly, through aiodns; needs ``pip install aiodns``.

    It reads ``/etc/hosts``, but no other source of names that the system may have.

    Args:
        nameservers: Addresses of the servers, with a colon and the port unless it is 53;
            None uses those in ``/etc/resolv.conf``.
        options: Other keywords of ``aiodns.DNSResolver``: ``timeout`` (seconds for one
            query), ``tries``, ``rotate``, ``domains`` ...

    Raises:
        ImportError: aiodns is not installed.
    """

    __slots__ = ("_settings",)
    _settings: ServerNames

    def __init__(self, nameservers: Sequence[str] | None = None, **options: object) -> None:
        if isinstance(nameservers, str):
            raise TypeError(f"nameservers must be a list of addresses: [{nameservers!r}]")
        if "loop" in options:
            raise TypeError("AsyncResolver takes no loop: it uses the session's own")
        if importlib.util.find_spec("aiodns") is None:
            raise ImportError("AsyncResolver needs aiodns: pip install aiodns")
        servers = None if nameservers is None else tuple(nameservers)
        settings = ServerNames(servers, tuple(sorted(options.items())))
        object.__setattr__(self, "_settings", settings)

    def _names(self) -> Names:
        return self._settings

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a resolver is immutable: create a new one with {name}=")

    def __reduce__(self) -> tuple[object, ...]:
        return _async_resolver, (self._settings.nameservers, dict(self._settings.options))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AsyncResolver) and self._settings == other._settings

    def __hash__(self) -> int:
        return hash(self._settings)

    def __repr__(self) -> str:
        return repr(self._settings)


def _async_resolver(
    nameservers: Sequence[str] | None, options: Mapping[str, object]
) -> AsyncResolver:
    return AsyncResolver(nameservers, **options)


#: The types of ``resolver=``. A mapping gives the address, or another name, of some hosts, and
#: leaves the rest to the system; the ``resolve`` of an object runs on a worker thread.
ResolverLike: TypeAlias = (
    ThreadedResolver | AsyncResolver | Mapping[str, "str | Sequence[str]"] | Resolve | None
)


def names_of(resolver: ResolverLike) -> Names:
    """Return the settings for a ``resolver=`` argument.

    Raises:
        TypeError: It is not a resolver; the message says what to write.
    """
    if resolver is None:
        return SystemNames()
    if isinstance(resolver, (ThreadedResolver, AsyncResolver)):
        return resolver._names()
    if isinstance(resolver, (aiohttp.ThreadedResolver, aiohttp.AsyncResolver)):
        name = type(resolver).__name__
        raise TypeError(
            f"resolver must not be aiohttp's {name}, which belongs to the event loop that "
            f"created it: write syncclient.{name}(...)"
        )
    if isinstance(resolver, type):
        raise TypeError(f"resolver must be an object, not a class: write {resolver.__name__}()")
    if isinstance(resolver, Mapping):
        return PinnedNames(tuple(sorted(map(_pin, resolver.items()))), SystemNames())
    if callable(getattr(resolver, "resolve", None)):
        return CustomNames(resolver)
    raise TypeError(
        "resolver must be ThreadedResolver(), AsyncResolver(nameservers=[...]), a mapping "
        "{host: address}, or an object with resolve(host, port, family), not "
        f"{type(resolver).__name__}"
    )


def _pin(item: tuple[str, str | Sequence[str]]) -> tuple[str, tuple[str, ...]]:
    host, addresses = item
    given = (addresses,) if isinstance(addresses, str) else tuple(addresses)
    if not all(given):
        raise ValueError(f"resolver gives {host!r} the address {addresses!r}")
    return host_key(host), given
