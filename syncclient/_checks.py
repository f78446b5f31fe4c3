"""Checks of arguments that would otherwise fail much later, on another thread."""

from __future__ import annotations

import enum
import math
import socket
from collections.abc import Mapping
from typing import TypeVar


class Unset(enum.Enum):
    """The type of a default that no value of the user's can be."""

    UNSET = enum.auto()

    def __repr__(self) -> str:
        return "<default>"


UNSET = Unset.UNSET

K = TypeVar("K")
V = TypeVar("V")

#: As often as another thread can change a mapping just while it is copied.
_TRIES = 1000


def items_of(mapping: Mapping[K, V]) -> list[tuple[K, V]]:
    """Return the items of ``mapping``, which other threads may change at the same time."""
    for _ in range(_TRIES):
        try:
            return list(mapping.items())
        except RuntimeError:  # it was changed during the iteration
            continue
    return list(mapping.items())


def count(name: str, value: int, *, least: int = 0) -> int:
    """Return ``value``, a whole number of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number, not {value!r}")
    if value < least:
        raise ValueError(f"{name} must be {least} or more, not {value}")
    return value


def seconds(name: str, value: float | None) -> float | None:
    """Return ``value``, a number of seconds from 0 on, or None."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number of seconds or None, not {value!r}")
    if math.isnan(value) or value < 0:
        raise ValueError(f"{name} must be 0 seconds or more, or None, not {value}")
    return value


def address_family(family: int) -> socket.AddressFamily:
    """Return ``family``, one of the three that TCP has."""
    if family not in (socket.AF_UNSPEC, socket.AF_INET, socket.AF_INET6):
        raise ValueError(f"family must be socket.AF_UNSPEC, AF_INET or AF_INET6, not {family!r}")
    return socket.AddressFamily(family)


def local_address(local_addr: object) -> tuple[str, int] | None:
    """Return ``local_addr``, an (address, port) to connect from, or None."""
    if local_addr is None:
        return None
    if isinstance(local_addr, (tuple, list)) and len(local_addr) == 2:
        host, port = local_addr
        if isinstance(host, str) and isinstance(port, int) and 0 <= port <= 65535:
            return host, port
    raise ValueError(f"local_addr must be (address, port), not {local_addr!r}")
