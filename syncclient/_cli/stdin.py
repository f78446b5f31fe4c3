"""The body that comes through stdin."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Iterator
from typing import BinaryIO

#: Bytes that are waited for, so that the body has a length: not every server takes chunks.
GATHERED = 16 * 2**20
_PIECE = 2**16


def something_comes() -> bool:
    """Whether stdin is a file or a pipe, and not somebody's keyboard."""
    return sys.stdin is not None and not sys.stdin.closed and not sys.stdin.isatty()


def stdin_body(*, chunked: bool) -> bytes | BinaryIO | Iterator[bytes]:
    """Return what stdin holds. Blocks until its end, or until ``GATHERED`` bytes are here.

    A file is sent from where it stands, with its length. ``chunked`` does not wait: each
    piece is sent as it comes.
    """
    file = sys.stdin.buffer
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode) and not chunked:
        return file
    if chunked:
        return _pieces(file)
    begin = file.read(GATHERED)
    if len(begin) < GATHERED:
        return begin
    return _pieces(file, begin)


def _pieces(file: BinaryIO, begin: bytes = b"") -> Iterator[bytes]:
    if begin:
        yield begin
    while data := os.read(file.fileno(), _PIECE):
        yield data


def guessed_type(body: object) -> str | None:
    """Return ``application/json`` for bytes that are JSON, and None for what else comes."""
    if isinstance(body, bytes) and body.lstrip()[:1] in (b"{", b"["):
        try:
            json.loads(body)
        except ValueError:
            return None
        return "application/json"
    return None
