"""Names of files: those from servers, made safe; numbered ones; and those of parts."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import PurePath

#: Suffixes of the files of an unfinished download. A server's names never end with them.
PART = ".part"
NOTE = ".part.json"

#: Maximum length of a name in bytes, on the file systems in use.
_MOST = 255
#: The same for a server's name, which leaves room for a number, and for ``NOTE``.
_SAFE = 200
#: Maximum length in bytes of an ending that is kept when a name is shortened.
_ENDING = 20

#: Devices of Windows, with anything after the first dot.
_DEVICE = re.compile(
    r"(?:con|prn|aux|nul|clock\$|conin\$|conout\$|(?:com|lpt)[0-9¹²³]) *(?:\.|\Z)", re.IGNORECASE
)
_OURS = re.compile(r"\.(part(?:\.json)?)\Z", re.IGNORECASE)


def name_of(file: object) -> str | None:
    """Return the last part of the ``name`` of ``file``; None if that is not a path."""
    name = getattr(file, "name", None)
    if not isinstance(name, str) or not name or name[0] == "<" or name[-1] == ">":
        return None
    return PurePath(name).name


def safe_name(candidates: Iterable[str | None], default: str = "download") -> str:
    """Return the first of ``candidates`` that can be made a file's name, or ``default``.

    The name leads to no other directory, is not hidden, has no misleading characters, is valid on
    every system, and is not that of another download's part. A candidate that is too long is
    used, shortened, only if there is no other.
    """
    safe = [name for each in candidates if (name := _safe(each or ""))]
    fitting = (name for name in safe if len(os.fsencode(name)) <= _SAFE)
    return next(fitting, _safe(shortened(safe[0], _SAFE)) if safe else default)


def _safe(name: str) -> str:
    # For any system that the sender may use.
    name = name.replace("\\", "/").rpartition("/")[2]
    # All blanks become a space. Controls, and characters that change the direction of writing, are
    # removed; on Windows a colon leads to another stream of the file.
    name = "".join(" " if unicodedata.category(char) == "Zs" else char for char in name)
    name = "".join(char for char in name if char.isprintable() and char not in '<>:"|?*')
    # Leading dots hide a file; Windows drops trailing dots and blanks.
    name = name.strip(" .")
    if _DEVICE.match(name):
        name = f"_{name}"
    return _OURS.sub(r"_\1", name)


def shortened(name: str, most: int) -> str:
    """Return ``name`` with at most ``most`` bytes, and with its ending if that is short."""
    stem, ending = os.path.splitext(name)
    if len(os.fsencode(ending)) > _ENDING:
        stem, ending = name, ""
    most -= len(os.fsencode(ending))
    while len(os.fsencode(stem)) > most:
        # A character has up to four bytes: no step goes too far.
        stem = stem[: -max(1, (len(os.fsencode(stem)) - most) // 4)]
    return f"{stem.rstrip(' .')}{ending}"


def numbered(name: str) -> Iterator[str]:
    """Yield ``name``, and then ``name.1``, ``name.2`` ... as wget does."""
    yield name
    yield from (f"{name}.{number}" for number in count(1))


def stem_of_part(name: str) -> str:
    """Return the common stem of the part and its note: ``name``, if there is room."""
    raw = os.fsencode(name)
    if len(raw) + len(NOTE) <= _MOST:
        return name
    digest = hashlib.blake2b(raw, digest_size=8).hexdigest()
    return f"{shortened(name, _SAFE)}.{digest}"
