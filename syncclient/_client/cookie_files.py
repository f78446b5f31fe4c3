"""Cookie files: aiohttp's JSON, and the Netscape format.

curl, wget, yt-dlp and browser add-ons use the latter. The standard library's MozillaCookieJar is
not used: it leaves the expiry of session cookies empty, which curl misreads; it refuses domains
without a leading dot, and warns with a traceback; its errors quote the line with the secret; and
it reads files in the encoding of the locale.

Octets that are not UTF-8 become surrogate escapes, as in headers.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import re
import stat
from collections.abc import Iterable, Mapping
from functools import partial
from http.cookies import Morsel
from typing import Any, cast

import aiohttp

from .._async.cookies.cookie import Cookie
from .._async.cookies.hosts import canonical_domain, is_loopback
from .._async.cookies.set_cookie import parse_date
from .._hosts import canonical_host

_HEADER = (
    "# Netscape HTTP Cookie File\n# Written by syncclient. Holds secrets: keep it private.\n\n"
)
_HTTP_ONLY = "#HttpOnly_"
#: Characters that would end a field or a line.
_BREAKS = re.compile(r"[\x00-\x1f\x7f]")
#: Characters that no cookie has, and that would end one in a header.
_NEVER = re.compile("[\x00-\x08\x0a-\x1f\x7f;\ud800-\udc7f\udd00-\udfff]")
#: The end of the year 9999, after which dates cannot be written.
_LAST_MOMENT = 253_402_300_799.0
#: Without a word of the file, which may be a secret.
_UNKNOWN = "it has none of the formats of cookie files"
#: The first byte of a pickle, and a byte that no text in UTF-8 begins with.
_PICKLED = b"\x80"
#: What add-ons, Playwright and Puppeteer, and Selenium call the expiry.
_EXPIRIES = ("expirationDate", "expires", "expiry")
#: Attributes that the fields of a cookie already express.
_NOT_SAVED = frozenset({"domain", "path", "secure", "max-age", "expires"})


def make_private(path: str) -> None:
    """Create the file, for its owner only, before a secret is written to it."""
    # By open() alone, all of it in C: an interrupt after os.open() would leave the descriptor.
    with open(path, "ab", buffering=0, opener=partial(os.open, mode=0o600)) as file:
        # An existing file keeps its mode, which is set here. The mode of a device is left alone.
        if hasattr(os, "fchmod") and stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            os.fchmod(file.fileno(), 0o600)


def read_cookies(path: str) -> tuple[list[Cookie], list[str]]:
    """Return the cookies of a file, and the faults of its malformed lines or entries.

    The beginning of the file shows the format. A file without content has no cookies: programs
    leave it so if they have stored none, or are interrupted.

    Raises:
        OSError: It cannot be read.
        ValueError, LookupError, pickle.UnpicklingError: It has none of the formats.
    """
    with open(path, "rb") as file:
        data = file.read().removeprefix(b"\xef\xbb\xbf")
    if data[:1] == _PICKLED:
        return _from_pickle(path), []
    beginning = data.lstrip()[:1]
    if beginning in (b"{", b"["):
        parsed = json.loads(data)
        exported = parsed.get("cookies") if isinstance(parsed, dict) else parsed
        if isinstance(exported, list):
            return _from_exported(exported)
        return _from_json(parsed), []
    cookies, odd = _from_netscape(data.decode("utf-8", "surrogateescape"))
    if odd and not cookies and beginning != b"#":
        raise ValueError(_UNKNOWN)
    return cookies, odd


# -- Netscape's ------------------------------------------------------------------------


def netscape_text(cookies: Iterable[Cookie]) -> tuple[bytes, list[str]]:
    """Return the cookies as the text of a file, and the faults of those that do not fit.

    Cookies for every host and those of Unix sockets are left out: the format cannot express them.
    """
    lines, misfits = [_HEADER], []
    for cookie in cookies:
        if not cookie.domain or cookie.socket is not None:
            continue
        fields = (
            cookie.domain if cookie.host_only else f".{cookie.domain}",
            "FALSE" if cookie.host_only else "TRUE",
            cookie.path,
            "TRUE" if cookie.secure else "FALSE",
            str(math.ceil(cookie.expires or 0)),
            cookie.name,
            cookie.value,
        )
        if any(_BREAKS.search(field) for field in fields):
            misfits.append(
                f"the cookie {cookie.name!r} of {cookie.domain} does not fit into this format"
            )
            continue
        prefix = _HTTP_ONLY if cookie.attributes.get("httponly") else ""
        lines.append(f"{prefix}{chr(9).join(fields)}\n")
    return "".join(lines).encode("utf-8", "surrogateescape"), misfits


def _from_netscape(text: str) -> tuple[list[Cookie], list[str]]:
    cookies, odd = [], []
    # Not splitlines(), which would also split at line ends that only Unicode has.
    for number, line in enumerate(text.split("\n"), 1):
        line = line.rstrip("\r")
        http_only = line.startswith(_HTTP_ONLY)
        line = line.removeprefix(_HTTP_ONLY)
        if not line.strip() or (line.startswith("#") and not http_only):
            continue
        try:
            cookies.append(_from_line(line, http_only))
        except ValueError as exc:
            # By its number, because the line may contain a secret.
            odd.append(f"line {number} {exc}")
    return cookies, odd


def _from_line(line: str, http_only: bool) -> Cookie:
    fields = line.split("\t")
    if len(fields) == 6:  # an editor has removed the tab before an empty value
        fields.append("")
    if len(fields) != 7:
        raise ValueError(f"has {len(fields)} fields between tabs, and not 7")
    domain, subdomains, path, secure, expires, name, value = fields
    return _imported(
        name,
        value,
        domain,
        host_only=subdomains.upper() != "TRUE",
        path=path,
        secure=secure.upper() == "TRUE",
        expires=expires,
        http_only=http_only,
    )


def _imported(
    name: str,
    value: str,
    written: str,
    *,
    host_only: bool,
    path: str,
    secure: bool,
    expires: str | float | None,
    http_only: bool,
) -> Cookie:
    """Return a cookie that another program wrote; raise ValueError, without quoting it."""
    domain = _domain(written.strip())
    if not domain:
        raise ValueError("has no domain")
    if _NEVER.search(name + value):
        raise ValueError("has control characters or semicolons")
    try:
        deadline = float(expires or 0)
    except (ValueError, TypeError, OverflowError):
        deadline = math.nan
    if math.isnan(deadline):
        # Raised here: the error of float() quotes the field, which may be a shifted value.
        raise ValueError("has an expiry that is not a number of seconds")
    return Cookie(
        name,
        value,
        domain,
        host_only,
        path if path.startswith("/") else "/",
        secure,
        min(deadline, _LAST_MOMENT) if deadline > 0 else None,
        {"httponly": True} if http_only else {},
        # The formats do not say whether it was set with TLS.
        loopback=secure and is_loopback(domain),
    )


def _domain(written: str) -> str | None:
    if ":" not in written:
        return canonical_domain(written)
    try:  # an IPv6 address, with or without brackets; neither a port nor a URL
        return canonical_host(f"[{written.removeprefix('[').removesuffix(']')}]")[1:-1]
    except ValueError:
        return None


# -- browsers' add-ons and drivers --------------------------------------------------------


def _from_exported(entries: list[Any]) -> tuple[list[Cookie], list[str]]:
    """Read the JSON of add-ons such as Cookie-Editor, and of Playwright, Puppeteer and Selenium."""
    cookies, odd = [], []
    for number, entry in enumerate(entries, 1):
        try:
            cookies.append(_from_entry(entry))
        except ValueError as exc:
            odd.append(f"entry {number} {exc}")
    if odd and not cookies:
        raise ValueError(_UNKNOWN)
    return cookies, odd


def _from_entry(entry: Any) -> Cookie:
    if not isinstance(entry, dict):
        raise ValueError("is no object")
    name, value, domain = (entry.get(key) for key in ("name", "value", "domain"))
    if not (isinstance(name, str) and isinstance(value, str) and isinstance(domain, str)):
        raise ValueError("has no name, value or domain")
    if entry.get("session") is True:
        expires = None
    else:
        expires = next((entry[key] for key in _EXPIRIES if entry.get(key) is not None), None)
    return _imported(
        name,
        value,
        domain,
        # Where they do not say, the dot does.
        host_only=bool(entry.get("hostOnly", domain[:1] != ".")),
        path=str(entry.get("path") or "/"),
        secure=bool(entry.get("secure")),
        expires=expires,
        http_only=bool(entry.get("httpOnly")),
    )


# -- aiohttp's -------------------------------------------------------------------------


def json_text(cookies: Iterable[Cookie]) -> bytes:
    """Return the cookies as the text of a file that aiohttp's jar reads too."""
    data: dict[str, dict[str, Any]] = {}
    for cookie in cookies:
        # aiohttp reads the domain in this key, and takes the path from the cookie.
        key = f"{cookie.domain}|{cookie.path.rstrip('/')}"
        while cookie.name in data.setdefault(key, {}):
            key += "|"  # the same, but for that host only, or of a Unix socket
        morsel = cookie.morsel()
        attributes = {n: v for n, v in morsel.items() if v and n not in _NOT_SAVED}
        data[key][cookie.name] = {
            "key": cookie.name,
            "value": morsel.value,
            "coded_value": cookie.value,
            "domain": cookie.domain,
            "path": cookie.path,
            **attributes,
            **({"secure": True} if cookie.secure else {}),
            **({"host_only": True} if cookie.host_only and cookie.domain else {}),
            **({"unix_socket": cookie.socket} if cookie.socket is not None else {}),
            **({"loopback": True} if cookie.loopback else {}),
            **({"expires_timestamp": cookie.expires} if cookie.expires is not None else {}),
        }
    return json.dumps(data, indent=2).encode()


def _from_json(data: Any) -> list[Cookie]:
    cookies = []
    for key, by_name in data.items():
        domain, mark, _ = key.partition("|")
        if not mark:
            raise ValueError(_UNKNOWN)
        cookies += [_from_saved(domain, saved) for saved in by_name.values()]
    return cookies


def _from_saved(written: str, saved: Mapping[str, Any]) -> Cookie:
    name, value = str(saved["key"]), str(saved["coded_value"])
    domain = canonical_domain(written)
    if domain is None or _NEVER.search(name + value):
        raise ValueError(f"there cannot be a cookie {name!r} of {written!r}")
    expires = saved.get("expires_timestamp")
    if expires is not None and not math.isfinite(float(expires)):
        raise ValueError(f"the cookie {name!r} has an expiry that is not a number of seconds")
    path = str(saved.get("path") or "/")
    return Cookie(
        name,
        value,
        domain,
        bool(saved.get("host_only")),
        path if path.startswith("/") else "/",
        bool(saved.get("secure")),
        parse_date(str(saved.get("expires", ""))) if expires is None else float(expires),
        _attributes(saved),
        saved.get("unix_socket"),
        bool(saved.get("loopback")),
    )


def _attributes(saved: Mapping[str, Any]) -> dict[str, str | bool]:
    morsel: Morsel[str] = Morsel()
    return {
        name: value
        for name, value in saved.items()
        if value and morsel.isReservedKey(name) and name not in _NOT_SAVED
    }


def _from_pickle(path: str) -> list[Cookie]:
    """Read a file of an old version of aiohttp, by aiohttp's own restricted unpickler."""
    jar = aiohttp.CookieJar(unsafe=True, loop=cast(asyncio.AbstractEventLoop, object()))
    jar.load(path)
    return [
        Cookie(
            name,
            morsel.coded_value,
            domain,
            (domain, path, name) in jar.host_only_cookies,
            morsel["path"] or "/",
            bool(morsel["secure"]),
            parse_date(morsel["expires"]),
            {n: v for n, v in morsel.items() if v and n not in _NOT_SAVED},
        )
        for (domain, path), by_name in jar.cookies.items()
        for name, morsel in by_name.items()
    ]
