"""The opening handshake: its request, and the check of its answer (RFC 6455, section 4).

aiohttp's own check refuses what the RFC allows (``Connection: keep-alive, Upgrade``), and
accepts what a client must refuse: extensions and subprotocols that were not offered, and
parameters of extensions that make no sense. So the upgrade is an ordinary request of aiohttp's
session, and its answer is checked here.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from aiohttp import hdrs
from aiohttp.http import WS_KEY
from multidict import CIMultiDict, CIMultiDictProxy

from ..._types import LooseHeaders

#: The fewest window bits that zlib compresses with; the RFC allows 8, and zlib makes 9 of it.
_LEAST_BITS = 9

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_EXTENSION = re.compile(rf"[ \t]*({_TOKEN})[ \t]*")
#: A parameter. A quoted value has to be a token once it is unquoted.
_PARAMETER = re.compile(rf';[ \t]*({_TOKEN})(?:[ \t]*=[ \t]*({_TOKEN}|"(?:[^"\\]|\\.)*"))?[ \t]*')
#: An element of a list may be empty (RFC 9110, 5.6.1).
_BLANK = re.compile(r"[ \t,]+")
_BITS = re.compile("[89]|1[0-5]")


class HandshakeError(Exception):
    """The server's answer does not accept the WebSocket handshake."""


class Deflate(NamedTuple):
    """The agreed compression of messages (RFC 7692)."""

    #: For sent messages: window bits, and whether each message is compressed by itself.
    client_bits: int = 15
    client_notakeover: bool = False
    #: Whether each of the server's messages is compressed by itself.
    server_notakeover: bool = False

    @property
    def can_send(self) -> bool:
        """Whether zlib can compress as agreed. Sending uncompressed is always allowed."""
        return self.client_bits >= _LEAST_BITS


class Agreed(NamedTuple):
    """The result of the handshake."""

    protocol: str | None
    deflate: Deflate | None


def request_headers(
    headers: LooseHeaders | None,
    *,
    protocols: Iterable[str],
    origin: str | None,
    compress: int,
) -> CIMultiDict[str]:
    """Return the headers of the request: the caller's, and those of the handshake."""
    made: CIMultiDict[str] = CIMultiDict(headers or ())
    made.setdefault(hdrs.UPGRADE, "websocket")
    made.setdefault(hdrs.CONNECTION, "Upgrade")
    made.setdefault(hdrs.SEC_WEBSOCKET_VERSION, "13")
    made[hdrs.SEC_WEBSOCKET_KEY] = base64.b64encode(os.urandom(16)).decode()
    if protocols:
        made[hdrs.SEC_WEBSOCKET_PROTOCOL] = ",".join(protocols)
    if origin is not None:
        made[hdrs.ORIGIN] = origin
    if compress:
        offer = "permessage-deflate; client_max_window_bits"
        if compress < 15:
            offer += f"; server_max_window_bits={compress}"
        made[hdrs.SEC_WEBSOCKET_EXTENSIONS] = offer
    return made


def agree(
    status: int, headers: CIMultiDictProxy[str] | CIMultiDict[str], asked: CIMultiDict[str]
) -> Agreed:
    """Check the answer to a request with the headers ``asked``; raise HandshakeError if it fails.

    The numbers are those of the list in RFC 6455, section 4.1.
    """
    if status != 101:  # 1
        raise HandshakeError(f"Invalid response status: {status}, and not 101")
    upgrade = headers.getall(hdrs.UPGRADE, [])
    if [value.strip(" \t").lower() for value in upgrade] != ["websocket"]:  # 2
        raise HandshakeError(f"Invalid upgrade header: {_shown(upgrade)}, and not 'websocket'")
    connection = headers.getall(hdrs.CONNECTION, [])
    if "upgrade" not in [token.lower() for token in _tokens(connection)]:  # 3
        raise HandshakeError(
            f"Invalid connection header: {_shown(connection)}, and no 'Upgrade' in it"
        )
    key = asked[hdrs.SEC_WEBSOCKET_KEY].encode()
    accept = [value.strip(" \t") for value in headers.getall(hdrs.SEC_WEBSOCKET_ACCEPT, [])]
    if accept != [base64.b64encode(hashlib.sha1(key + WS_KEY).digest()).decode()]:  # 4
        raise HandshakeError(
            f"Invalid challenge response: Sec-WebSocket-Accept is {_shown(accept)}, "
            "and does not answer the key that was sent"
        )
    return Agreed(_protocol(headers, asked), _deflate(headers, asked))


def _deflate(
    headers: CIMultiDictProxy[str] | CIMultiDict[str], asked: CIMultiDict[str]
) -> Deflate | None:
    """Check 5: the extensions, which must be among those offered."""
    offered = dict(_extensions(asked.getall(hdrs.SEC_WEBSOCKET_EXTENSIONS, [])))
    agreed: Deflate | None = None
    for name, parameters in _extensions(headers.getall(hdrs.SEC_WEBSOCKET_EXTENSIONS, [])):
        if name not in offered:
            raise HandshakeError(f"Invalid extensions: {name!r} was not offered")
        if name == "permessage-deflate":
            if agreed is not None:
                raise HandshakeError(f"Invalid extensions: {name!r} is there twice")
            agreed = _deflate_of(parameters, dict(offered[name]))
    return agreed


def _deflate_of(
    parameters: list[tuple[str, str | None]], offered: dict[str, str | None]
) -> Deflate:
    """Check the parameters of permessage-deflate (RFC 7692, section 7.1)."""
    found: dict[str, str | None] = {}
    for name, value in parameters:
        shown = name if value is None else f"{name}={value}"
        if name in found:
            raise HandshakeError(f"Invalid permessage-deflate: {name} is there twice")
        if name in ("server_no_context_takeover", "client_no_context_takeover"):
            valid = value is None
        elif name in ("server_max_window_bits", "client_max_window_bits"):
            valid = value is not None and _BITS.fullmatch(value) is not None
        else:
            valid = False
        if not valid:
            raise HandshakeError(f"Invalid permessage-deflate: {shown}")
        found[name] = value
    if "client_max_window_bits" in found and "client_max_window_bits" not in offered:
        raise HandshakeError("Invalid permessage-deflate: client_max_window_bits was not offered")
    for name in ("server_max_window_bits", "client_max_window_bits"):
        most, bits = offered.get(name), found.get(name)
        if most is not None and bits is not None and int(bits) > int(most):
            raise HandshakeError(
                f"Invalid permessage-deflate: {name}={bits}, and {most} was asked for"
            )
    return Deflate(
        int(found.get("client_max_window_bits") or 15),
        "client_no_context_takeover" in found,
        "server_no_context_takeover" in found,
    )


def _protocol(
    headers: CIMultiDictProxy[str] | CIMultiDict[str], asked: CIMultiDict[str]
) -> str | None:
    """Check 6: the subprotocol, which must be one of those offered."""
    chosen = [value.strip(" \t") for value in headers.getall(hdrs.SEC_WEBSOCKET_PROTOCOL, [])]
    if not chosen:
        return None
    if len(chosen) > 1 or chosen[0] not in _tokens(asked.getall(hdrs.SEC_WEBSOCKET_PROTOCOL, [])):
        raise HandshakeError(f"Invalid subprotocol: {_shown(chosen)} was not offered")
    return chosen[0]


def _tokens(values: Iterable[str]) -> list[str]:
    """Return the elements of a header that is a list, in one line or several."""
    return [token for value in values for each in value.split(",") if (token := each.strip(" \t"))]


def _extensions(values: Iterable[str]) -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    """Parse Sec-WebSocket-Extensions (RFC 6455, 9.1): names, each with its parameters."""
    for value in values:
        pos = 0
        while pos < len(value):
            extension = _EXTENSION.match(value, pos)
            if extension is None:
                blank = _BLANK.match(value, pos)
                if blank is None:
                    raise HandshakeError(f"Invalid extensions: {_shown([value])}")
                pos = blank.end()
                continue
            parameters: list[tuple[str, str | None]] = []
            pos = extension.end()
            while parameter := _PARAMETER.match(value, pos):
                name, text = parameter.groups()
                if text is not None and text[0] == '"':
                    text = re.sub(r"\\(.)", r"\1", text[1:-1])
                parameters.append((name.lower(), text))
                pos = parameter.end()
            if pos < len(value) and value[pos] != ",":
                raise HandshakeError(f"Invalid extensions: {_shown([value])}")
            yield extension[1].lower(), parameters
            pos += 1


def _shown(values: list[str]) -> str:
    """Return the values of a header for a message, cut short."""
    text = repr(", ".join(values)) if values else "missing"
    return text if len(text) <= 100 else f"{text[:97]}..."
