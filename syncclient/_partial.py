"""What there is of a download: the partial file, and the note beside it. Blocking."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ._async.download import Known

if sys.platform != "win32":
    import fcntl

#: Bytes read at a time to take up a digest again.
_BLOCK = 2**20


class Partial:
    """``NAME.part`` beside the target, and ``NAME.part.json``, which says what it is a part of.

    The note is removed before the file is emptied and written after it, in one step; the
    file is only ever appended to in between. So whenever the process is killed, the file
    holds the first bytes of just the version that the note names, or there is no note.

    Args:
        target: the name under which the complete file is to appear.

    Raises BlockingIOError if another download to the target is under way.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self._path = target.with_name(f"{target.name}.part")
        self._note = target.with_name(f"{target.name}.part.json")
        # A planted link must not lead us elsewhere.
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        self._file: BinaryIO = open(  # noqa: SIM115  # closed by close()
            self._path, "r+b", buffering=0, opener=lambda path, _: os.open(path, flags, 0o666)
        )
        try:
            self._lock()
            #: How many bytes there are.
            self.offset = os.fstat(self._file.fileno()).st_size
        except BaseException:
            self._file.close()
            raise

    def _lock(self) -> None:
        if sys.platform == "win32":
            return  # one download cannot rename the file while another has it open
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise self._busy() from None
        # The other one may have finished just now: what we have open is then the target.
        try:
            is_ours = os.path.samestat(os.fstat(self._file.fileno()), self._path.lstat())
        except FileNotFoundError:
            is_ours = False
        if not is_ours:
            raise self._busy()

    def _busy(self) -> BlockingIOError:
        return BlockingIOError(
            f"another download to {self.target} is under way: it has {self._path}"
        )

    def known(self) -> Known:
        """Return what the file and its note say; nothing if they do not fit together."""
        try:
            note = json.loads(self._note.read_bytes())
            known = Known(self.offset, note["validator"], note["total"])
        except (OSError, ValueError, TypeError, KeyError):
            return Known()
        if not isinstance(known.validator, str) or not isinstance(known.total, int | None):
            return Known()
        if known.total is not None and known.offset > known.total:
            return Known()
        return known

    def restart(self, known: Known) -> None:
        """Empty the file; ``known`` says what it will be a part of."""
        self._note.unlink(missing_ok=True)
        self._file.seek(0)
        self._file.truncate()
        self.offset = 0
        if known.validator is not None:
            written = self._note.with_name(f"{self._note.name}.new")
            written.write_text(json.dumps({"validator": known.validator, "total": known.total}))
            written.replace(self._note)

    def append(self, data: bytes) -> None:
        """Write ``data`` after all that is there. Raises OSError, with the name, on a full disk."""
        try:
            self._file.seek(self.offset)
            view = memoryview(data)
            while view:
                written = self._file.write(view)
                self.offset += written
                view = view[written:]
        except OSError as exc:
            exc.filename = exc.filename or os.fspath(self._path)
            raise

    def update(self, digest: hashlib._Hash) -> None:
        """Feed ``digest`` with the whole file."""
        self._file.seek(0)
        while block := self._file.read(_BLOCK):
            digest.update(block)

    def finish(self) -> None:
        """Bring the file to the disk, and then under its name."""
        os.fsync(self._file.fileno())
        if sys.platform == "win32":
            self._file.close()
        self._path.replace(self.target)
        self._note.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove the file and its note."""
        if sys.platform == "win32":
            self._file.close()
        self._note.unlink(missing_ok=True)
        self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let another download have the file. It stays if there is anything in it to go on from."""
        if not self._file.closed and not self.offset:
            with contextlib.suppress(OSError):
                self.discard()
        self._file.close()


def safe_name(candidates: Iterator[str | None]) -> str:
    """Return the first name that is one: no way out of a directory, and nothing hidden in it."""
    for candidate in candidates:
        # Whatever system the sender had in mind.
        name = (candidate or "").replace("\\", "/").rpartition("/")[2]
        name = "".join(char for char in name if char.isprintable() and char not in '<>:"|?*')
        name = name.strip(" .")
        if name and len(os.fsencode(name)) <= 200:
            return name
    return "download"
