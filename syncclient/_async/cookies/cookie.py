"""A cookie as the jar stores it."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from email.utils import formatdate
from http.cookies import Morsel
from typing import Any, NamedTuple

from ..._hosts import is_ip_address
from .hosts import domain_match, path_match
from .public_suffixes import registrable_domain
from .set_cookie import SetCookie, make_morsel, parse_date, parse_max_age

#: Maximum lifetime of a cookie, in seconds: 400 days.
MAX_LIFETIME = 400 * 86400
#: The attributes that limit it.
_OF_TIME = frozenset({"max-age", "expires"})
#: Prefixes of names that promise certain attributes.
PREFIXES = ("__secure-", "__host-")

#: The Unix socket, or None for the network, and the registered domain.
Site = tuple[str | None, str]
#: A cookie replaces one with the same domain, host-only flag, path and name.
Identity = tuple[str, bool, str, str]


class Cookie(NamedTuple):
    """A stored cookie. Immutable, so that any thread may read it."""

    name: str
    value: str
    #: Empty for cookies of the user that are sent to every host.
    domain: str
    #: Whether hosts below ``domain`` do not get it.
    host_only: bool
    path: str
    secure: bool
    #: Seconds since the epoch; None lasts as long as the jar.
    expires: float | None
    #: All attributes of the header, including HttpOnly and SameSite.
    attributes: dict[str, str | bool]
    #: The path of the Unix socket that it belongs to.
    socket: str | None = None
    #: Whether it is Secure, and was set by this machine without TLS.
    loopback: bool = False

    @property
    def identity(self) -> Identity:
        """The key of the cookie within its site."""
        return self.domain, self.host_only, self.path, self.name

    @property
    def site(self) -> Site:
        """The site that the cookie belongs to."""
        return (self.socket, site_of(self.domain)) if self.domain else EVERYWHERE

    def goes_to(self, host: str, path: str, now: float, encrypted: bool, loopback: bool) -> bool:
        """Return whether it is sent to ``host`` with a request for ``path``."""
        _, _, domain, host_only, prefix, secure, expires, _, _, local = self
        return (
            (domain == host or not domain or (not host_only and domain_match(host, domain)))
            and (prefix == "/" or path_match(path, prefix))
            and (not secure or encrypted or (loopback and local))
            and (expires is None or expires > now)
        )

    def prolongs(self, old: Cookie, now: float) -> bool:
        """Return whether this is what ``old`` still is to requests, for as long or longer."""
        until = old.expires
        return (
            self[:_UP_TO_SECURE] == old[:_UP_TO_SECURE]
            and self[_FROM_SOCKET:] == old[_FROM_SOCKET:]
            and (until is None or until > now)
            and (self.expires is None or (until is not None and self.expires >= until))
        )

    def morsel(self) -> Morsel[str]:
        """Return it as a Morsel."""
        attributes = {**self.attributes, "domain": self.domain, "path": self.path}
        if self.secure:
            attributes["secure"] = True
        if self.expires is not None and not attributes.keys() & {"expires", "max-age"}:
            attributes["expires"] = formatdate(self.expires, usegmt=True)
        return make_morsel(self.name, self.value, attributes.items())


#: The fields of a cookie that decide about requests, beside ``expires``.
_UP_TO_SECURE = 1 + Cookie._fields.index("secure")
_FROM_SOCKET = Cookie._fields.index("socket")

EVERYWHERE: Site = (None, "")


def site_of(host: str) -> str:
    """Return the site of ``host``: its registrable domain, or the address itself."""
    return host if is_ip_address(host) else registrable_domain(host)


def given(name: str, value: Any, *, for_all: bool) -> SetCookie:
    """Return a cookie that a user gave, as a value or as a Morsel."""
    if not isinstance(value, Morsel):
        return SetCookie(name, str(value), {})
    coded = value.coded_value if value.coded_value is not None else value.value
    attributes = {key: given for key, given in value.items() if given != ""}
    if not (attributes or for_all) and name.lower().startswith(PREFIXES):
        # The name promises these attributes, which a mere value does not have.
        attributes = {"secure": True, "path": "/"}
    return SetCookie(name, str(coded), attributes)


def expiry(attributes: Mapping[str, str | bool]) -> float | None:
    """Return when a cookie expires; Max-Age takes precedence over Expires."""
    if attributes.keys().isdisjoint(_OF_TIME):
        return None
    now = time.time()
    age = parse_max_age(str(attributes.get("max-age", "")))
    if age is not None:
        return now + min(age, MAX_LIFETIME) if age > 0 else -math.inf
    moment = parse_date(str(attributes.get("expires", "")))
    return None if moment is None else min(moment, now + MAX_LIFETIME)
