"""Digest authentication (RFC 7616): answers the best challenge that a server offers.

aiohttp's middleware looks only at the first challenge of the first header, prefers ``auth-int``,
knows neither ``userhash`` nor ``nextnonce``, and keeps the connection of the 401 while it sends
the request again. This one is a subclass, so that checks of the type accept it, but uses only the
check of the arguments.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

import aiohttp
from aiohttp import hdrs
from aiohttp.payload import Payload

from ..._urls import follow_location, origin_of, paths_of, url_or_fault
from ..cookies.sent import take_cookies
from ..exchange.framing import fault_of
from ..exchange.retry import can_be_sent_again

if TYPE_CHECKING:
    from aiohttp import ClientHandlerType, ClientRequest, ClientResponse
    from yarl import URL

_UNAUTHORIZED = 401

Hash = Callable[[bytes], str]


def _hash(name: str) -> Hash:
    return lambda data: hashlib.new(name, data, usedforsecurity=False).hexdigest()


#: By name, without ``-SESS``; the best one last.
_HASHES: dict[str, Hash] = {
    "MD5": _hash("md5"),
    "SHA": _hash("sha1"),
    "SHA-256": _hash("sha256"),
    "SHA-512": _hash("sha512"),
    "SHA-512-256": _hash("sha512_256"),
}
if "sha512_256" not in hashlib.algorithms_available:
    del _HASHES["SHA-512-256"]
_STRENGTH = {name: strength for strength, name in enumerate(_HASHES)}
#: As in aiohttp.
_SPELLINGS = {"SHA1": "SHA", "SHA-1": "SHA", "SHA256": "SHA-256", "SHA512": "SHA-512"}
_SESSION = "-SESS"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class DigestAuthMiddleware(aiohttp.DigestAuthMiddleware):
    """A middleware that answers the challenges of a server for digest authentication.

    Of the challenges in a 401, in any number of headers and in any order, it answers the one with
    the best algorithm that it knows (SHA-512-256, SHA-512, SHA-256, SHA, MD5, and each with
    ``-sess``), with ``qop=auth`` if that is offered. It serves only the origin of its first
    request. A body that can be read only once is not sent again; the 401 is then the response.

    Args:
        login: The user's name, without a colon.
        password: The user's password.
        preemptive: Whether later requests are authorised from the start.
    """

    def __init__(self, login: str, password: str, preemptive: bool = True) -> None:
        for name, value in (("login", login), ("password", password)):
            if not isinstance(value, str):
                raise TypeError(f"{name} must be a str, not {type(value).__name__}")
        if _CONTROL.search(login):
            raise ValueError("login must not contain CR, LF or another control character")
        super().__init__(login, password, preemptive)
        self._user = login
        self._secret = password
        self._at_once = preemptive
        self._known: Challenge | None = None
        self._only: tuple[str, str, int | None] | None = None

    def __repr__(self) -> str:
        return "<DigestAuthMiddleware>"

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Send the request, and send it again, authorised, if the server asks for that."""
        origin = origin_of(request.url)
        if self._only is None:
            self._only = origin
        if origin != self._only:
            return await handler(request)
        known = self._known
        if known is not None and self._at_once and known.covers(request.url):
            await self._authorise(request, known)
        answered: Challenge | None = None
        while True:
            response = await handler(request)
            if response.status != _UNAUTHORIZED:
                self._note_next(response)
                return response
            offered = self._best_of(response, request)
            if (
                offered is None
                or (answered is not None and not (offered.stale and not answered.stale))
                or not can_be_sent_again(request.body)
            ):
                return response
            # Before the request is sent again: that may need this connection.
            response.release()
            take_cookies(request, response)
            self._known = answered = offered
            await self._authorise(request, offered)

    def _best_of(self, response: ClientResponse, request: ClientRequest) -> Challenge | None:
        challenges = [
            challenge
            for scheme, fields in parse_challenges(
                response.headers.getall(hdrs.WWW_AUTHENTICATE, ())
            )
            if scheme.lower() == "digest"
            and (challenge := Challenge.made(fields, request.url)) is not None
        ]
        # Of equal ones, max() returns the first.
        return max(challenges, key=lambda challenge: challenge.strength, default=None)

    async def _authorise(self, request: ClientRequest, challenge: Challenge) -> None:
        body = b""  # also if the body is not a Payload
        if challenge.qop == "auth-int" and isinstance(request.body, Payload):
            body = await request.body.as_bytes()
        request.headers[hdrs.AUTHORIZATION] = challenge.answer(
            self._user, self._secret, request.method, request.url.raw_path_qs, body
        )

    def _note_next(self, response: ClientResponse) -> None:
        """Use the nonce that the server gives for the next request."""
        said = response.headers.get("Authentication-Info")
        if said is None or self._known is None:
            return
        for _, fields in parse_challenges((f"Digest {said}",)):
            nonce = fields.get("nextnonce")
            if nonce and fault_of(hdrs.AUTHORIZATION, nonce) is None:
                self._known.renew(nonce)


class Challenge:
    """A server's challenge, with the count of the answers to it."""

    def __init__(self, fields: dict[str, str], algorithm: str, qop: str, spaces: list[str]) -> None:
        self._fields = fields
        name = algorithm.upper()
        self._by_session = name.endswith(_SESSION)
        name = name.removesuffix(_SESSION)
        self._name = _SPELLINGS.get(name, name)
        self.qop = qop
        self._spaces = spaces
        self.stale = fields.get("stale", "").lower() == "true"
        self.renew(fields["nonce"])

    @classmethod
    def made(cls, fields: dict[str, str], url: URL) -> Challenge | None:
        """Return a challenge of these fields; None if it cannot be answered."""
        algorithm = fields.get("algorithm") or "MD5"
        name = algorithm.upper().removesuffix(_SESSION)
        if _SPELLINGS.get(name, name) not in _HASHES:
            return None
        if "realm" not in fields or not fields.get("nonce"):
            return None
        if fault_of(hdrs.AUTHORIZATION, "".join(fields.values())) is not None:
            return None  # the answer repeats it, and it cannot stand in a request
        qop = ""
        if "qop" in fields:
            offered = {each.strip().lower() for each in fields["qop"].split(",")}
            qop = next((each for each in ("auth", "auth-int") if each in offered), "")
            if not qop and offered != {""}:
                return None
        spaces = []
        for reference in fields.get("domain", "").split():
            space = url_or_fault(follow_location, url, reference)
            if not isinstance(space, str) and origin_of(space) == origin_of(url):
                spaces.append(space.raw_path)
        return cls(fields, algorithm, qop, spaces)

    @property
    def strength(self) -> int:
        """The rank of the algorithm among the known ones."""
        return _STRENGTH[self._name]

    def covers(self, url: URL) -> bool:
        """Return whether ``url``, of the same origin, is in the protection space."""
        path, _ = paths_of(url)
        return not self._spaces or any(
            path == space or path.startswith(f"{space.rstrip('/')}/") for space in self._spaces
        )

    def renew(self, nonce: str) -> None:
        """Start a new count, with another nonce of the server."""
        self._nonce = nonce
        self._count = 0
        self._cnonce = secrets.token_hex(8)

    def answer(self, user: str, password: str, method: str, target: str, body: bytes) -> str:
        """Return the Authorization header for one request."""
        fields = self._fields
        hashed = _HASHES[self._name]
        if not self._by_session:
            self._cnonce = secrets.token_hex(8)  # with -sess it is part of the key
        self._count += 1
        count = f"{self._count:08x}"
        key = hashed(_octets(f"{user}:{fields['realm']}:{password}"))
        if self._by_session:
            key = hashed(_octets(f"{key}:{self._nonce}:{self._cnonce}"))
        what = f"{method.upper()}:{target}"
        if self.qop == "auth-int":
            what = f"{what}:{hashed(body)}"
        parts = [key, self._nonce, count, self._cnonce, self.qop, hashed(_octets(what))]
        if not self.qop:
            parts[2:5] = ()
        said = [
            *self._username(user, hashed),
            f"realm={_quoted(fields['realm'])}",
            f"nonce={_quoted(self._nonce)}",
            f'uri="{target}"',
            f'response="{hashed(_octets(":".join(parts)))}"',
        ]
        if "algorithm" in fields:
            said.append(f"algorithm={fields['algorithm']}")
        if fields.get("opaque"):
            said.append(f"opaque={_quoted(fields['opaque'])}")
        if self.qop:
            said += [f"qop={self.qop}", f"nc={count}", f'cnonce="{self._cnonce}"']
        return f"Digest {', '.join(said)}"

    def _username(self, user: str, hashed: Hash) -> Iterable[str]:
        if self._fields.get("userhash", "").lower() == "true":
            name = hashed(_octets(f"{user}:{self._fields['realm']}"))
            return (f'username="{name}"', "userhash=true")
        if not user.isascii() and self._fields.get("charset", "").upper() == "UTF-8":
            return (f"username*=UTF-8''{quote(user, safe='')}",)
        return (f"username={_quoted(user)}",)


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


class Offer(NamedTuple):
    """A challenge: a scheme, and its parameters by name in lower case."""

    scheme: str
    fields: dict[str, str]


_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PART = re.compile(
    rf"""[\s,]*(?:
        (?P<name>{_TOKEN})\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"?|(?P<plain>[^\s,"=][^\s,"]*))
        # A scheme, and perhaps a token68 in place of parameters.
        | (?P<scheme>{_TOKEN})(?:[ \t]+[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|$)))?
        | .
    )""",
    re.DOTALL | re.VERBOSE,
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def parse_challenges(headers: Iterable[str]) -> list[Offer]:
    """Return the challenges in WWW-Authenticate headers: RFC 9110, section 11.6.1.

    Commas separate both the challenges in a header and the parameters of a challenge. Anything
    else is skipped.
    """
    offers: list[Offer] = []
    for header in headers:
        current: Offer | None = None
        for part in _PART.finditer(header):
            scheme, name, quoted, plain = part.group("scheme", "name", "quoted", "plain")
            if scheme is not None:
                current = Offer(scheme, {})
                offers.append(current)
            elif name is not None and current is not None:
                value = plain if quoted is None else _ESCAPED.sub(r"\1", quoted)
                current.fields.setdefault(name.lower(), value)
    return offers
