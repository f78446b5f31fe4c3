"""Bodies from stdin."""

from __future__ import annotations

import json
import os
import select
import stat
import sys
from collections.abc import Iterator
from io import BufferedReader
from typing import cast

#: Bytes to collect, so that the body has a length: not every server accepts chunks.
GATHERED = 16 * 2**20
_PIECE = 2**16
#: Bytes of a file that are looked at, to know whether they are JSON.
_SMALL = 2**20
#: How such a body is shown.
STDIN = "(stdin)"


def something_comes() -> bool:
    """Return whether stdin is a file or a pipe, not a terminal."""
    return sys.stdin is not None and not sys.stdin.closed and not sys.stdin.isatty()


def pipe_has_data() -> bool:
    """Return whether stdin is a pipe that contains data now. Never blocks."""
    if sys.platform == "win32" or not something_comes():
        return False
    try:
        descriptor = sys.stdin.fileno()
    except OSError:  # stdin has been replaced
        return False
    if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        return False
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return any(event & select.POLLIN for _, event in poll.poll(0))


def file_waits() -> bool:
    """Return whether stdin is a file that has not been read from.

    A list that a loop of the shell reads has lost its first line by now.
    """
    if not something_comes():
        return False
    try:
        descriptor = sys.stdin.fileno()
        told = os.fstat(descriptor)
        begun = not stat.S_ISREG(told.st_mode) or os.lseek(descriptor, 0, os.SEEK_CUR) > 0
    except OSError:  # something else stands in its place
        return False
    return not begun and told.st_size > 0


def stdin_body(*, chunked: bool) -> bytes | BufferedReader | Iterator[bytes]:
    """Return the body from stdin. Blocks until its end, or until ``GATHERED`` bytes are read.

    A file above 1 MiB is sent from its current position, with its length. ``chunked`` does not
    wait: each piece is sent as it arrives.
    """
    file = cast(BufferedReader, sys.stdin.buffer)
    told = os.fstat(file.fileno())
    if stat.S_ISREG(told.st_mode) and not chunked and told.st_size > _SMALL:
        return file
    if chunked:
        return _pieces(file)
    begin = file.read(GATHERED)
    if len(begin) < GATHERED:
        return begin
    return _pieces(file, begin)


def _pieces(file: BufferedReader, begin: bytes = b"") -> Iterator[bytes]:
    if begin:
        yield begin
    # Not os.read(): the file may have more in its buffer than it has returned, and does on 3.14.
    while data := file.read1(_PIECE):
        yield data


def guessed_type(body: object) -> str | None:
    """Return ``application/json`` for bytes that are JSON, and None for anything else."""
    if isinstance(body, bytes) and body.lstrip()[:1] in (b"{", b"["):
        try:
            json.loads(body)
        except ValueError:
            return None
        return "application/json"
    return None
