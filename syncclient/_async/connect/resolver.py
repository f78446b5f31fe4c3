"""Name resolution: settings that turn into aiohttp's resolvers on the event loop."""

from __future__ import annotations

import asyncio
import inspect
import ipaddress
import socket
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from ..._hosts import host_key
from .per_loop import PerLoop

#: What a resolver of the user's may answer for one address: its text, or aiohttp's dictionary.
Answer: TypeAlias = "str | Mapping[str, object]"
Answers: TypeAlias = "Answer | Sequence[Answer]"


@runtime_checkable
class Resolve(Protocol):
    """Anything with a ``resolve()``: blocking, or a coroutine function."""

    def resolve(self, host: str, port: int, family: int) -> Answers | Awaitable[Answers]:
        """Return the addresses of ``host``; raise OSError when there are none."""
        ...


class Names(Protocol):
    """Settings of a resolver: an immutable, comparable value."""

    def open(self) -> AbstractResolver:
        """Return the live resolver. On the event loop."""
        ...


@dataclass(frozen=True, repr=False)
class SystemNames:
    """The operating system's resolver, on the worker threads of the loop's executor."""

    def __repr__(self) -> str:
        return "ThreadedResolver()"

    def open(self) -> AbstractResolver:
        """Return the live resolver. On the event loop."""
        return SystemResolver()


@dataclass(frozen=True, repr=False)
class ServerNames:
    """DNS servers asked directly, through aiodns."""

    nameservers: tuple[str, ...] | None
    options: tuple[tuple[str, object], ...]

    def __repr__(self) -> str:
        parts = [] if self.nameservers is None else [f"nameservers={list(self.nameservers)!r}"]
        parts += [f"{name}={value!r}" for name, value in self.options]
        return f"AsyncResolver({', '.join(parts)})"

    def open(self) -> AbstractResolver:
        """Return the live resolver. On the event loop."""
        options: dict[str, Any] = dict(self.options)
        if self.nameservers is not None:
            options["nameservers"] = list(self.nameservers)
        return aiohttp.AsyncResolver(**options)


@dataclass(frozen=True, repr=False)
class CustomNames:
    """A resolver of the user's: blocking, so on a worker thread, or with an async ``resolve``."""

    resolver: Resolve

    def __repr__(self) -> str:
        return repr(self.resolver)

    def open(self) -> AbstractResolver:
        """Return the live resolver. On the event loop."""
        return _CustomResolver(self.resolver)


@dataclass(frozen=True, repr=False)
class PinnedNames:
    """Addresses given by hand for some hosts, and another resolver for all the rest."""

    pins: tuple[tuple[str, tuple[str, ...]], ...]
    others: Names

    def __repr__(self) -> str:
        return repr(
            {
                host: addresses[0] if len(addresses) == 1 else list(addresses)
                for host, addresses in self.pins
            }
        )

    def open(self) -> AbstractResolver:
        """Return the live resolver. On the event loop."""
        return _PinnedResolver(dict(self.pins), self.others.open())


class SystemResolver(AbstractResolver):
    """The operating system's resolver, asked on the worker threads of the loop's executor.

    Not aiohttp's ThreadedResolver: that one asks the loop, and uvloop answers with libuv's
    four threads, which stuck look-ups fill for everybody, and which the process joins as it
    ends. Nor aiohttp's default, which is aiodns wherever aiodns can be imported.
    """

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of ``host``.

        Raises:
            socket.gaierror: The system knows none.
        """
        places = _places.here()
        await places.acquire()
        asking = asyncio.get_running_loop().run_in_executor(None, _ask, host, port, family)
        # Once the system has answered: a stuck look-up keeps its place even if it is abandoned.
        asking.add_done_callback(lambda _: places.release())
        return await asyncio.shield(asking)

    async def close(self) -> None:
        """Do nothing: running look-ups end on their own, and are not waited for."""


#: Look-ups of the system that run at once. Others wait, and not for code of users.
_AT_ONCE = 32

_places = PerLoop(lambda: asyncio.Semaphore(_AT_ONCE))

# As aiohttp asks: no addresses of a family this machine has no interface for.
_ADDRCONFIG = socket.AI_ADDRCONFIG & getattr(socket, "AI_MASK", socket.AI_ADDRCONFIG)


def _ask(host: str, port: int, family: int) -> list[ResolveResult]:
    kind = socket.SOCK_STREAM
    try:
        found = socket.getaddrinfo(host, port, family, kind, flags=_ADDRCONFIG)
    except socket.gaierror:
        # With no interface but loopback's, Windows would not even have localhost.
        if host.rstrip(".").lower() != "localhost":
            raise
        found = socket.getaddrinfo(host, port, family, kind)
    return [
        ResolveResult(
            hostname=host,
            # With its zone, where it has one: only a link-local address does.
            host=socket.getnameinfo(address, _NUMERIC)[0]
            if address[3:] > (0,)
            else str(address[0]),
            port=port,
            family=family_found,
            proto=proto,
            flags=_NUMERIC_HINTS,
        )
        for family_found, _, proto, _, address in found
        # A Python built without IPv6 gives addresses of two parts for it.
        if len(address) == 4 or family_found == socket.AF_INET
    ]


_NUMERIC = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
_NUMERIC_HINTS = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


class _CustomResolver(AbstractResolver):
    def __init__(self, resolver: Resolve) -> None:
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        ask = self._resolver.resolve
        if inspect.iscoroutinefunction(ask):
            found = await ask(host, port, family)
        else:
            # Not in a caller's thread: several exchanges may wait for one look-up.
            answer = await asyncio.to_thread(ask, host, port, family)
            found = await answer if inspect.isawaitable(answer) else answer
        return results(found, host, port, family)

    async def close(self) -> None:
        """Do nothing: the resolver stays its maker's, who may use it elsewhere."""


class _PinnedResolver(AbstractResolver):
    def __init__(self, pins: Mapping[str, tuple[str, ...]], others: AbstractResolver) -> None:
        self._pins = pins
        self._others = others

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        pinned = self._pins.get(host_key(host))
        if pinned is None:
            return await self._others.resolve(host, port, family)
        found: list[ResolveResult] = []
        for address in pinned:
            if is_address(address):
                found += results(address, host, port, family, empty=True)
            else:
                found += await self._others.resolve(address, port, family)
        if not found:
            raise _not_found(f"the addresses given for {host!r} are of another family")
        return found

    async def close(self) -> None:
        await self._others.close()


def is_address(text: str) -> bool:
    """Return whether ``text`` is an IP address, with or without a zone."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def results(
    found: Answers, host: str, port: int, family: int, *, empty: bool = False
) -> list[ResolveResult]:
    """Return what a resolver found in aiohttp's form, without addresses of another family.

    Raises:
        OSError: Nothing is left, and ``empty`` does not allow that.
        TypeError: It found something that is no address.
    """
    many = [found] if isinstance(found, (str, Mapping)) else list(found)
    kept = [
        result
        for result in (_result(one, host, port) for one in many)
        if family in (socket.AF_UNSPEC, result["family"])
    ]
    if not kept and not empty:
        raise _not_found(f"the resolver knows no address of {host!r}")
    return kept


def _result(one: Answer, host: str, port: int) -> ResolveResult:
    address = one if isinstance(one, str) else one.get("host")
    if not isinstance(address, str) or not is_address(address):
        raise TypeError(f"resolve({host!r}) must return IP addresses, not {one!r}")
    given = port if isinstance(one, str) else one.get("port", port)
    return ResolveResult(
        hostname=host,
        host=address,
        port=given if isinstance(given, int) and given else port,
        family=socket.AF_INET6 if ":" in address else socket.AF_INET,
        proto=0,
        flags=_NUMERIC_HINTS,
    )


def _not_found(message: str) -> OSError:
    return socket.gaierror(socket.EAI_NONAME, message)
