"""The user's ``.netrc``: logins and passwords by host, read as the Python clients read it.

A parser of our own, since that of the standard library differs from Python to Python, keeps the
last of several entries for one host where ftp and curl take the first, knows names of hosts in
small letters only, and puts passwords into its errors.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from ..._hosts import canonical_host


class Entry(NamedTuple):
    """What the file has for one host."""

    login: str
    password: str


class Netrc(NamedTuple):
    """What a file holds."""

    machines: dict[str, Entry | None]
    default: Entry | None
    #: What the file is written in, and so what its words are sent in.
    encoding: str = "utf-8"

    def entry(self, host: str, *, default: bool = True) -> Entry | None:
        """Return the entry for ``host``, or the default one if that may be taken."""
        key = host.lower().rstrip(".")
        if key in self.machines:
            return self.machines[key]  # also where that says nothing: the user named the host
        return self.default if default else None


class MalformedError(Exception):
    """A file that is no ``.netrc``. Names the line and nothing in it, which may be a password."""

    def __init__(self, line: int) -> None:
        super().__init__(f"malformed in line {line}")
        self.line = line


def parse_netrc(data: bytes) -> Netrc:
    """Return what a file with this content holds.

    Words stand between blanks or double quotes; a backslash takes the next character as it is;
    ``#`` in place of a keyword begins a comment. Of several entries for one host the first
    counts, and ``default`` is for hosts without one, wherever it stands.

    Raises:
        MalformedError: a word that is no keyword stands in place of one.
    """
    encoding = "utf-8"
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        encoding = "latin-1"
        text = data.decode(encoding)
    machines: dict[str, Entry | None] = {}
    default: Entry | None = None
    words = _Words(text.replace("\r\n", "\n"))
    found: dict[str, str] = {}
    host: str | None = ""  # the one whose entry is being read; None is the default, "" is none

    def finish() -> None:
        nonlocal default
        entry = _entry(found)
        if host is None:
            default = default or entry
        elif host:
            machines.setdefault(host, entry)
        found.clear()

    for word in words:
        keyword = word.lower()
        if keyword in ("machine", "default", "macdef"):
            finish()
            if keyword == "default":
                host = None
            elif keyword == "machine":
                host = _key(words.value())
            else:
                host = ""
                words.skip_macro()
        elif keyword in ("login", "user", "password", "account") and host != "":
            found["login" if keyword == "user" else keyword] = words.value()
        else:
            raise MalformedError(words.line)
    finish()
    return Netrc(machines, default, encoding)


def _entry(found: dict[str, str]) -> Entry | None:
    login = found.get("login") or found.get("account") or ""
    password = found.get("password", "")
    return Entry(login, password) if login or password else None


def _key(machine: str) -> str:
    """Return the name of a machine as it stands in ``URL.raw_host``."""
    host = machine.strip("[]")
    try:
        host = canonical_host(f"[{host}]" if ":" in host else host)
    except ValueError:
        return machine.lower()  # which no URL can name
    return host.strip("[]").rstrip(".")


#: A word in quotes, whose second quote may be missing; or one without.
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)(?:"|\Z)|((?:[^\\ \t\r\n]|\\.)+)|\\\Z', re.DOTALL)
_BLANKS = re.compile(r"[ \t\r\n]*")
_COMMENTS = re.compile(r"(?:[ \t\r\n]*#[^\n]*)*")
_LINE = re.compile(r"[^\n]*\n?")
_MACRO = re.compile(r"(?:[^\n]+(?:\n|\Z))*")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


class _Words(Iterator[str]):
    """The words of a file; iteration passes over comments, ``value`` does not."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    @property
    def line(self) -> int:
        """The number of the line of the word read last."""
        return self._text.count("\n", 0, max(self._at - 1, 0)) + 1

    def __next__(self) -> str:
        self._skip(_COMMENTS)
        word = self._next()
        if word is None:
            raise StopIteration
        return word

    def value(self) -> str:
        """Return the next word, which may begin with ``#`` or, in quotes, be empty."""
        word = self._next()
        if word is None:
            raise MalformedError(self.line)
        return word

    def skip_macro(self) -> None:
        """Pass over the name and the lines of a macro: up to an empty one."""
        self._skip(_LINE)
        self._skip(_MACRO)

    def _next(self) -> str | None:
        self._skip(_BLANKS)
        match = _WORD.match(self._text, self._at)
        if match is None:
            return None
        self._at = match.end()
        quoted, plain = match.groups()
        return _ESCAPED.sub(r"\1", plain if quoted is None else quoted) if match[0] else ""

    def _skip(self, what: re.Pattern[str]) -> None:
        match = what.match(self._text, self._at)
        if match is not None:
            self._at = match.end()
