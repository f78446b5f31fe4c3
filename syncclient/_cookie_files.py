"""Cookie files in the format of Netscape, which curl, wget, yt-dlp and browsers' add-ons share.

Not by the standard library's MozillaCookieJar: it leaves the expiry of session cookies empty,
which curl misreads; it refuses a domain without a leading dot, and warns with a traceback; its
errors quote the line, and with it the secret; and it reads in the encoding of the locale.
"""

from __future__ import annotations

import math
import os
import re
import stat
import time
from collections.abc import Iterator
from email.utils import formatdate
from http.cookiejar import http2time  # type: ignore[attr-defined]  # unknown to typeshed
from http.cookies import Morsel, SimpleCookie

import aiohttp
from yarl import URL

_MAGIC = re.compile(rb"(?:\xef\xbb\xbf)?#(?: Netscape)? HTTP Cookie File")
_HEADER = (
    "# Netscape HTTP Cookie File\n# Written by syncclient. Holds secrets: keep it private.\n\n"
)
_HTTP_ONLY = "#HttpOnly_"
#: What would end a field or a line.
_BREAKS = re.compile(r"[\x00-\x1f\x7f]")
#: The end of the year 9999, after which dates cannot be written.
_LAST_MOMENT = 253_402_300_799.0


def make_private(path: str) -> None:
    """Make the file exist, for its owner only, before anything secret is written to it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        # Of an older file the mode is still what it was. Of a device it is not ours to set.
        if hasattr(os, "fchmod") and stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def netscape_text(path: str) -> str | None:
    """Return what a file of this format holds; None where its first line says it is another.

    Raises:
        OSError: It cannot be read.
        ValueError: It is not UTF-8.
    """
    with open(path, "rb") as file:
        first = file.readline()
        if not _MAGIC.match(first):
            return None
        return (first + file.read()).decode("utf-8-sig")


def to_netscape(jar: aiohttp.CookieJar) -> str:
    """Return the cookies in ``jar`` as the text of a file.

    Those for every host are left out: the format has no words for them.
    """
    list(jar)  # iteration drops what has expired
    # Private, but else a lifetime given as Max-Age would count anew from whenever it is read.
    deadlines: dict[tuple[str, str, str], float] = getattr(jar, "_expirations", {})
    lines = []
    for (domain, path), cookies in jar.cookies.items():
        for name, morsel in cookies.items() if domain else ():
            key = (domain, path, name)
            host_only = key in jar.host_only_cookies
            deadline = deadlines.get(key) or http2time(morsel["expires"] or "") or 0
            fields = (
                domain if host_only else f".{domain}",
                "FALSE" if host_only else "TRUE",
                morsel["path"] or "/",
                "TRUE" if morsel["secure"] else "FALSE",
                str(math.ceil(deadline)),
                name,
                morsel.coded_value,
            )
            if any(_BREAKS.search(field) for field in fields):
                raise ValueError(f"the cookie {name!r} of {domain} does not fit into this format")
            lines.append(f"{_HTTP_ONLY if morsel['httponly'] else ''}{chr(9).join(fields)}\n")
    return _HEADER + "".join(lines)


def from_netscape(text: str, jar: aiohttp.CookieJar) -> None:
    """Put the cookies in the text of a file into ``jar``, by the rules it has for any cookie.

    Raises:
        ValueError: A line is none of this format. The message has its number, not its text.
    """
    for host, morsel in _cookies(text):
        jar.update_cookies({morsel.key: morsel}, URL.build(scheme="https", host=host))


def _cookies(text: str) -> Iterator[tuple[str, Morsel[str]]]:
    now = time.time()
    # Not splitlines(): that would also split at what only Unicode takes for the end of a line.
    for number, line in enumerate(text.split("\n"), 1):
        http_only = line.startswith(_HTTP_ONLY)
        line = line.removeprefix(_HTTP_ONLY).rstrip("\r")
        if not line.strip() or (line.startswith("#") and not http_only):
            continue
        fields = line.split("\t")
        if len(fields) == 6:  # an editor took the tab before an empty value away
            fields.append("")
        if len(fields) != 7:
            raise ValueError(f"line {number} has {len(fields)} fields between tabs, and not 7")
        domain, subdomains, path, secure, expires, name, coded = fields
        host = domain.removeprefix(".")
        if not host:
            raise ValueError(f"line {number} names no domain")
        deadline = _deadline(number, expires)
        if deadline is not None and deadline <= now:
            continue
        morsel = _morsel(name, coded)
        morsel["path"] = path if path.startswith("/") else "/"
        # Without a domain the jar sends it to this very host only.
        morsel["domain"] = host if subdomains.upper() == "TRUE" else ""
        if secure.upper() == "TRUE":
            morsel["secure"] = True
        if http_only:
            morsel["httponly"] = True
        if deadline is not None:
            morsel["expires"] = formatdate(deadline, usegmt=True)
        yield host, morsel


def _deadline(number: int, expires: str) -> float | None:
    try:
        deadline = float(expires or 0)
    except ValueError:
        deadline = math.nan
    if math.isnan(deadline):
        # Raised here: the error of float() quotes a field, and a shifted one may be the value.
        raise ValueError(f"line {number} has an expiry that is no number of seconds")
    return min(deadline, _LAST_MOMENT) if deadline > 0 else None


def _morsel(name: str, coded: str) -> Morsel[str]:
    morsel: Morsel[str] = Morsel()
    value = SimpleCookie().value_decode(coded)[0]
    # Not set(): it refuses names that servers do use, such as "cart[0]".
    morsel.__setstate__(  # type: ignore[attr-defined]  # unknown to typeshed
        {"key": name, "value": value, "coded_value": coded}
    )
    return morsel
