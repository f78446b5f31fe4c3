"""Host names and addresses in the one form in which they are looked up, compared and verified.

Names follow UTS #46, non-transitional, as in browsers: ``ß`` is kept, joiners are allowed where
their scripts need them, and symbols that IDNA 2008 forbids but UTS #46 allows (``i❤.ws``) work.
An invalid host is refused here, before it is looked up or becomes the name of a TLS handshake:
uvloop closes a descriptor twice if a handshake gets a name that Python cannot encode, and the
descriptor may belong to another connection by then.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from urllib.parse import unquote

import idna
from idna.core import check_bidi, check_initial_combiner, check_nfc, valid_contextj

#: Most hosts: names in lower case that are neither an address nor an A-label.
_PLAIN = re.compile(r"(?!.*xn--)(?:[a-z0-9_-]{1,63}\.)*[a-z_-][a-z0-9_-]{0,62}")
#: RFC 3986, section 3.2.2: the characters of a registered name, once it is decoded.
_NAME = re.compile(r"[a-z0-9_~!$&'()*+,;=.-]+")
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]*|[0-9]+")
_ZONE = re.compile(r"[A-Za-z0-9._~-]+")

_JOINERS = "\u200c\u200d"
_LONGEST_NAME = 253
_LONGEST_LABEL = 63
#: Escaped, and with characters that are mapped to nothing. Mapping more could take long.
_LONGEST_SPELLING = 16 * _LONGEST_NAME


@lru_cache(maxsize=1024)
def canonical_host(host: str) -> str:
    """Return ``host`` as in a URL, in lower case and ASCII; an IPv6 address in brackets.

    Args:
        host: a name, an IPv4 address in any of the forms that ``inet_aton`` takes, or an IPv6
            address in brackets, with or without a zone.

    Raises:
        ValueError: there can be no such host. The message does not quote it.
    """
    if len(host) <= _LONGEST_NAME and _PLAIN.fullmatch(host):
        return host
    if host[:1] == "[":
        return _bracketed(host)
    if not host:
        raise ValueError("the host is empty")
    if len(host) > _LONGEST_SPELLING:
        raise ValueError(f"the host has more than {_LONGEST_NAME} characters")
    name = _mapped(_unescaped(host))
    if not _NAME.fullmatch(name):
        raise ValueError("the host holds a character that no host can have")
    if (address := _ipv4(name)) is not None:
        return address
    if len(name.removesuffix(".")) > _LONGEST_NAME:
        raise ValueError(f"the host has more than {_LONGEST_NAME} characters")
    for label in name.removesuffix(".").split("."):
        if not label:
            raise ValueError("the host has an empty label")
        if len(label) > _LONGEST_LABEL:
            raise ValueError(f"the host has a label of more than {_LONGEST_LABEL} characters")
    return name


def host_key(host: str) -> str:
    """Return ``host`` in the form for comparisons, which ignore case, a final dot and script."""
    host = host.rstrip(".").lower()
    if host.isascii():
        return host
    try:
        return canonical_host(host)
    except ValueError:
        return host


def canonical_server_name(name: str) -> str:
    """Return ``name`` as a TLS handshake takes it: like ``canonical_host``, without brackets.

    Raises:
        ValueError: there can be no such host.
    """
    if ":" in name and name[:1] != "[":
        name = f"[{name}]"
    host = canonical_host(name)
    return cut_zone(host[1:-1]) if host[0] == "[" else host


def is_ip_address(host: str) -> bool:
    """Return whether ``host``, without brackets, is written as an IP address."""
    return ":" in host or host.replace(".", "").isdigit()


def cut_zone(address: str) -> str:
    """Return an IPv6 address without its zone, which means nothing to other machines."""
    return address.partition("%")[0]


def _unescaped(host: str) -> str:
    if "%" not in host:
        return host
    try:
        return unquote(host, errors="strict")
    except UnicodeDecodeError:
        raise ValueError("the host has escapes that are no UTF-8") from None


def _mapped(host: str) -> str:
    """Return ``host`` in lower case and with A-labels."""
    if host.isascii() and "xn--" not in host.lower():
        return host.lower()
    try:
        name = idna.uts46_remap(host, std3_rules=False, transitional=False)
        return ".".join(map(_a_label, name.split(".")))
    except (UnicodeError, ValueError):
        raise ValueError("the host is no valid internationalised name (UTS #46)") from None


def _a_label(label: str) -> str:
    if label[:4] == "xn--":
        decoded = label[4:].encode("ascii").decode("punycode")
        mapped = idna.uts46_remap(decoded, std3_rules=False, transitional=False)
        if decoded.isascii() or mapped != decoded:
            raise ValueError("an A-label that stands for no U-label")
        _check_label(decoded)
        return label
    if label.isascii():
        return label
    _check_label(label)
    return f"xn--{label.encode('punycode').decode('ascii')}"


def _check_label(label: str) -> None:
    """Raise ValueError if a U-label is not valid: UTS #46, section 4.1."""
    check_nfc(label)
    check_initial_combiner(label)
    check_bidi(label)
    for position, character in enumerate(label):
        if character in _JOINERS and not valid_contextj(label, position):
            raise ValueError("a joiner where there is nothing to join")


def _ipv4(name: str) -> str | None:
    """Return the address that ``name`` stands for, or None for a name: WHATWG URL, 3.5.

    As in browsers and curl, so that ``127.1`` and ``0x7f000001`` are ``127.0.0.1`` wherever hosts
    are compared; and a name that ends in a number without being an address is not a host.
    """
    parts = name.removesuffix(".").split(".")
    if not _NUMBER.fullmatch(parts[-1]):
        return None
    numbers = [_number(part) for part in parts]
    if len(numbers) > 4 or any(number > 255 for number in numbers[:-1]):
        raise ValueError("the host ends in a number, and is no IPv4 address")
    value = numbers.pop()
    if value >= 256 ** (4 - len(numbers)):
        raise ValueError("the host ends in a number, and is no IPv4 address")
    for index, number in enumerate(numbers):
        value += number << 8 * (3 - index)
    return str(ipaddress.IPv4Address(value))


def _number(part: str) -> int:
    if len(part) <= _LONGEST_LABEL and _NUMBER.fullmatch(part):
        try:
            if part[:2] in ("0x", "0X"):
                return int(part[2:] or "0", 16)
            return int(part, 8 if part[0] == "0" else 10)
        except ValueError:
            pass
    raise ValueError("the host ends in a number, and is no IPv4 address")


def _bracketed(host: str) -> str:
    if host[-1] != "]":
        raise ValueError("the brackets of an IPv6 address are not closed")
    text, mark, zone = host[1:-1].partition("%")
    try:
        address = ipaddress.IPv6Address(text).compressed
    except ValueError:
        raise ValueError("the part in brackets is not an IPv6 address") from None
    if not mark:
        return f"[{address}]"
    # RFC 6874 escapes the sign, and programs also write it unescaped.
    zone = unquote(zone[2:] if zone[:2] == "25" and len(zone) > 2 else zone)
    if not _ZONE.fullmatch(zone):
        raise ValueError("the zone of the IPv6 address is empty, or holds what no zone can have")
    return f"[{address}%{zone}]"
