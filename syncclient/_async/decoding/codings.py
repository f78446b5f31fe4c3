"""Content codings: gzip, deflate, br and zstd, also nested, decoded piece by piece.

The engine supports one coding for each response, under one spelling, accepts a body that is cut
off inside a gzip member, and refuses bytes after a member. RFC 9110, 8.4 has a list of codings,
and aliases; this module reads what gunzip and browsers read.
"""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Iterable
from typing import Any, Protocol

#: Maximum number of codings of a body, as in curl and urllib3: nested bombs multiply.
MAX_CODINGS = 5

#: Members, or steps without output, before other connections get their turn.
_SHARE = 64

# A decoder copies the bytes after the end of a member. So it gets a few at first, and more as the
# member continues.
_FIRST_WINDOW, _LAST_WINDOW = 2**10, 2**16

#: RFC 9659: a decoder need not accept larger windows, and browsers do not. 2**23 is 8 MiB.
_ZSTD_WINDOW_LOG = 23


def _optional(*names: str) -> Any:
    for name in names:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return None


_brotli = _optional("brotlicffi", "brotli")
_zstd = _optional("compression.zstd", "backports.zstd")


class CodingError(Exception):
    """The bytes do not match their coding, which the text names."""


def codings_in(values: Iterable[str]) -> list[str]:
    """Return the codings of the Content-Encoding ``values``, in the order they were applied.

    Empty if there is none, or an unknown one: then the body is left unchanged.
    """
    tokens = (token.strip().lower() for value in values for token in value.split(","))
    names = [_ALIASES.get(token, token) for token in tokens if token not in ("", "identity")]
    return names if all(name in _CODINGS for name in names) else []


class Undoing:
    """Decodes a list of codings, the last first.

    Args:
        codings: from ``codings_in``.

    ``feed`` and ``take`` raise CodingError if the bytes are not valid.
    """

    def __init__(self, codings: list[str]) -> None:
        self._codings = codings
        self._stages: list[_Stage] = []
        #: Whether ``take`` needs another ``feed`` first.
        self.hungry = True

    def feed(self, data: bytes) -> None:
        """Add received bytes. Only while this is hungry."""
        if not self._stages:
            if len(self._codings) > MAX_CODINGS:
                raise CodingError(
                    f"the body has {len(self._codings)} content codings; {MAX_CODINGS} are undone"
                )
            self._stages = [_CODINGS[name]() for name in reversed(self._codings)] or [_AsIs()]
        self._stages[0].feed(data)
        self.hungry = False

    def take(self, limit: int) -> bytes:
        """Return the next bytes, about ``limit`` at most.

        b"" means that this is hungry, or has done its share of work and continues with the next
        call.
        """
        stages = self._stages
        # Begin with the innermost stage that has bytes left.
        first = next((n for n in reversed(range(len(stages))) if not stages[n].hungry), 0)
        data = b""
        for stage in stages[first:]:
            try:
                if data:
                    stage.feed(data)
                data = stage.take(limit)
            except Exception as exc:  # zlib.error, brotli.error, ZstdError
                raise CodingError(f"Can not decode content-encoding: {stage.name}: {exc}") from exc
            if not data:
                break
        self.hungry = not data and all(stage.hungry for stage in stages)
        return data

    def cut_off(self) -> str | None:
        """Return a coding that is incomplete if the bytes end here; None if there is none."""
        return next((stage.name for stage in self._stages if not stage.whole), None)


class _AsIs:
    """No coding at all."""

    name = "identity"
    whole = True

    def __init__(self) -> None:
        self.hungry = True
        self._data = b""

    def feed(self, data: bytes) -> None:
        self._data = data
        self.hungry = False

    def take(self, limit: int) -> bytes:
        data, self._data = self._data, b""
        self.hungry = True
        return data


class _Stage(Protocol):
    #: The coding that it decodes.
    name: str
    #: Whether it has to be fed before it returns more.
    hungry: bool

    def feed(self, data: bytes) -> None: ...
    def take(self, limit: int) -> bytes: ...
    @property
    def whole(self) -> bool: ...


class _Decoder(Protocol):
    """The decoder of one member, such as Python's own ``ZstdDecompressor``."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Inflater:
    """zlib's decompressor as a _Decoder."""

    def __init__(self, wbits: int) -> None:
        self._inflater = zlib.decompressobj(wbits)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._inflater.eof

    @property
    def unused_data(self) -> bytes:
        return self._inflater.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        output = self._inflater.decompress(self._inflater.unconsumed_tail + data, max_length)
        # After as much output as was allowed, there may be more inside.
        self.needs_input = not self._inflater.unconsumed_tail and len(output) < max_length
        return output


class _Members:
    """A stage whose input is a sequence of members. Bytes after the last are skipped."""

    name: str
    #: Number of bytes that identify a member.
    _magic: int

    def __init__(self) -> None:
        self._input = b""
        self._at = 0
        self._window = _FIRST_WINDOW
        #: None between two members.
        self._decoder: _Decoder | None = None
        self._first = True
        self._over = False
        self.hungry = True

    def _begin(self, magic: bytes) -> _Decoder | None:
        """Return a decoder for the member that begins with ``magic``; None if none does."""
        raise NotImplementedError

    @property
    def whole(self) -> bool:
        """Whether a body may end here. An empty body is complete."""
        return self._decoder is None and not (self._first and self._input)

    def feed(self, data: bytes) -> None:
        if not self._over:
            self._input = self._input[self._at :] + data
            self._at = 0
            self.hungry = False

    def take(self, limit: int) -> bytes:
        for _ in range(_SHARE):
            decoder = self._decoder or self._next()
            if decoder is None:
                return b""
            piece = b""
            if decoder.needs_input:
                piece = self._input[self._at : self._at + self._window]
                if not piece:
                    self.hungry = True
                    return b""
                self._at += len(piece)
                self._window = min(2 * self._window, _LAST_WINDOW)
            output = decoder.decompress(piece, limit)
            if decoder.eof:
                self._at -= len(decoder.unused_data)
                self._decoder, self._window = None, _FIRST_WINDOW
            if output:
                return output
        return b""

    def _next(self) -> _Decoder | None:
        magic = self._input[self._at : self._at + self._magic]
        if len(magic) < self._magic:
            self.hungry = True
            return None
        self._decoder = self._begin(magic)
        if self._decoder is None:
            self._over = self.hungry = True
            self._input = b""
        self._first = False
        return self._decoder


class _Gzip(_Members):
    name = "gzip"
    _magic = 3

    def _begin(self, magic: bytes) -> _Decoder | None:
        if self._first or magic == b"\x1f\x8b\x08":
            return _Inflater(16 + zlib.MAX_WBITS)
        return None  # zeros and garbage, which gunzip ignores too


class _Deflate(_Members):
    name = "deflate"
    _magic = 2

    def _begin(self, magic: bytes) -> _Decoder | None:
        if not self._first:
            return None
        # RFC 1950, 2.2: the beginning of every zlib stream. Some servers send the bare deflate.
        wrapped = magic[0] & 0x8F == 8 and int.from_bytes(magic, "big") % 31 == 0
        return _Inflater(zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS)


class _Zstd(_Members):
    name = "zstd"
    _magic = 4

    def _begin(self, magic: bytes) -> _Decoder | None:
        if _zstd is None:
            raise CodingError(_MISSING.format("backports.zstd"))
        # RFC 8878: frames, and skippable frames.
        if self._first or magic == b"\x28\xb5\x2f\xfd" or (magic[0] >> 4, magic[1:]) == _SKIPPABLE:
            options = {_zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}
            decoder: _Decoder = _zstd.ZstdDecompressor(options=options)
            return decoder
        return None


_SKIPPABLE = (5, b"\x2a\x4d\x18")


class _Brotli:
    """A separate kind of stage: its decoder does not say where in the input the stream ended."""

    name = "br"

    def __init__(self) -> None:
        if not hasattr(getattr(_brotli, "Decompressor", None), "can_accept_more_data"):
            raise CodingError(_MISSING.format("Brotli"))
        self._decoder = _brotli.Decompressor()
        self._input = b""
        self._begun = False
        self.hungry = True

    @property
    def whole(self) -> bool:
        return not self._begun or bool(self._decoder.is_finished())

    def feed(self, data: bytes) -> None:
        if not self._decoder.is_finished():
            self._input += data
            self._begun = True
            self.hungry = False

    def take(self, limit: int) -> bytes:
        data = b""
        if self._decoder.can_accept_more_data():
            data, self._input = self._input, b""
        # Also without input: Google's decoder takes all of it, and keeps output back.
        if self._decoder.is_finished():
            self._input = b""
            self.hungry = True
            return b""
        output: bytes = self._decoder.process(data, output_buffer_limit=limit)
        self.hungry = not (output or self._input)
        return output


_MISSING = "its library is not installed: pip install {}"

_CODINGS: dict[str, type[_Stage]] = {
    "gzip": _Gzip,
    "deflate": _Deflate,
    "br": _Brotli,
    "zstd": _Zstd,
}

#: RFC 9110, 8.4.1.3, and its like.
_ALIASES = {"x-gzip": "gzip", "x-deflate": "deflate"}
