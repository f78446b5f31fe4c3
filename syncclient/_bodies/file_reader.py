"""FileReader: reads a body from a file, or from an object with some methods of a file."""

from __future__ import annotations

import codecs
import io
import os
import stat
from typing import Any, Protocol, cast

from .._async.exchange.source import checked_chunk

#: Bytes read at once.
_BLOCK = 2**18


class Readable(Protocol):
    """The one method that a file must have."""

    def read(self, size: int, /) -> bytes | str | None: ...


class FileReader:
    """Reads a file from its position on. The file stays open, and ends up after the bytes sent.

    Args:
        file: any object with a ``read``.
        charset: the encoding of the text, if it is a text file.
    """

    def __init__(self, file: Readable, charset: str = "utf-8") -> None:
        check_readable(file)
        self._file = file
        self._charset = charset
        self._encoder = codecs.getincrementalencoder(charset)()
        #: Whether it reads text, whose positions do not count bytes.
        self._is_text = reads_text(file)
        self._start = _position(file)
        self.replayable = self._start is not None
        self.size: int | None = None
        if not self._is_text:
            if self._start is not None:
                self.size = _bytes_left(file, self._start)
            if self.size is None:
                self.size = _length_told(file)
        self._left = self.size
        self._read = file.read
        if self._is_text and self._start is None:
            # Text that is typed in: read() would wait for a whole block.
            self._read = cast(Any, file).readline
        elif self.size is None and not self._is_text:
            # A pipe: likewise, take the available data.
            self._read = getattr(file, "read1", file.read)

    def read(self) -> bytes | None:
        if self._left is None:
            chunk = self._read(_BLOCK)
        elif self._left > 0:
            chunk = self._read(min(_BLOCK, self._left))
        else:
            return None
        if chunk is None:
            raise BlockingIOError("data is a file in non-blocking mode and has nothing to read")
        if isinstance(chunk, str):
            block = self._encoder.encode(chunk, final=not chunk)
        else:
            block = checked_chunk(chunk, "the file")
        if self._left is not None:
            self._left -= len(block)
        return block or None

    def rewind(self) -> None:
        assert self._start is not None
        cast(Any, self._file).seek(self._start)
        self._encoder = codecs.getincrementalencoder(self._charset)()
        self._left = self.size

    def close(self, sent: int) -> None:
        """Set the position after the bytes sent, since reading was ahead of the socket."""
        if self._is_text or self._start is None or getattr(self._file, "closed", False):
            return
        behind = self._start + sent
        if _position(self._file) != behind:
            cast(Any, self._file).seek(behind)


def check_readable(file: object) -> None:
    """Raise ValueError if ``file`` says that it cannot be read."""
    if getattr(file, "closed", False):
        raise ValueError("data is a closed file")
    readable = getattr(file, "readable", None)
    if readable is not None and not readable():
        raise ValueError("data is a file that is not open for reading: open it with 'rb'")


def reads_text(file: object) -> bool:
    """Return whether a file is open for text, even behind a wrapper such as tempfile's."""
    return isinstance(file, io.TextIOBase) or isinstance(getattr(file, "encoding", None), str)


def small_text(file: Any, limit: int) -> str | None:
    """Return the rest of a text file, or None if it may have more than ``limit`` characters.

    The position is then unchanged.
    """
    if isinstance(file, io.StringIO):
        return file.read()
    position = _position(file)
    if position is None:  # perhaps a terminal, where reading would wait
        return None
    text: str = file.read(limit)
    if len(text) < limit and not file.read(1):
        return text
    file.seek(position)
    return None


def _position(file: object) -> int | None:
    """Return the position of a file, or None if the file cannot return to it."""
    seekable = getattr(file, "seekable", None)
    try:
        if seekable is not None and not seekable():
            return None
        position = _told(file)
        if seekable is None and position is not None:
            cast(Any, file).seek(position)
    except _UNABLE:  # even seekable() may raise, if the file inside lacks it (tarfile's stream)
        return None
    return position if hasattr(file, "seek") else None


#: Raised by methods that a file has in name only.
_UNABLE = (AttributeError, NotImplementedError, OSError, TypeError, ValueError)


def _told(file: object) -> int | None:
    try:
        position = cast(Any, file).tell()
    except _UNABLE:
        return None
    return position if isinstance(position, int) else None


def _length_told(file: Any) -> int | None:
    """Return the number of bytes left in an object with a length, found as requests finds it."""
    length: object
    try:
        length = len(file)
    except (TypeError, AttributeError, NotImplementedError, OverflowError, ValueError):
        length = getattr(file, "len", None)
    if not isinstance(length, int) or isinstance(length, bool) or length < 0:
        return None
    if not hasattr(file, "tell"):
        return length
    position = _told(file)
    return None if position is None else max(0, length - position)


def _bytes_left(file: Any, position: int) -> int | None:
    """Return how many bytes a seekable file has from ``position`` on, if that costs nothing."""
    raw = getattr(getattr(file, "file", file), "raw", file)
    if isinstance(raw, io.FileIO):
        status = os.fstat(raw.fileno())
        if not stat.S_ISREG(status.st_mode):
            return None
        if not status.st_size and file.read(1):  # a file of the kernel's, without a size (/proc)
            file.seek(position)
            return None
        return max(0, status.st_size - position)
    if type(file).__module__ in _DECOMPRESSING:
        return None
    try:
        end = file.seek(0, os.SEEK_END)
        if end is None:  # mmap, before Python 3.13
            end = file.tell()
    except (OSError, TypeError, ValueError):  # seek() may take no second argument
        end = None
    file.seek(position)
    return max(0, end - position) if isinstance(end, int) else None


#: Their files know their size only after they have decompressed everything.
_DECOMPRESSING = frozenset({"gzip", "bz2", "lzma", "zipfile"})
