"""Hosts, domains and paths, as the rules for cookies compare them."""

from __future__ import annotations

import re

from ..._hosts import canonical_host, is_ip_address

_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?")


def is_loopback(host: str) -> bool:
    """Return whether ``host`` is this machine, so that the traffic does not leave it."""
    return (
        host == "localhost"
        or host.endswith(".localhost")
        or host == "::1"
        or (host.startswith("127.") and is_ip_address(host))
    )


def canonical_domain(domain: str) -> str | None:
    """Return the value of a Domain attribute as a host; None if it is not a host.

    Args:
        domain: in any case, with a dot in front or without, in Unicode or in punycode.
    """
    domain = domain.removeprefix(".").lower()
    if not domain.isascii():
        try:
            domain = canonical_host(domain)
        except ValueError:
            return None
    if domain and not is_ip_address(domain):
        labels = domain.split(".")
        if len(domain) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
            return None
    return domain


def domain_match(host: str, domain: str) -> bool:
    """Return whether ``host`` is ``domain`` or below it (RFC 6265, section 5.1.3)."""
    if host == domain:
        return True
    return (
        host.endswith(domain)
        and host[-len(domain) - 1] == "."
        and bool(domain)
        and not is_ip_address(host)
    )


def default_path(path: str) -> str:
    """Return the path of a cookie without one, from that of the request (section 5.1.4)."""
    return path[: path.rfind("/")] or "/" if path.startswith("/") else "/"


def path_match(path: str, prefix: str) -> bool:
    """Return whether a request for ``path`` carries cookies of the path ``prefix``."""
    return path.startswith(prefix) and (
        len(path) == len(prefix) or prefix.endswith("/") or path[len(prefix)] == "/"
    )
